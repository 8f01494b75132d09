"""How many people an action or a rejection takes, and who they are (docs/decisions, 40 and 41). Pure.

An order is an action for which no leaked credential was proven: neither by its signature nor, for a user delegation
SAS, by Azure's acceptance of the token itself. It takes two people in all: the person who gave it and one approver,
or two approvers where no person gave it. Applications are no people. What is proven takes one approver.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from shared.domain.approval import Approval
from shared.domain.decision.effective_permissions import of_record
from shared.domain.finding import Finding
from shared.domain.revocation import Revocation
from shared.sas import Severity, assess

APPROVER = "Sasquash.Approver"
"""The app role that approves and rejects."""

_TWO_TO_REJECT = frozenset({Severity.HIGH, Severity.CRITICAL})


@dataclass(frozen=True, slots=True)
class Quorum:
    """Whose approvals a plan requires. `author` is the object id of the person who gave the order, if one did."""

    is_order: bool
    author: str | None = None

    @property
    def approvers(self) -> int:
        """How many approvers it takes."""
        return 2 if self.is_order and self.author is None else 1

    def is_met_by(self, approvals: Iterable[Approval]) -> bool:
        """Whether these approvals of the plan are enough. That of a deadline is nobody's."""
        people = {one.by.object_id for one in approvals if one.by is not None and self.counts(one)}
        return len(people) >= self.approvers

    def counts(self, approval: Approval) -> bool:
        """Whether it is the approval of somebody who may give it. Who approved a proven leak was checked then."""
        if approval.by is None:
            return False
        return not self.is_order or (approval.by.is_person and approval.by.object_id != self.author)


def quorum(finding: Finding, *, proven: bool) -> Quorum:
    """Return whose approvals an action for `finding` requires. `proven`: its leaked credential is.

    What an event says about who reported it is a claim, and takes the place of no approver.
    """
    is_order = finding.order is not None or not proven
    given_by = finding.reported_by
    author = given_by.object_id if is_order and given_by is not None and given_by.is_person else None
    return Quorum(is_order, author)


def quorum_of(record: Revocation) -> Quorum:
    """Return whose approvals the record's plan requires."""
    return quorum(record.finding, proven=record.proven)


def reporters(finding: Finding) -> frozenset[str]:
    """Return the object ids of those who reported or ordered it: over HTTP, or to the intake."""
    given_by = finding.reported_by.object_id if finding.reported_by is not None else None
    return frozenset(one for one in (given_by, finding.submitted_by) if one is not None)


def rejecters(record: Revocation, *, now: datetime) -> int:
    """Return how many approvers it takes to reject the record's plan.

    Two where the leaked credential is proven and still accepted, and its severity is high or critical: a rejection
    leaves it valid.
    """
    granted = of_record(record)
    if granted is None or not record.proven or (granted.ends is not None and granted.ends <= now):
        return 1
    return 2 if assess(granted, now=now).severity in _TWO_TO_REJECT else 1
