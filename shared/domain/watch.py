"""Which decided leaks are watched, since what others do may change the verdict, and until when. Pure."""

from datetime import UTC, datetime, timedelta
from enum import Enum

from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.domain.target import CAN_BE_UNDONE_BY_OTHERS

FOR_EVER = datetime(2200, 1, 1, tzinfo=UTC)
DORMANT = frozenset({Reason.POLICY_GONE, Reason.POLICY_EXPIRED})
_UNDECIDED = frozenset({State.OBSERVED, State.AWAITING_APPROVAL})
_EXECUTED = frozenset({State.PROVEN, State.CLOSED, State.FAILED})
_BLOCKED = frozenset({Reason.IN_EFFECT, Reason.STILL_ALIVE})


_DAY = timedelta(days=1)
_MOST_REVIVALS = 3  # a day, at reports


class Watch(Enum):
    """For what a record is watched."""

    NOTHING = "nothing"
    DORMANT = "dormant"  # its policy is missing or expired, and may be put back
    ENDED = "ended"  # its policy was ended, for it or for another leak, and may be put back
    BLOCKED = "blocked"  # an action keeps it out while it is in effect, and others may undo that
    OPEN = "open"  # nobody has revoked it yet, and somebody may by hand


def watch(revocation: Revocation) -> Watch:
    """Return for what the record is watched, whatever the time. Of orders only what blocks an account is."""
    credential, execution = revocation.finding.credential, revocation.execution
    if _is_blocked(revocation):
        return Watch.BLOCKED
    if credential is None or revocation.key_sha256 is None:
        return Watch.NOTHING
    if revocation.reason in DORMANT:
        return Watch.DORMANT
    ended = execution is not None and execution.action in CAN_BE_UNDONE_BY_OTHERS and revocation.state in _EXECUTED
    if credential.policy is not None and (ended or revocation.reason is Reason.COVERED):
        return Watch.ENDED
    waits = revocation.state in _UNDECIDED or revocation.reason is Reason.UNDECIDED
    return Watch.OPEN if waits and execution is None and revocation.signer is not None else Watch.NOTHING


def _is_blocked(revocation: Revocation) -> bool:
    """Whether an action keeps the leak out, or did until somebody undid that. A lockdown is in `proven` meanwhile."""
    execution, locked = revocation.execution, revocation.lockdown
    if execution is None or execution.revokes or locked is None or locked.undone_at is not None:
        return False
    return revocation.reason in _BLOCKED


def watched_until(revocation: Revocation) -> datetime | None:
    """Return until when the record is watched: its token's end, or for ever; None where it is not.

    One that is dormant or blocked is watched after that, too: it ends as expired then.
    """
    credential, kind = revocation.finding.credential, watch(revocation)
    if kind is Watch.BLOCKED and credential is None:
        return FOR_EVER
    if credential is None or kind is Watch.NOTHING:
        return None
    return FOR_EVER if kind in (Watch.DORMANT, Watch.BLOCKED) or credential.ends is None else credential.ends


def waits_for_the_daily_check(revocation: Revocation, *, now: datetime) -> bool:
    """Whether reports check the record no more today: something keeps putting its policy back.

    Each revival is news. Without a bound, anyone who reports the leak could have people mailed every minute.
    """
    lately = [one for one in revocation.changes if one.reason is Reason.REVIVED and now - one.at < _DAY]
    return len(lately) >= _MOST_REVIVALS
