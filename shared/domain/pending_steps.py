"""What is due about a decided record: what to announce, file and tell, and what a proof makes of it. Pure.

Everything is due once for each state and reason: a leak that is reported again and ends as before is old news. What a
person is to decide is due as often as it is asked: it is another plan then, or the time to decide was over.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.alert import AlertReference
from shared.domain.revocation import Change, Execution, Outcome, Reason, Revocation, State, Verification
from shared.domain.target import ActionKind

_WITHOUT_INCIDENT = frozenset({State.RECEIVED, State.DISMISSED})
_WITHOUT_USAGE = frozenset({State.RECEIVED, State.DISMISSED})
LOGS_LAG = timedelta(minutes=20)
_MAILED = frozenset(
    {State.OBSERVED, State.AWAITING_APPROVAL, State.CONTAINED, State.PROVEN, State.UNRESOLVED, State.FAILED}
)


def unannounced(revocation: Revocation) -> list[Change]:
    """Return the changes that are still to be announced, oldest first."""
    known = {(change.state, change.reason) for change in revocation.announced} - {(State.AWAITING_APPROVAL, None)}
    return [
        change
        for change in revocation.changes
        if change.state is not State.RECEIVED
        and (change.state, change.reason) not in known
        and change not in revocation.announced
    ]


def unfiled(revocation: Revocation) -> bool:
    """Whether an incident is to be filed, or shows something else than the record."""
    filed = revocation.filed
    if filed is None:
        return revocation.state not in _WITHOUT_INCIDENT
    # What was filed does not say of which plan: the incident is brought up to date whenever people are asked anew.
    asks = revocation.state is State.AWAITING_APPROVAL and unnotified(revocation)
    return asks or (filed.state, filed.reason) != (revocation.state, revocation.reason)


def unnotified(revocation: Revocation) -> bool:
    """Whether people are to be mailed what the record has come to."""
    if revocation.state not in _MAILED:
        return False
    now = (revocation.state, revocation.reason)
    asked = revocation.reached(State.AWAITING_APPROVAL) if revocation.state is State.AWAITING_APPROVAL else None
    return not any(
        (told.state, told.reason) == now and (asked is None or told.at >= asked) for told in revocation.notifications
    )


def confirmed(revocation: Revocation) -> bool:
    """Whether owners are to hear of it: it is a leak by arithmetic or by Azure's own word, or people have decided.

    Anyone can make up a token, and have its report wake whoever owns the account it names.
    """
    liveness = revocation.liveness
    return revocation.plan is not None and (
        revocation.key_name is not None
        or revocation.execution is not None
        or (revocation.finding.order is not None and revocation.finding.evidence is None)
        or (liveness is not None and liveness.alive is True)
    )


def mailed_at_once(revocation: Revocation) -> bool:
    """Whether it is worth a mail of its own; the rest goes into the digest.

    Arithmetic has shown that a key of ours is behind it, or Azure that it lives, or people are at it, or Defender saw
    it being used; or it is trouble of our own.
    """
    trouble = revocation.reason in (Reason.UNDELIVERED, Reason.UNREAD, Reason.CRASHED)
    ordered = revocation.finding.order is not None
    return revocation.key_name is not None or ordered or trouble or confirmed(revocation)


def open_alerts(revocation: Revocation) -> tuple[AlertReference, ...]:
    """Return the alerts of other tools that are to be closed, now that the leak is dead.

    A lockdown kills nothing; what ended with another leak's key is as dead as that.
    """
    execution = revocation.execution
    killed = (
        revocation.state in (State.PROVEN, State.CLOSED)
        and execution is not None
        and execution.action is not ActionKind.LOCKDOWN
    )
    if not killed and revocation.reason is not Reason.COVERED:
        return ()
    closed = {closed.alert for closed in revocation.closed_alerts}
    return tuple(alert for alert in revocation.alerts if alert not in closed)


def closable(revocation: Revocation) -> bool:
    """Whether all is done: proven, filed, told and announced. A lockdown stays open until somebody undoes it.

    One whose `after` is empty was never put on: another lever came in its place.
    """
    locked = revocation.lockdown
    return (
        revocation.state is State.PROVEN
        and revocation.filed is not None
        and any(told.state is State.PROVEN for told in revocation.notifications)
        and any(change.state is State.PROVEN for change in revocation.announced)
        and not open_alerts(revocation)
        and (locked is None or not locked.after or locked.undone_at is not None)
    )


def outstanding(revocation: Revocation, *, now: datetime) -> bool:
    """Whether there is something left to do about a record, be it only to wait for a verdict or a proof.

    A plan that waits for a person is not outstanding before its deadline, once all have been told.
    """
    if revocation.state in (State.RECEIVED, State.CONTAINED):
        return True
    if revocation.state is State.AWAITING_APPROVAL and revocation.deadline is not None and revocation.deadline <= now:
        return True
    news = unfiled(revocation) or unnotified(revocation) or bool(unannounced(revocation))
    rest = needs_key_distribution(revocation) or bool(open_alerts(revocation)) or closable(revocation)
    return news or rest


def needs_key_distribution(revocation: Revocation) -> bool:
    """Whether the new key is still to be put where its consumers read it."""
    execution = revocation.execution
    regenerated = execution is not None and execution.action is ActionKind.ACCOUNT_KEY
    return regenerated and revocation.key_distribution is None


def usage_due_in(revocation: Revocation, *, now: datetime) -> float | None:
    """Return in how many seconds the storage logs are to be asked about the leak; None where they are not to be.

    Once as soon as people are to hear of it; and once more when what was done just before the kill is sure to be in
    the logs, which lag by minutes.
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
    """Whether it is to be looked at what stays open, now that the leak was revoked. A lockdown closes the account."""
    execution = revocation.execution
    return execution is not None and execution.action is not ActionKind.LOCKDOWN and revocation.remains is None


def with_verification(revocation: Revocation, verification: Verification) -> Revocation | None:
    """Return the record with its proof; the proof tokens have served and go. None when it is not waiting for one."""
    if revocation.state is not State.CONTAINED or revocation.execution is None:
        return None
    before = revocation.verification
    if verification.outcome is Outcome.ARM_ONLY and before is not None and before.accepted:
        # The proof tokens expired before anyone could ask again: what was seen last is what counts.
        evidence = (*verification.evidence, *before.evidence[1:], "No proof token is left to ask again with.")
        verification = replace(verification, outcome=Outcome.STILL_ALIVE, evidence=evidence, accepted=True)
    proven = replace(
        revocation, verification=verification, execution=replace(revocation.execution, verification_tokens=())
    )
    if verification.outcome is Outcome.STILL_ALIVE:
        detail = (
            f"The lever was pulled, and yet the credential may still be in force. {' '.join(verification.evidence)}"
        )
        return proven.end(Reason.STILL_ALIVE, now=verification.at, detail=detail)
    return proven.reach(State.PROVEN, now=verification.at, detail=_proven(revocation.execution, verification))


def _proven(execution: Execution, verification: Verification) -> str:
    if execution.action is ActionKind.LOCKDOWN:
        return "The lockdown stands, by ARM; what leaked is kept out, and not revoked."
    return f"Proven dead {'by ARM only' if verification.outcome is Outcome.ARM_ONLY else 'by tokens of our own'}."
