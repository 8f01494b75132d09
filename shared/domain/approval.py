"""What people decide on a plan, and what its evidence is worth."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.domain.alert import AlertReference
from shared.domain.caller import Caller

_NOBODY = "nobody (deadline passed, SASQUASH_AT_DEADLINE is revoke)"


class EvidenceOutcome(StrEnum):
    """What the service of an alert says about the evidence that a report quotes from it."""

    CONFIRMED = "confirmed"
    DIFFERS = "differs"  # the service has no such alert, or the alert says something else
    UNCHECKED = "unchecked"  # it could not be read


@dataclass(frozen=True, slots=True)
class ReadAlert:
    """An alert that needs no more reading, and what its service says about the evidence."""

    alert: AlertReference
    outcome: EvidenceOutcome


@dataclass(frozen=True, slots=True)
class EvidenceCheck:
    """The alerts that reports name were read again at their services. `said` is some English sentences.

    `read` lacks those that are still to be read: they were reported later, or their service did not respond.
    """

    outcome: EvidenceOutcome
    at: datetime
    said: str
    read: tuple[ReadAlert, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejection:
    """A rejection of the plan by a person."""

    by: Caller
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Approval:
    """An approval of the plan with this digest: by a person, or by the deadline if `by` is None."""

    by: Caller | None
    at: datetime
    digest: str
    reason: str

    @property
    def name(self) -> str:
        """Who approved, for people to read."""
        return self.by.name if self.by is not None else _NOBODY

    @property
    def who(self) -> str:
        """Who approved, with the object id, which is unique."""
        return str(self.by) if self.by is not None else _NOBODY


class AtDeadline(StrEnum):
    """What happens to a plan without a decision at its deadline."""

    ESCALATE = "escalate"
    REVOKE = "revoke"
