"""What another report does to the record of a leak that is known already. Pure."""

from dataclasses import replace
from datetime import datetime, timedelta

from shared.finding import Finding
from shared.revocation import REOPENED_BY_A_NEW_REPORT, Reason, Revocation, Sighting, State

_REOPEN_AFTER = timedelta(minutes=1)  # sooner, it is the same report again
_MOST_SIGHTINGS = 20


def with_report(current: Revocation, finding: Finding, *, now: datetime) -> Revocation | None:
    """Return the record with this report noted, to be looked at anew (`received`) if that may change the verdict.

    None where it changes nothing.
    """
    noted = _with_sighting(current, finding)
    if _reopens(current, now=now):
        return _reopened(noted, now=now)
    return noted if noted is not current else None


def _with_sighting(current: Revocation, finding: Finding) -> Revocation:
    seen = {(s.source, s.url) for s in current.sightings} | {(current.finding.source, current.finding.url)}
    if (finding.source, finding.url) in seen or len(current.sightings) >= _MOST_SIGHTINGS:
        return current
    sighting = Sighting(finding.source, finding.url, finding.detected_at)
    return replace(current, sightings=(*current.sightings, sighting))


def _reopens(current: Revocation, *, now: datetime) -> bool:
    """A key may have come back, a right been granted, an account been made. What a pull ended stays ended."""
    ended = current.state in REOPENED_BY_A_NEW_REPORT or current.reason is Reason.NOT_OURS
    return ended and current.pull is None and now - current.changes[-1].at > _REOPEN_AFTER


def _reopened(current: Revocation, *, now: datetime) -> Revocation:
    """Return the record as if it had just been reported; whom it told and where it is filed stays known."""
    anew = current.reach(State.RECEIVED, now=now, detail="Reported again: looking at it anew.")
    return replace(
        anew,
        key_name=None,
        key_sha256=None,
        attributed_at=None,
        decided_by="",
        plan=None,
        deadline=None,
        owners=None,
        owners_rejected=(),
        looked_for_account=0,
    )
