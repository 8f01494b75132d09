"""Writes a verdict into the record, and enqueues the follow-up and the next attempt at what was refused."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from shared.domain.execution import Execution
from shared.domain.revocation import Revocation
from shared.domain.states import OF_THE_PATH, State
from shared.domain.target import CUTS_OFF_MANY
from shared.errors import Conflict
from shared.persistence.account_rows import Rotation
from shared.persistence.store import Store

_LONGEST_IN_QUEUE = 3600.0  # seconds


async def conclude(store: Store, revocation: Revocation) -> None:
    """Save a verdict and enqueue the follow-up. A record that others changed meanwhile is left as they wrote it.

    The follow-up is enqueued even then: "others" are we ourselves where the answer to a first attempt was lost.
    A leak that was reported meanwhile with a path that the verdict does not know is weighed again.
    """
    try:
        await store.revocations.save(revocation, what=revocation.detail)
    except Conflict:
        onto = partial(_onto, revocation)
        saved = await store.revocations.change(revocation.fingerprint, onto, what=revocation.detail)
        if saved is None and await _is_undecided(store, revocation.fingerprint):
            await store.queues.contain(revocation.fingerprint, delay=0.0)
            return
    await asyncio.gather(
        store.accounts.remove_waiting(revocation.finding),
        store.queues.follow_up(revocation.fingerprint),
        _try_again(store, revocation),
    )


async def _try_again(store: Store, revocation: Revocation) -> None:
    """Enqueue the next attempt at an action that was refused. That of a day later is found by the sweep."""
    due = revocation.next_attempt
    delay = (due - store.clock()).total_seconds() if due is not None else None
    if delay is not None and delay <= _LONGEST_IN_QUEUE:
        await store.queues.contain(revocation.fingerprint, delay=max(delay, 0.0))


async def conclude_all(store: Store, account: str, records: Sequence[Revocation]) -> None:
    """Save what was decided under an account's lock, the record of an execution first."""
    if not records:
        return
    first, *others = records
    execution = first.execution
    if execution is not None and execution.is_ours and execution.action in CUTS_OFF_MANY:
        await store.accounts.add_rotation(account, _rotation(execution, first.fingerprint))
    await conclude(store, first)
    await asyncio.gather(*(conclude(store, record) for record in others))


def _rotation(execution: Execution, fingerprint: str) -> Rotation:
    return Rotation(execution.action, execution.target, execution.at, fingerprint, execution.new_sha256)


async def _is_undecided(store: Store, fingerprint: str) -> bool:
    current = await store.revocations.read(fingerprint)
    return current is not None and current.state is State.RECEIVED


def _onto(decided: Revocation, current: Revocation) -> Revocation | None:
    """Return `decided` with what others added to the record meanwhile; None when it was decided by them.

    None too when what they added may change it.

    An execution is always recorded, whatever others decided while it was on its way.
    """
    if current.state is not State.RECEIVED and (decided.execution is None or current.execution is not None):
        return None
    if _is_outdated(decided, current):
        return None
    return replace(
        decided,
        paths=decided.paths if decided.paths.verified else current.paths,
        elsewhere=decided.elsewhere if decided.paths.verified else current.elsewhere,
        changes=current.changes_with(decided.changes[-1]),
        sightings=current.sightings,
        named_alerts=current.named_alerts,
        leases=current.leases,
        filed=current.filed,
        notifications=current.notifications,
        announced=current.announced,
        liveness=current.liveness or decided.liveness,
        head=current.head,
        etag=current.etag,
        written=current.written,
        as_read=current.as_read,
    )


def _is_outdated(decided: Revocation, current: Revocation) -> bool:
    """Whether others added a path that the verdict does not know, or Azure has accepted the token meanwhile."""
    if decided.paths.verified or decided.execution is not None:
        return False
    if current.elsewhere.waiting or current.finding.host != decided.finding.host:
        return True
    return current.paths.verified or (decided.reason in OF_THE_PATH and not current.weighed(decided.to_weigh))
