"""The policy of decisions: the settings that they use, and the actions that they choose from. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from shared.domain.approval import AtDeadline
from shared.domain.decision.action_spec import ActionSpecs
from shared.domain.decision.rules import Rule
from shared.domain.target import ActionKind


class Mode(StrEnum):
    """What Sasquash may do without a person: nothing, nothing but ask, or what the rule table allows."""

    OBSERVE = "observe"
    APPROVE = "approve"
    AUTO = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionPolicy:
    """The settings that decide. `tag_modes` are the modes that an account's tag may choose; `tenant_id` is ours.

    `limits` are what the settings say of an action's target (`ActionSpec.settled_target`).
    """

    mode: Mode
    tag_modes: tuple[Mode, ...]
    rules: tuple[Rule, ...]
    rotations_a_day: int
    approval_time: timedelta
    at_deadline: AtDeadline
    tenant_id: str
    actions: ActionSpecs
    limits: Mapping[ActionKind, str] = field(default_factory=dict)
