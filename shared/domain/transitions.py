"""What a person's act makes of a record, and when it may not be done. Pure.

Every act raises WrongState where the record is not in a state for it; the message says what to do instead.
"""

from dataclasses import replace
from datetime import datetime

from shared.domain.account import AccountFacts
from shared.domain.decision.duplicates import reopened
from shared.domain.revocation import Approval, AtDeadline, LockedDown, Reason, Revocation, State
from shared.errors import NotPermitted, WrongState

_TRIED_AGAIN = frozenset({State.FAILED, State.UNRESOLVED, State.OBSERVED})


def approved(current: Revocation, approval: Approval, *, second_person: bool) -> Revocation:
    """Return the record on its way to the lever, with a person's yes to the plan that it has now.

    `second_person`: who reported the leak may not approve. An order is never approved by who gave it. Raises
    NotPermitted.
    """
    if current.state is not State.AWAITING_APPROVAL or current.plan is None:
        raise _wrong(current, "only a plan that awaits approval can be approved")
    if current.deadline is not None and current.deadline < approval.at:
        raise WrongState(
            f"The time to approve ended at {current.deadline:%Y-%m-%d %H:%M} UTC. Retry: it is weighed anew, as the "
            "account is now."
        )
    if current.plan.digest != approval.digest:
        raise WrongState("The plan is another one by now. Read it, and approve that one if it is right.")
    reporter = current.finding.reported_by
    takes_two = second_person or current.finding.order is not None
    if takes_two and reporter is not None and approval.by is not None and reporter.object_id == approval.by.object_id:
        raise NotPermitted("This takes a second person: who reported or ordered it can't approve it.")
    detail = f"Approved by {approval.who}. {approval.reason}"
    return replace(current, approval=approval).reach(State.RECEIVED, now=approval.at, detail=detail)


def overdue(current: Revocation, *, now: datetime) -> Revocation | None:
    """Return the record of a plan whose deadline has come; None where it has not, or somebody has decided."""
    if current.state is not State.AWAITING_APPROVAL or current.deadline is None or now < current.deadline:
        return None
    until = f"{current.deadline:%Y-%m-%d %H:%M} UTC"
    if current.at_deadline is AtDeadline.REVOKE and current.plan is not None:
        approval = Approval(None, now, current.plan.digest, "")
        detail = f"Nobody decided until {until}, and the settings have it revoked then."
        return replace(current, approval=approval).reach(State.RECEIVED, now=now, detail=detail)
    detail = (
        f"Nobody decided until {until}: the credential still works. Retry the record, so that the plan is made anew, "
        "and approve or reject that."
    )
    return current.end(Reason.UNDECIDED, now=now, detail=detail)


def rejected(current: Revocation, *, by: str, reason: str, now: datetime) -> Revocation:
    """Return the record as dismissed: a person decided that its plan is not to be carried out."""
    if current.state is not State.AWAITING_APPROVAL:
        raise _wrong(current, "only a plan that awaits approval can be rejected")
    return current.end(Reason.REJECTED, now=now, detail=f"Rejected by {by}. {reason}")


def retried(current: Revocation, *, by: str, reason: str, now: datetime) -> Revocation:
    """Return the record to be looked at anew; so may be one whose time to approve is over."""
    overdue = current.deadline is not None and current.deadline < now
    if current.state not in _TRIED_AGAIN and not (current.state is State.AWAITING_APPROVAL and overdue):
        raise _wrong(current, "only what failed, is unresolved, was only observed or is overdue can be retried")
    if current.execution is not None and current.reason is not Reason.LOCKDOWN_UNDONE:
        raise WrongState("Its lever was pulled already. What is left of it, its history says.")
    if current.finding.credential is None and current.finding.order is None:
        raise WrongState("It stands for a report that could not be read: send that again, in a form that can be.")
    return reopened(current, now=now, detail=f"Retried by {by}. {reason}")


def way_back(current: Revocation) -> tuple[LockedDown, AccountFacts]:
    """Return the lockdown that can be undone, and the account that is locked down."""
    if current.lockdown is None or current.account is None:
        raise WrongState("It locked nothing down, so there is nothing to undo.")
    if current.lockdown.undone_at is not None:
        raise WrongState(f"Its lockdown was undone at {current.lockdown.undone_at:%Y-%m-%d %H:%M} UTC already.")
    if current.state is State.RECEIVED:
        raise _wrong(current, "it is being worked on")
    return current.lockdown, current.account


def unlocked(current: Revocation, undone: LockedDown, *, by: str, reason: str, now: datetime) -> Revocation:
    """Return the record of an account that is open again. A leak that was only kept out may come in again."""
    opened = replace(current, lockdown=undone)
    if current.finding.credential is None:
        return opened.reach(State.CLOSED, now=now, detail=f"The lockdown was undone by {by}. {reason}")
    detail = f"The lockdown was undone by {by}, and what leaked was never revoked: it may work again. {reason}"
    return opened.end(Reason.LOCKDOWN_UNDONE, now=now, detail=detail)


def _wrong(current: Revocation, rule: str) -> WrongState:
    why = f" ({current.reason})" if current.reason is not None else ""
    return WrongState(f"The record is {current.state}{why}: {rule}. Read it again.")
