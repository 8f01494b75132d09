"""The pending steps of a decided record (events, incident, mail, alerts, closing), and its verification. Pure.

Each is due once for each state and reason: a leak that is reported again and ends as before is no news. A request for
approval is due each time: the plan is another one then, or the deadline had passed. All is due again after a revival
(`news.py`), and a refusal for each cause.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.alert import AlertReference
from shared.domain.approval import EvidenceOutcome
from shared.domain.decision.duplicates import reopened
from shared.domain.execution import Execution, Outcome, Verification
from shared.domain.news import (
    announcements_that_count,
    is_filed_since_revival,
    last_change_to,
    notifications_that_count,
)
from shared.domain.revocation import Change, Filed, Notification, Revocation
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind

_WITHOUT_INCIDENT = frozenset({State.RECEIVED, State.DISMISSED})
_WITHOUT_USAGE = frozenset({State.RECEIVED, State.DISMISSED})
LOGS_LAG = timedelta(minutes=20)
_MAIL_PATIENCE = timedelta(minutes=2)  # how long the mail about a revocation waits for its verification
_IN_EFFECT = (
    "Verified with tokens of our own: the action is in effect. The leaked credential is blocked, but not revoked."
)
_ANEW = "The leaked credential is decided on anew, without this action."
_MAILED = frozenset(
    {State.OBSERVED, State.AWAITING_APPROVAL, State.CONTAINED, State.PROVEN, State.UNRESOLVED, State.FAILED}
)


def unannounced(revocation: Revocation) -> list[Change]:
    """Return the changes that were not published yet, oldest first."""
    known = {
        (change.state, change.reason, change.revivals, change.cause)
        for change in revocation.announced
        if change.state is not State.AWAITING_APPROVAL
    }
    return [
        change
        for change in revocation.changes
        if change.state is not State.RECEIVED
        and (change.state, change.reason, change.revivals, change.cause) not in known
        and change not in revocation.announced
    ]


def unfiled(revocation: Revocation) -> bool:
    """Whether an incident has to be filed or updated."""
    filed = revocation.filed
    has_one = revocation.state not in _WITHOUT_INCIDENT
    if filed is None or (filed.shared and has_one and mailed_at_once(revocation)):
        return has_one
    if (filed.state, filed.reason) != (revocation.state, revocation.reason):
        return True
    if not is_filed_since_revival(revocation, filed) or _has_another_cause(revocation, filed):
        return True
    # The incident does not record its plan: it is updated with each request for approval.
    if revocation.state is not State.AWAITING_APPROVAL:
        return False
    if filed.change is None:  # a row of an earlier version does not say which request it shows
        return unnotified(revocation)
    asked = last_change_to(revocation, State.AWAITING_APPROVAL)
    return (filed.change, filed.confirmed_at) != (asked, confirmed_at(revocation))


def reported_again(revocation: Revocation) -> bool:
    """Whether people have to be notified that a rejected leak was reported again."""
    again = revocation.reported_again_at
    if revocation.reason is not Reason.REJECTED or again is None:
        return False
    return not any(
        sent.reason is Reason.REJECTED and (sent.again == again if sent.change is not None else sent.at >= again)
        for sent in notifications_that_count(revocation)
    )


def unnotified(revocation: Revocation) -> bool:
    """Whether a mail about the record's state is due."""
    if reported_again(revocation):
        return True
    if revocation.state not in _MAILED:
        return False
    at_once = mailed_at_once(revocation)
    return not any(
        _notifies_of_state(sent, revocation) and (bool(sent.to) or not at_once)
        for sent in notifications_that_count(revocation)
    )


def _notifies_of_state(sent: Notification, revocation: Revocation) -> bool:
    """Whether a mail was about the record's state; about this very request, where the record awaits approval."""
    if (sent.state, sent.reason) != (revocation.state, revocation.reason):
        return False
    if _has_another_cause(revocation, sent):
        return False
    if revocation.state is not State.AWAITING_APPROVAL:
        return True
    asked = last_change_to(revocation, State.AWAITING_APPROVAL)
    if sent.change is not None:
        return sent.change == asked and sent.confirmed_at == confirmed_at(revocation)
    since = (asked.at if asked is not None else None, confirmed_at(revocation))
    return all(moment is None or sent.at >= moment for moment in since)


def confirmed_at(revocation: Revocation) -> datetime | None:
    """Return when an alert was read that confirms the evidence; None where none does.

    People are asked again then. Nothing else that an alert says changes what they were asked, so that a stranger who
    names alerts sends no mails.
    """
    check = revocation.evidence_check
    return check.at if check is not None and check.outcome is EvidenceOutcome.CONFIRMED else None


def _has_another_cause(revocation: Revocation, known: Notification | Filed) -> bool:
    """Whether Azure refuses for another cause by now than what people know."""
    refusal, change = revocation.refusal, known.change
    if revocation.reason is not Reason.BLOCKED or refusal is None or change is None:
        return False
    return change.cause != refusal.cause_id


