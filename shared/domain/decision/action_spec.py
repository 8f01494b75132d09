"""The pure half of a containment action: what a plan for it says and binds to, and its texts for people.

Each action's module in `shared/actions` has one, and `actions/registry.py` collects them. Decisions get them as part
of their `DecisionPolicy`, so that no pure module knows one action from another.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import ClassVar

from shared.domain.account import AccountFacts
from shared.domain.decision.attribution import Verdict
from shared.domain.decision.snapshot import Snapshot
from shared.domain.execution import Execution, Plan
from shared.domain.revocation import Revocation
from shared.domain.target import ActionKind
from shared.domain.text import Code, Line
from shared.sas import Credential

NOTIFY = "File the incident and notify the owners."
"""The step of every plan after its verification."""

SHARED_KEY_IS_OFF = (
    "Shared key access to the account is off at the moment: Azure accepts nothing that a key signed until it is "
    "switched on again. The plan stands, because it may be switched on again."
)


class Tone(Enum):
    """How urgent a state is for its reader."""

    LIVE = "live"  # the credential works, as far as we know
    PENDING = "pending"  # revoked, not verified yet
    DONE = "done"


@dataclass(frozen=True, slots=True)
class StateText:
    """The texts for a state that means something else after this action. `{what}` in `lead` names what leaked."""

    label: str
    tone: Tone
    lead: str


type StateTexts = Mapping[tuple[str, str | None], StateText]
"""Texts by state and reason, as in `Briefing`."""


class ActionSpec(ABC):
    """What is fixed about one action. A method's `target` is one that `check_target` accepts.

    The texts are English. `{target}` in them is what `title` returns, `{account}` the account's name.
    """

    kind: ClassVar[ActionKind]
    may_run_at_deadline: ClassVar[bool] = False
    """Whether it may run when nobody decided in time."""
    request_id_name: ClassVar[str] = "ARM correlation"
    """What an execution's `correlation_id` is an id of."""
    untouched: ClassVar[str] = ""
    """A clause after `done`: what the action left as it was."""
    state_texts: ClassVar[StateTexts] = MappingProxyType({})
    impact_texts: ClassVar[tuple[str, ...]] = ()
    done_text: ClassVar[str] = ""
    found_text: ClassVar[str] = ""
    """What somebody else did to the same effect."""
    others_text: ClassVar[str] = "{target} was changed"
    """A clause for the same, to be followed by who it was."""
    undone_text: ClassVar[str] = "{target} was put back"
    """A clause for what others did to undo it."""
    used_text: ClassVar[str] = "{target}"
    recovery_texts: ClassVar[tuple[str, ...]] = ()
    still_accepted_text: ClassVar[Line] = ""
    standing_text: ClassVar[str] = ""
    """An open point while a change that blocks the leak stands; the action is in `BLOCKS_WHILE_IN_EFFECT`."""
    undo_operation: ClassVar[str] = ""
    """The operation on the account in ARM by which others undo the action; empty where it is none."""
    counts_sas: ClassVar[bool] = False
    """Whether a plan counts the SAS in use, so that the storage logs are read for it (`Snapshot.sas_in_use`)."""
    shared_key_text: ClassVar[str] = SHARED_KEY_IS_OFF

    @abstractmethod
    def check_target(self, target: str) -> None:
        """Return if the action can run on `target`. Raises InvalidTarget."""

    @abstractmethod
    def version(self, snapshot: Snapshot, target: str) -> str:
        """Return what a plan on `target` binds to, as SHA-256 (hex), by what was read of the account."""

    def beside(self, snapshot: Snapshot, target: str) -> str:  # noqa: ARG002 -- a default
        """Return what else the plan of an order binds to, of what was read of the account; empty for nothing."""
        return ""

    @abstractmethod
    def steps(self, account: AccountFacts, target: str) -> tuple[str, ...]:
        """Return the steps of a plan in their order, one sentence each."""

    @abstractmethod
    def ends(self, plan: Plan, verdict: Verdict, own_plan: Plan | None) -> bool:
        """Whether a leak with this verdict and plan of its own is revoked once `plan` of this action was executed."""

    def settled_target(self, target: str, account: AccountFacts, *, limit: str | None) -> str:  # noqa: ARG002 -- a default
        """Return the target that a plan on `account` has. `limit` is what the settings say of it, if anything."""
        return target

    def obstacle(self, account: AccountFacts, target: str, credential: Credential | None) -> str:  # noqa: ARG002 -- a default
        """Return why the action does not work on the account, or does not stop `credential`; empty where it does.

        One sentence. `credential` is None for an order.
        """
        return ""

    def doubt(self, snapshot: Snapshot, target: str) -> str:  # noqa: ARG002 -- a default
        """Return why only a person may decide on it, as a clause; empty where a rule may, too."""
        return ""

    def impact_read(self, snapshot: Snapshot, target: str) -> tuple[str, ...]:  # noqa: ARG002 -- a default
        """Return which consumers stop working, as far as it was read of the account: more sentences of `impact`."""
        return ()

    def title(self, target: str) -> str:
        """Return how people call `target`, with what it holds of text from outside made harmless."""
        return target

    def impact(self, account: AccountFacts, target: str) -> tuple[str, ...]:
        """Return which consumers stop working, one sentence each."""
        return tuple(self._filled(text, target, account.name) for text in self.impact_texts)

    def done(self, target: str, account: str) -> str:
        """Return what an execution did to the account of this name, as one sentence."""
        return self._filled(self.done_text, target, account)

    def happened(self, execution: Execution, account: str) -> str:
        """Return what an execution did to the account of this name, and who did it if it was not Sasquash."""
        if execution.is_ours:
            return self.done(execution.target, account)
        text = self._filled(self.found_text, execution.target, account)
        return f"{text[0].upper()}{text[1:]}"

    def by_others(self, target: str, *, undone: bool) -> str:
        """Return what others did to the target, or to undo the action, as a clause that begins a sentence."""
        return self._filled(self.undone_text if undone else self.others_text, target)

    def used(self, target: str) -> str:
        """Return what affected consumers used, to complete "Anything else that used …"."""
        return self._filled(self.used_text, target)

    def if_shared_key_is_off(self, target: str) -> str:  # noqa: ARG002 -- a lockdown's depends on it
        """Return a sentence for a plan while the account's shared key access is off; empty if it is irrelevant."""
        return self.shared_key_text

    def recovery(self, revocation: Revocation, execution: Execution) -> tuple[Line, ...]:  # noqa: ARG002 -- a default
        """Return how affected consumers recover, and what would undo the execution, one sentence each."""
        return tuple(self._filled(text, execution.target) for text in self.recovery_texts)

    def if_still_accepted(self, revocation: Revocation, execution: Execution) -> Line:
        """Return how to stop by hand what the execution did not stop."""
        key = revocation.key_name or "the key that signed them"
        return self.still_accepted_text.format(target=self.title(execution.target), key=key)

    def by_hand(self, account_id: str | None, target: str | None) -> Code | None:  # noqa: ARG002 -- a default
        """Return the Azure CLI command that does the same; None if there is none, or it can't be written safely."""
        return None

    def afterwards(self, account_id: str | None, target: str | None) -> Code | None:  # noqa: ARG002 -- a default
        """Return the Azure CLI command that a person needs after the execution; None as for `by_hand`."""
        return None

    def _filled(self, text: str, target: str, account: str = "") -> str:
        return text.format(target=self.title(target), account=account)


type ActionSpecs = Mapping[ActionKind, ActionSpec]
