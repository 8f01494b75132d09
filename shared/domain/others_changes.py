"""What somebody else did to the key or policy of a leak: which change it is, and what Azure's logs say of who. Pure.

Either they revoked the leak by hand, or they put back what we had ended.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.changed_by import Unknown
from shared.domain.execution import Execution
from shared.domain.revocation import Change, Revocation
from shared.domain.states import Reason, State

_LOGS_LAG = timedelta(minutes=20)
"""By then an entry is in Azure's logs, in most cases ("Log data ingestion time in Azure Monitor")."""


@dataclass(frozen=True, slots=True)
class OthersChange:
    """A change that others made to the `target` of `action`, not before `since`.

    `known` is the record's change that it led to. `own` are our executions on the target since then.
    """

    known: Change
    execution: Execution
    since: datetime
    own: tuple[Execution, ...]
    is_undoing: bool


def others_change(revocation: Revocation) -> OthersChange | None:
    """Return what others did last, as far as the record shows it."""
    execution, undone = revocation.execution, revocation.undone
    if execution is not None and not execution.is_ours:
        by_hand = _last(revocation, State.CONTAINED)
        since = revocation.signer.at if revocation.signer is not None else revocation.received_at
        return OthersChange(by_hand, execution, since, (), is_undoing=False) if by_hand is not None else None
    revived = _last(revocation, State.RECEIVED, Reason.REVIVED)
    if undone is None or revived is None:
        return None
    own = (undone, *((execution,) if execution is not None else ()))
    return OthersChange(revived, undone, undone.at, own, is_undoing=True)


def lookup_due_in(revocation: Revocation, *, now: datetime) -> float | None:
    """Return in how many seconds to look up who it was; None where that is settled, or nobody else did anything.

    At once, and once more when the logs have it, if they did not at first.
    """
    change, known = others_change(revocation), revocation.changed_by
    if change is None or revocation.account is None or revocation.state is State.RECEIVED:
        return None
    if known is None or known.change != change.known:
        return 0.0
    complete = change.known.at + _LOGS_LAG
    if known.unknown is not Unknown.NOT_FOUND or known.at >= complete:
        return None
    return max((complete - now).total_seconds(), 0.0)


def _last(revocation: Revocation, state: State, reason: Reason | None = None) -> Change | None:
    matching = (one for one in reversed(revocation.changes) if (one.state, one.reason) == (state, reason))
    return next(matching, None)