def confirmed(revocation: Revocation) -> bool:
    """Whether owners are notified: the signature is verified, Azure accepts the token, or people have decided.

    Anyone can make up a token, and its report must not wake the owner of the account in it.
    """
    liveness, execution = revocation.liveness, revocation.execution
    by_hand = execution is not None and not execution.is_ours  # there is no plan then
    return (revocation.plan is not None or by_hand) and (
        revocation.key_name is not None
        or execution is not None
        or (revocation.finding.order is not None and revocation.finding.evidence is None)
        or (liveness is not None and liveness.alive is True)
    )


def mailed_at_once(revocation: Revocation) -> bool:
    """Whether it gets a mail and an incident of its own; the rest shares both with others of its kind.

    The signature is verified, or Azure accepts it, or people ordered it, or one of them has decided on it, or the
    service of an alert confirms its evidence. Everything else can be made up by the thousand: evidence, malformed
    events, messages in our queues, forged tokens. Histories that were changed have one record a day.
    """
    return revocation.key_name is not None or _attested(revocation) or confirmed(revocation)


def _attested(revocation: Revocation) -> bool:
    """Whether a person, the service of an alert, or Sasquash itself answers for it."""
    ordered = revocation.finding.order is not None and revocation.finding.evidence is None
    decided_on = revocation.first_approval is not None or bool(revocation.rejections)
    check = revocation.evidence_check
    is_confirmed = check is not None and check.outcome is EvidenceOutcome.CONFIRMED
    return ordered or decided_on or is_confirmed or revocation.reason is Reason.TAMPERED


def shares_incident(revocation: Revocation) -> bool:
    """Whether its incident is that of its kind. One that has its own keeps it."""
    has_own = revocation.filed is not None and not revocation.filed.shared
    return not has_own and revocation.state not in _WITHOUT_INCIDENT and not mailed_at_once(revocation)


def left_incident(revocation: Revocation) -> bool:
    """Whether it is in the incident of a kind that it is no longer of: it changed, or it is confirmed."""
    filed = revocation.filed
    if filed is None or not filed.shared:
        return False
    is_same = (filed.state, filed.reason) == (revocation.state, revocation.reason)
    return not is_same or not shares_incident(revocation)


def unread_alerts(revocation: Revocation) -> tuple[AlertReference, ...]:
    """Return the alerts of a record that may confirm its evidence, and were not read again yet.

    None once one has confirmed it.
    """
    check = revocation.evidence_check
    if check is None:
        return revocation.alerts
    if check.outcome is EvidenceOutcome.CONFIRMED:
        return ()
    read = {one.alert for one in check.read}
    return tuple(alert for alert in revocation.alerts if alert not in read)


def needs_evidence_check(revocation: Revocation) -> bool:
    """Whether alerts have to be read again at their services: before people are asked, and when more are named."""
    return _asks_about_evidence(revocation) and (revocation.evidence_check is None or bool(unread_alerts(revocation)))


def awaits_evidence_check(revocation: Revocation) -> bool:
    """Whether people are to be asked once the evidence was checked. They do not wait for alerts named later."""
    return _asks_about_evidence(revocation) and revocation.evidence_check is None


def _asks_about_evidence(revocation: Revocation) -> bool:
    return revocation.state is State.AWAITING_APPROVAL and revocation.finding.evidence is not None


def incident_due(revocation: Revocation) -> bool:
    """Whether to file or update the incident now, once the owners are known and evidence was read again."""
    return unfiled(revocation) and not needs_owners(revocation) and not awaits_evidence_check(revocation)


def needs_owners(revocation: Revocation) -> bool:
    """Whether the owners have to be found, before the incident and the mail that name them."""
    unknown = revocation.owners is None and revocation.account is not None and confirmed(revocation)
    return unknown and (unfiled(revocation) or unnotified(revocation))


def mail_due_in(revocation: Revocation, *, now: datetime) -> float | None:
    """Return in how many seconds to mail the record's state, once its owners are known; None if nothing is due."""
    if not unnotified(revocation) or needs_owners(revocation) or awaits_evidence_check(revocation):
        return None
    execution = revocation.execution
    if not awaits_verification(revocation) or execution is None:
        return 0.0
    return max((execution.at + _MAIL_PATIENCE - now).total_seconds(), 0.0)


def open_alerts(revocation: Revocation) -> tuple[AlertReference, ...]:
    """Return the alerts of other tools to close, now that the leak is revoked.

    A lockdown does not revoke; a leak that was covered by another finding's action is revoked.
    """
    execution = revocation.execution
    revoked = revocation.state in (State.PROVEN, State.CLOSED) and execution is not None and execution.revokes
    if not revoked and revocation.reason is not Reason.COVERED:
        return ()
    return tuple(alert for alert in revocation.alerts if not revocation.has_settled(alert))


