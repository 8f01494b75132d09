"""Who decides: the mode, a person's approval, the limits, and the rule table (design decision 3). Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.account import MODE_TAG, tag_in
from shared.domain.decision.rules import Rule, RuleOutcome
from shared.domain.revocation import Approval, AtDeadline, Plan
from shared.domain.target import CUTS_OFF_MANY, ActionKind
from shared.settings import Mode, Settings

_DAY = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Decision:
    """What may be done without a person, and the English clause that says why."""

    outcome: RuleOutcome
    why: str
    only_person: bool = False  # no deadline may decide in a person's place


@dataclass(frozen=True, slots=True)
class PastExecution:
    """A lever that Sasquash pulled on the account."""

    action: ActionKind
    target: str
    at: datetime


def decide(
    plan: Plan,
    ground: Rule | str,
    *,
    tags: Mapping[str, str],
    executions: Iterable[PastExecution],
    approval: Approval | None,
    settings: Settings,
    now: datetime,
) -> Decision:
    """Return who decides on `plan`.

    `ground` is the rule that applies, or why no rule may decide. `pulls` are ours of this account, `approval` is of
    this very leak; `tags` were read from ARM just now. Nothing lifts the mode observe; a person's approval
    lifts all else, the deadline's all but the limits.
    """
    mode, from_where = effective_mode(tags, settings)
    in_mode = f"(mode {mode}: {from_where})"
    if mode is Mode.OBSERVE:
        return Decision(RuleOutcome.OBSERVE, f"the mode is observe ({from_where}): nothing is touched")
    if approval is not None and approval.digest != plan.digest:
        return _ask_person(f"the plan has changed since {approval.who} approved it {in_mode}")
    if approval is not None and approval.by is not None:
        return Decision(RuleOutcome.ACT, f"approved by {approval.who}")
    if isinstance(ground, str):
        return _ask_person(f"{ground} {in_mode}")
    limit = _limit(plan, executions, settings, now)
    if limit is not None:
        return _ask_person(f"{limit} {in_mode}")
    if approval is not None:
        return Decision(RuleOutcome.ACT, f"approved by {approval.who}")
    if mode is Mode.APPROVE:
        return Decision(RuleOutcome.ASK, f"the mode is approve ({from_where}): a person decides on every plan")
    return Decision(ground.then, f"rule {ground.name}: {ground.why} {in_mode}")


def _ask_person(why: str) -> Decision:
    return Decision(RuleOutcome.ASK, why, only_person=True)


def at_deadline(plan: Plan, decision: Decision, *, proven: bool, settings: Settings) -> AtDeadline:
    """Return what becomes of `plan` if nobody decides in time.

    `proven`: arithmetic has shown what is behind the leak. A lockdown, and what cuts off the delegation keys of
    everybody, is a person's to decide.
    """
    smallest = plan.action in (ActionKind.ACCOUNT_KEY, ActionKind.STORED_POLICY)
    may = proven and smallest and not decision.only_person
    return settings.at_deadline if may else AtDeadline.ESCALATE


def effective_mode(tags: Mapping[str, str], settings: Settings) -> tuple[Mode, str]:
    """Return the mode for an account, and where it comes from. The tag counts only as far as the settings let it."""
    wanted = tag_in(tags, MODE_TAG)
    if wanted is None:
        return settings.mode, "SASQUASH_MODE"
    allowed = next((mode for mode in settings.tag_modes if mode.value == wanted.lower()), None)
    if allowed is None:
        return (
            settings.mode,
            f"SASQUASH_MODE; the account's tag {MODE_TAG} asks for what SASQUASH_TAG_MODES forbids",
        )
    return allowed, f"the account's tag {MODE_TAG}"


def _limit(plan: Plan, executions: Iterable[PastExecution], settings: Settings, now: datetime) -> str | None:
    """Return the limit that asks a person. A stored access policy and a lockdown cut off few, or can be undone."""
    if plan.action not in CUTS_OFF_MANY:
        return None
    lately = [
        execution for execution in executions if execution.action in CUTS_OFF_MANY and now - execution.at < _DAY
    ]
    if plan.action is ActionKind.ACCOUNT_KEY and any(
        execution.action is ActionKind.ACCOUNT_KEY and execution.target != plan.target for execution in lately
    ):
        return "the account's other key was rotated within 24 hours: a second rotation could cut off every client"
    if len(lately) >= settings.rotations_a_day:
        return (
            f"the account's keys were rotated or revoked {len(lately)} times within 24 hours, and "
            f"SASQUASH_ROTATIONS_A_DAY is {settings.rotations_a_day}: something may be feeding us"
        )
    return None
