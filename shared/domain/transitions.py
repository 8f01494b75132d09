"""The decisions of responders on a record: approve, reject, retry, undo a lockdown; and its deadline. Pure.

Each raises WrongState if the record's state does not allow it; the message says what to do instead.
"""

from dataclasses import replace
from datetime import datetime

from shared.domain.account import AccountFacts
from shared.domain.decision.duplicates import reopened
from shared.domain.revocation import Approval, AtDeadline, LockedDown, Reason, Revocation, State
from shared.domain.text import Foreign
from shared.errors import NotPermitted, WrongState

_LONGEST_REASON = 500  # as in a request
_TRIED_AGAIN = frozenset({State.FAILED, State.UNRESOLVED, State.OBSERVED})


def approved(current: Revocation, approval: Approval, *, second_person: bool) -> Revocation:
    """Return the record with an approval of its current plan, received again.

    `second_person`: the reporter of the leak may not approve. The author of an order never may. Raises
    NotPermitted.
    """
    if current.state is not State.AWAITING_APPROVAL or current.plan is None:
        raise _wrong(current, "only a plan that awaits approval can be approved")
    if current.deadline is not None and current.deadline < approval.at:
        raise WrongState(
            f"The deadline for approval passed at {current.deadline:%Y-%m-%d %H:%M} UTC. Retry it: Sasquash then "
            "creates a new plan for the account's current state."
        )
    if current.plan.digest != approval.digest:
        raise WrongState("The plan has changed. Read the new plan and approve that.")
    reporter = current.finding.reported_by
    takes_two = second_person or current.finding.order is not None
    if takes_two and reporter is not None and approval.by is not None and reporter.object_id == approval.by.object_id:
        raise NotPermitted("A second person is required: the reporter or author of an order can't approve it.")
    detail = f"Approved by {approval.who}. {_quoted(approval.reason)}"
    return replace(current, approval=approval).reach(State.RECEIVED, now=approval.at, detail=detail)


def overdue(current: Revocation, *, now: datetime) -> Revocation | None:
    """Return the record of a plan whose deadline has passed; None before it, or if somebody has decided."""
    if current.state is not State.AWAITING_APPROVAL or current.deadline is None or now < current.deadline:
        return None
    until = f"{current.deadline:%Y-%m-%d %H:%M} UTC"
    if current.at_deadline is AtDeadline.REVOKE and current.plan is not None:
        approval = Approval(None, now, current.plan.digest, "")
        detail = f"No decision by {until}; revoked according to SASQUASH_AT_DEADLINE."
        return replace(current, approval=approval).reach(State.RECEIVED, now=now, detail=detail)
    detail = (
        f"No decision by {until}. The credential still works. Retry the record to create a new plan, then approve or "
        "reject that plan."
    )
    return current.end(Reason.UNDECIDED, now=now, detail=detail)


def rejected(current: Revocation, *, by: str, reason: str, now: datetime) -> Revocation:
    """Return the record as dismissed: a responder rejected its plan."""
    if current.state is not State.AWAITING_APPROVAL:
        raise _wrong(current, "only a plan that awaits approval can be rejected")
    return current.end(Reason.REJECTED, now=now, detail=f"Rejected by {by}. {_quoted(reason)}")


def retried(current: Revocation, *, by: str, reason: str, now: datetime) -> Revocation:
    """Return the record to be processed again; also one whose deadline for approval has passed."""
    overdue = current.deadline is not None and current.deadline < now
    if current.state not in _TRIED_AGAIN and not (current.state is State.AWAITING_APPROVAL and overdue):
        raise _wrong(current, "only failed, unresolved, observed or overdue records can be retried")
    if current.execution is not None and current.reason is not Reason.LOCKDOWN_UNDONE:
        raise WrongState("Its action already ran. See its history.")
    if current.finding.credential is None and current.finding.order is None:
        raise WrongState("It stands for an unreadable report. Send the report again in a valid format.")
    return reopened(current, now=now, detail=f"Retried by {by}. {_quoted(reason)}")


def way_back(current: Revocation) -> tuple[LockedDown, AccountFacts]:
    """Return the lockdown that can be undone, and the account that is locked down."""
    if current.lockdown is None or current.account is None:
        raise WrongState("It has no lockdown to undo.")
    if current.lockdown.undone_at is not None:
        raise WrongState(f"Its lockdown was undone at {current.lockdown.undone_at:%Y-%m-%d %H:%M} UTC.")
    if current.state is State.RECEIVED:
        raise _wrong(current, "it is being processed")
    return current.lockdown, current.account


def unlocked(current: Revocation, undone: LockedDown, *, by: str, reason: str, now: datetime) -> Revocation:
    """Return the record after its lockdown was undone. A leak that was only blocked may work again."""
    opened = replace(current, lockdown=undone)
    if current.finding.credential is None:
        return opened.reach(State.CLOSED, now=now, detail=f"The lockdown was undone by {by}. {_quoted(reason)}")
    why = _quoted(reason)
    detail = f"The lockdown was undone by {by}. The leaked credential was never revoked and may work again. {why}"
    return opened.end(Reason.LOCKDOWN_UNDONE, now=now, detail=detail)


def _quoted(reason: str) -> Foreign:
    """Return a person's reason, which may quote anything."""
    return Foreign(reason, limit=_LONGEST_REASON)


def _wrong(current: Revocation, rule: str) -> WrongState:
    why = f" ({current.reason})" if current.reason is not None else ""
    return WrongState(f"The record is {current.state}{why}: {rule}. Read it again.")
