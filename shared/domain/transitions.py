"""The decisions of people on a record: approve, reject, retry, undo a rejection or a lockdown; its deadline. Pure.

Each raises WrongState if the record's state does not allow it; the message says what to do instead.
"""

from dataclasses import replace
from datetime import datetime

from shared.domain.account import AccountFacts
from shared.domain.approval import Approval, AtDeadline, Rejection
from shared.domain.caller import Caller
from shared.domain.decision.duplicates import reopened, resumed
from shared.domain.decision.people import APPROVER, quorum_of, rejecters, reporters
from shared.domain.execution import LockedDown
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.domain.text import Foreign
from shared.errors import NotAPerson, NotPermitted, WrongState

_LONGEST_REASON = 500  # as in a request
_TRIED_AGAIN = frozenset({State.FAILED, State.UNRESOLVED, State.OBSERVED})


def approved(current: Revocation, approval: Approval, *, second_person: bool) -> Revocation:
    """Return the record with an approval of its current plan: received again, or waiting for a second approver.

    `second_person`: the reporter of the leak may not approve. Who gave or reported an order never may. Raises
    NotPermitted, or NotAPerson.
    """
    check_person(approval.by)
    if current.state is not State.AWAITING_APPROVAL or current.plan is None:
        raise _wrong(current, "only a plan that awaits approval can be approved")
    if current.deadline is not None and current.deadline < approval.at:
        raise WrongState(
            f"The deadline for approval passed at {current.deadline:%Y-%m-%d %H:%M} UTC. Retry it: Sasquash then "
            "creates a new plan for the account's current state."
        )
    if current.plan.digest != approval.digest:
        raise WrongState("The plan has changed. Read the new plan and approve that.")
    quorum, first = quorum_of(current), current.first_approval
    takes_two = second_person or quorum.is_order
    if takes_two and approval.by is not None and approval.by.object_id in reporters(current.finding):
        raise NotPermitted("A second person is required: the reporter or author of an order can't approve it.")
    detail = f"Approved by {approval.who}. {_quoted(approval.reason)}"
    if quorum.is_met_by((*((first,) if first is not None else ()), approval)):
        return replace(current, approval=approval).reach(State.RECEIVED, now=approval.at, detail=detail)
    if first is not None:
        raise NotPermitted(
            "You have approved this plan already. It takes two approvers: the second approval has to come from "
            f"another person with the role {APPROVER}."
        )
    waits = f"{detail} 1 of 2 approvals is there: another person with the role {APPROVER} has to approve, too."
    return replace(current, first_approval=approval).reach(State.AWAITING_APPROVAL, now=approval.at, detail=waits)


def held_to(current: Revocation, setting: AtDeadline) -> Revocation:
    """Return a record that awaits approval with what happens at its deadline.

    That was set with the request. `SASQUASH_AT_DEADLINE` as it is now counts where it is stricter.
    """
    waits = current.state is State.AWAITING_APPROVAL
    if waits and current.at_deadline is AtDeadline.REVOKE and setting is AtDeadline.ESCALATE:
        return replace(current, at_deadline=AtDeadline.ESCALATE)
    return current


def overdue(current: Revocation, *, now: datetime, setting: AtDeadline) -> Revocation | None:
    """Return the record of a plan whose deadline has passed; None before it, or if somebody has decided.

    `setting` is `SASQUASH_AT_DEADLINE` as it is now.
    """
    if current.state is not State.AWAITING_APPROVAL or current.deadline is None or now < current.deadline:
        return None
    until, current = f"{current.deadline:%Y-%m-%d %H:%M} UTC", held_to(current, setting)
    if current.at_deadline is AtDeadline.REVOKE and current.plan is not None:
        approval = Approval(None, now, current.plan.digest, "")
        detail = f"No decision by {until}; revoked according to SASQUASH_AT_DEADLINE."
        return replace(current, approval=approval).reach(State.RECEIVED, now=now, detail=detail)
    detail = (
        f"No decision by {until}.{_missing(current)} The credential still works. Retry the record to create a new "
        "plan, then approve or reject that plan."
    )
    return current.end(Reason.UNDECIDED, now=now, detail=detail)


def _missing(current: Revocation) -> str:
    """Return who was missing at the deadline, where one of two people has decided."""
    if current.first_approval is not None:
        return (
            f" {current.first_approval.who} approved the plan, and a second approver is missing: a person with the "
            f"role {APPROVER}. That approval stays valid as long as the plan does not change."
        )
    if current.rejections:
        return (
            f" {current.rejections[-1].by} rejected the plan, and a second approver is missing: a person with the "
            f"role {APPROVER}."
        )
    return ""


