"""What another report does to the record of a leak that is known already. Pure."""

from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.alert import AlertReference
from shared.domain.finding import Finding
from shared.domain.revocation import Revocation, Sighting
from shared.domain.states import REOPENED_BY_A_NEW_REPORT, Reason, State

_REOPEN_AFTER = timedelta(minutes=1)  # sooner, it is the same report again
_REPEATED_FOR = timedelta(seconds=30)
_MOST_SIGHTINGS = 20
_HEARD_AGAIN = timedelta(days=1)  # that a rejected leak was reported again, from another place
_HEARD_AGAIN_ALIKE = timedelta(days=7)  # the same report: a scan that is repeated each night finds it each night
_LONGEST_SIGHTINGS = 6000  # characters of sources and URLs together: a record's column holds 32 K of them


def with_report(current: Revocation, finding: Finding, *, now: datetime) -> Revocation | None:
    """Return the record with this report noted, to be evaluated again (`received`) if that may change the verdict.

    None where it changes nothing. A path that is new may be the right one: it is tried at once.
    """
    noted = _with_evidence(_with_sighting(current, finding).with_readings(finding), finding)
    if noted.finding.evidence != current.finding.evidence and current.reason is Reason.COVERED:
        return reopened(noted, now=now, detail="Seen in use later than first reported: it is evaluated again.")
    is_new_path = len(noted.unknown_paths(finding)) < len(current.unknown_paths(finding))
    is_new_place = current.has_new_places(finding) and not noted.has_new_places(finding)
    if (is_new_path or is_new_place) and ended_unverified(current):
        again = resumed if current.reason is Reason.BLOCKED else reopened
        what = "another path" if is_new_path else "another address"
        return again(noted, now=now, detail=f"Reported again with {what}: it is evaluated again.")
    if _reopens(current, now=now):
        again = resumed if current.reason is Reason.BLOCKED else reopened
        return again(noted, now=now, detail="Reported again: it is evaluated again.")
    noted = _heard(noted, now=now, pause=_HEARD_AGAIN if noted is not current else _HEARD_AGAIN_ALIKE)
    return noted if noted is not current else None


def says_nothing_until(current: Revocation, *, now: datetime) -> datetime:
    """Return until when the report that the record has just been given may be repeated without changing it."""
    until = now + _REPEATED_FOR
    return min(until, current.changes[-1].at + _REOPEN_AFTER) if _may_reopen(current) else until


def _with_sighting(current: Revocation, finding: Finding) -> Revocation:
    first = current.finding
    seen = {(s.source, s.url, s.alert) for s in current.sightings} | {(first.source, first.url, first.alert)}
    if (finding.source, finding.url, finding.alert) in seen:
        return current
    sightings = (*current.sightings, Sighting(finding.source, finding.url, finding.detected_at, finding.alert))
    length = sum(len(sighting.source) + len(sighting.url or "") for sighting in sightings)
    if len(sightings) <= _MOST_SIGHTINGS and length <= _LONGEST_SIGHTINGS:
        return replace(current, sightings=sightings)
    return _with_alert(current, finding.alert)


def _with_alert(current: Revocation, alert: AlertReference | None) -> Revocation:
    """Return the record with the alert of a report that it has no place to show, so that it is checked, too."""
    if alert is None or alert in current.alerts or current.has_settled(alert):
        return current
    named = current.named_alerts.with_alert(alert)
    return replace(current, named_alerts=named) if named != current.named_alerts else current


def _with_evidence(current: Revocation, finding: Finding) -> Revocation:
    """Return the record with the latest time at which its token was seen in use.

    Anyone who knows a token can report it first, with a time before its key was made: it would seem to be revoked.
    """
    known, reported = current.finding.evidence, finding.evidence
    if known is None or reported is None or current.execution is not None or reported.seen_at <= known.seen_at:
        return current
    return replace(current, finding=replace(current.finding, evidence=reported))


def _heard(current: Revocation, *, now: datetime, pause: timedelta) -> Revocation:
    """Return the record so that people are notified that a rejected leak was reported again, if it is one."""
    if current.reason is not Reason.REJECTED:
        return current
    last = current.reported_again_at or current.changes[-1].at
    due = now - last > (pause if current.reported_again_at is not None else _REOPEN_AFTER)
    return replace(current, reported_again_at=now) if due else current


def _reopens(current: Revocation, *, now: datetime) -> bool:
    """A key may be back, a right may have been granted, an account created, a policy re-created.

    What an execution revoked stays revoked. A lockdown that was undone does not keep the leak out any more.
    """
    return _may_reopen(current) and now - current.changes[-1].at > _REOPEN_AFTER


def ended_unverified(current: Revocation) -> bool:
    """Whether the record has ended, and another path of the same leak may prove that it is valid.

    What has expired is refused at each path, and what was covered was valid.
    """
    return _may_reopen(current) or (current.reason is Reason.REJECTED and not current.paths.verified)


def _may_reopen(current: Revocation) -> bool:
    if current.reason is Reason.OTHER_SERVICE:
        return False  # no report changes what it is
    ended = current.state in REOPENED_BY_A_NEW_REPORT or current.reason is Reason.NOT_OURS
    may_live = current.execution is None or current.reason is Reason.LOCKDOWN_UNDONE
    return ended and may_live


def due_again(current: Revocation, *, now: datetime) -> Revocation | None:
    """Return a record whose action was refused, to be tried again; None before that is due."""
    refusal, due = current.refusal, current.next_attempt
    if refusal is None or due is None or now < due:
        return None
    return resumed(current, now=now, detail=f"Tried again. Before: {refusal.cause}")


def resumed(current: Revocation, *, now: datetime, detail: str) -> Revocation:
    """Return a record whose action was refused, to be evaluated again as it stands.

    Its approval holds as long as the plan does, or anyone who reports the leak could undo it.
    """
    return replace(current.reach(State.RECEIVED, now=now, detail=detail), account_lookups=0, waits_for_arm=False)


def revived(current: Revocation, *, now: datetime, detail: str) -> Revocation:
    """Return the record of a leak that is valid again, to be decided on as if it were new: all of it is news."""
    ended = current.execution
    undone = replace(ended, verification_tokens=()) if ended is not None else None
    anew = reopened(current, now=now, detail=detail, reason=Reason.REVIVED)
    return replace(anew, undone=undone, usage=None, remains=None)


def reopened(current: Revocation, *, now: datetime, detail: str, reason: Reason | None = None) -> Revocation:
    """Return the record as if it had just been reported; its notifications and its incident stay known.

    An approval was of the previous evaluation. The first of two is kept: containment drops it where the plan has
    changed. Which key signed it stays known, and that Azure accepted its token once; anything less may be asked
    again. The account's settings before its lockdown stay until that is undone: they are the only way back.
    """
    anew = current.reach(State.RECEIVED, now=now, detail=detail, reason=reason)
    undone = current.lockdown is None or current.lockdown.undone_at is not None
    return replace(
        anew,
        key_name=None,
        policy=None,
        key_sha256=None,
        attributed_at=None,
        decided_by="",
        plan=None,
        deadline=None,
        liveness=current.liveness if current.accepted else None,
        first_approval=current.first_approval if current.approval is None else None,
        approval=None,
        rejections=(),
        evidence_check=None,
        reported_again_at=None,
        execution=None,
        verification=None,
        key_distribution=None,
        lockdown=None if undone else current.lockdown,
        owners=None,
        owners_rejected=(),
        account_lookups=0,
        waits_for_arm=False,
        refusal=None,
        elsewhere=current.elsewhere.again(),
    )