def closable(revocation: Revocation) -> bool:
    """Whether all is done: verified, filed, notified and published. A lockdown stays open until it is undone.

    What may stay keeps no record open once the leak itself is revoked. Alerts beyond the first reports
    are closed in a closed record, too: a flood of them would keep it open for good.
    """
    locked, alerts = revocation.lockdown, open_alerts(revocation)
    return (
        revocation.state is State.PROVEN
        and revocation.filed is not None
        and not revocation.filed.shared
        and any(sent.state is State.PROVEN for sent in notifications_that_count(revocation))
        and any(change.state is State.PROVEN for change in announcements_that_count(revocation))
        and not any(alert in revocation.shown_alerts for alert in alerts)
        and (locked is None or not locked.keeps_open)
    )


def next_check(revocation: Revocation) -> datetime | None:
    """Return when a record has to be checked although nothing is outstanding before: the deadline of its plan, or
    the next attempt at an action that was refused. None for no time.
    """
    if revocation.state is State.AWAITING_APPROVAL:
        return revocation.deadline
    return revocation.next_attempt


def outstanding(revocation: Revocation, *, now: datetime) -> bool:
    """Whether anything is left to do about a record, including waiting for a verdict or a verification.

    A plan that awaits approval is not outstanding before its deadline, once people are notified; nor is an action
    that was refused before its next attempt.
    """
    if revocation.state is State.RECEIVED or awaits_verification(revocation):
        return True
    due = next_check(revocation)
    if due is not None and due <= now:
        return True
    news = unfiled(revocation) or unnotified(revocation) or bool(unannounced(revocation))
    news = news or needs_evidence_check(revocation)
    rest = needs_key_distribution(revocation) or bool(open_alerts(revocation)) or closable(revocation)
    return news or rest


def awaits_verification(revocation: Revocation) -> bool:
    """Whether an action was executed, and it is not known yet what came of it."""
    return revocation.state is State.CONTAINED and revocation.reason is not Reason.IN_EFFECT


def needs_key_distribution(revocation: Revocation) -> bool:
    """Whether the new key has to be written where its consumers read it."""
    execution = revocation.execution
    regenerated = execution is not None and execution.is_ours and execution.action is ActionKind.ACCOUNT_KEY
    return regenerated and revocation.key_distribution is None


def usage_due_in(revocation: Revocation, *, now: datetime) -> float | None:
    """Return in how many seconds to query the storage logs for the leak; None if they are not to be queried.

    Once before people are notified, and once more when requests just before the revocation are in the logs, which lag
    by minutes.
    """
    if revocation.account is None or revocation.state in _WITHOUT_USAGE or not confirmed(revocation):
        return None
    usage, execution = revocation.usage, revocation.execution
    if usage is None:
        return 0.0
    if usage.unknown or execution is None or usage.at >= execution.at + LOGS_LAG:
        return None
    return max((execution.at + LOGS_LAG - now).total_seconds(), 0.0)


def needs_residual_check(revocation: Revocation) -> bool:
    """Whether to check what stays exposed after the revocation. A lockdown needs no check: it closes the account."""
    execution = revocation.execution
    return execution is not None and execution.revokes and revocation.remains is None


def with_verification(revocation: Revocation, verification: Verification) -> Revocation | None:
    """Return the record with its verification and without its tokens. None when it does not wait for one.

    A leak that its action does not block in time is decided on anew: its key's plan follows.
    """
    if not awaits_verification(revocation) or revocation.execution is None:
        return None
    before = revocation.verification
    if verification.outcome is Outcome.ARM_ONLY and before is not None and before.accepted:
        # The verification tokens expired before the next check: the last result counts.
        evidence = (*verification.evidence, *before.evidence[1:], "No verification token is left for another check.")
        verification = replace(verification, outcome=Outcome.STILL_ALIVE, evidence=evidence, accepted=True)
    proven = replace(
        revocation, verification=verification, execution=replace(revocation.execution, verification_tokens=())
    )
    if verification.outcome is Outcome.IN_EFFECT:
        return proven.end(Reason.IN_EFFECT, now=verification.at, detail=_IN_EFFECT)
    if verification.outcome is Outcome.NOT_ENFORCED:
        locked = revocation.lockdown
        proven = replace(
            proven, lockdown=replace(locked, ineffective_at=verification.at) if locked is not None else None
        )
        if can_be_decided_anew(revocation):
            return reopened(proven, now=verification.at, detail=f"{' '.join(verification.evidence)} {_ANEW}")
    if verification.outcome in (Outcome.STILL_ALIVE, Outcome.NOT_ENFORCED):
        detail = f"The action ran, but the credential may still be accepted. {' '.join(verification.evidence)}"
        return proven.end(Reason.STILL_ALIVE, now=verification.at, detail=detail)
    return proven.reach(State.PROVEN, now=verification.at, detail=_proven(revocation.execution, verification))


def can_be_decided_anew(revocation: Revocation) -> bool:
    """Whether another action is known for the leak of a record: the one on the key that signed it."""
    return revocation.finding.credential is not None and revocation.key_sha256 is not None


def _proven(execution: Execution, verification: Verification) -> str:
    if not execution.revokes:
        return "The lockdown is in effect, according to ARM. The leaked credential is blocked, but not revoked."
    return (
        f"Verified revoked {'by ARM only' if verification.outcome is Outcome.ARM_ONLY else 'with tokens of our own'}."
    )