def rejected(current: Revocation, rejection: Rejection) -> Revocation:
    """Return the record as dismissed, or waiting for a second approver to reject it. Raises NotPermitted, NotAPerson.

    A leak that works and is severe takes two people: a rejection leaves it valid.
    """
    check_person(rejection.by)
    if current.state is not State.AWAITING_APPROVAL:
        raise _wrong(current, "only a plan that awaits approval can be rejected")
    others = tuple(one for one in current.rejections if one.by.object_id != rejection.by.object_id)
    given = replace(current, rejections=(*others, rejection))
    people = " and ".join(str(one.by) for one in given.rejections)
    detail = f"Rejected by {people}. {_quoted(rejection.reason)}"
    if len(given.rejections) >= rejecters(current, now=rejection.at):
        ended = replace(given, first_approval=None)
        return ended.end(Reason.REJECTED, now=rejection.at, detail=detail)
    if len(others) < len(current.rejections):
        raise NotPermitted(
            "You have rejected this plan already. The leaked credential works and its severity is high: another "
            f"person with the role {APPROVER} has to reject it, too."
        )
    waits = (
        f"{detail} 1 of 2 rejections is there, because the leaked credential works and its severity is high: another "
        f"person with the role {APPROVER} has to reject it, too. Until then it can be approved."
    )
    return given.reach(State.AWAITING_APPROVAL, now=rejection.at, detail=waits)


def reconsidered(current: Revocation, *, by: Caller, reason: str, now: datetime, is_approver: bool) -> Revocation:
    """Return a rejected record, to be processed again: its rejection is undone by an approver who did not give it.

    Raises NotPermitted, or NotAPerson.
    """
    check_person(by)
    if not is_approver:
        raise NotPermitted(f"Undoing a rejection requires the app role {APPROVER}.")
    if any(one.by.object_id == by.object_id for one in current.rejections):
        raise NotPermitted("You have rejected it: another approver has to undo that.")
    return reopened(current, now=now, detail=f"The rejection was undone by {by}. {_quoted(reason)}")


def retried(current: Revocation, *, by: str, reason: str, now: datetime) -> Revocation:
    """Return the record to be processed again; also one whose deadline for approval has passed."""
    overdue = current.deadline is not None and current.deadline < now
    if current.state not in _TRIED_AGAIN and not (current.state is State.AWAITING_APPROVAL and overdue):
        raise _wrong(current, "only failed, unresolved, observed or overdue records can be retried")
    if current.execution is not None and current.reason is not Reason.LOCKDOWN_UNDONE:
        raise WrongState("Its action already ran. See its history.")
    if current.finding.other is not None:
        raise WrongState("It is a credential of another Azure service, which Sasquash does not revoke.")
    if current.finding.credential is None and current.finding.order is None:
        raise WrongState("It stands for an unreadable report. Send the report again in a valid format.")
    again = resumed if current.reason is Reason.BLOCKED else reopened
    return again(current, now=now, detail=f"Retried by {by}. {_quoted(reason)}")


def way_back(current: Revocation) -> tuple[LockedDown, AccountFacts]:
    """Return the lockdown that can be undone, and the account that is locked down."""
    if current.lockdown is None or current.account is None:
        raise WrongState("It has no lockdown to undo.")
    if current.lockdown.undone_at is not None:
        when = f"{current.lockdown.undone_at:%Y-%m-%d %H:%M} UTC"
        raise WrongState(f"Its {current.lockdown.name} was undone at {when}.")
    if current.state is State.RECEIVED:
        raise _wrong(current, "it is being processed")
    return current.lockdown, current.account


def unlocked(current: Revocation, undone: LockedDown, *, by: str, reason: str, now: datetime) -> Revocation:
    """Return the record after its lockdown was undone. A leak that was only blocked may work again."""
    opened = replace(current, lockdown=undone)
    done = f"The {undone.name} was undone by {by}."
    if current.finding.credential is None:
        return opened.reach(State.CLOSED, now=now, detail=f"{done} {_quoted(reason)}")
    is_revoked = current.execution is not None and current.execution.revokes
    if is_revoked or undone.ineffective_at is not None or current.state is State.DISMISSED:
        return opened  # it is no longer what keeps the leak out
    detail = f"{done} The leaked credential was never revoked and may work again. {_quoted(reason)}"
    return opened.end(Reason.LOCKDOWN_UNDONE, now=now, detail=detail)


def check_person(by: Caller | None) -> None:
    """Raise NotAPerson for an application, whatever roles it has."""
    if by is None or not by.is_person:
        raise NotAPerson(
            "The access token is an application's, and only a person can decide this. Sign in as a user who has the "
            f"role {APPROVER}, in the console or by `az login`."
        )


def _quoted(reason: str) -> Foreign:
    """Return a person's reason, which may quote anything."""
    return Foreign(reason, limit=_LONGEST_REASON)


def _wrong(current: Revocation, rule: str) -> WrongState:
    why = f" ({current.reason})" if current.reason is not None else ""
    return WrongState(f"The record is {current.state}{why}: {rule}. Read it again.")
