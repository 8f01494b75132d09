"""Which records retention may remove. Pure."""

from datetime import datetime

from shared.domain.decision.attribution import expired
from shared.domain.pending_steps import outstanding
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State

PRUNED = (State.CLOSED, State.DISMISSED)
"""The states of records that have ended. All others wait for somebody or something."""


def last_change(revocation: Revocation) -> datetime:
    """Return when a record was last written with a line of history."""
    changed = revocation.changes[-1].at if revocation.changes else revocation.received_at
    return max(changed, revocation.head.at) if revocation.head is not None else changed


def prunable(revocation: Revocation, *, before: datetime, now: datetime) -> bool:
    """Whether a record ended before that time, has nothing open, and its leak can't become valid again.

    A token of a stored access policy is valid again if somebody re-creates or extends the policy, until the token's
    own end. If it has none, its record stays. A leak that people have rejected works until its end: without its
    record the next report would be decided as a new one.
    """
    if revocation.state not in PRUNED or last_change(revocation) >= before or outstanding(revocation, now=now):
        return False
    credential = revocation.finding.credential
    ends = credential is None or (credential.policy is None and revocation.reason is not Reason.REJECTED)
    return ends or (credential is not None and expired(credential, now=now) is not None)
