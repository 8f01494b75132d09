"""The work on one account while its lock is ours: settle what a predecessor left, decide and pull, write it down.

Where the account of a leak is known, its lock may be asked for while the leak is being written down. Nothing is
decided or pulled before both stand.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from shared.cloud.accounts import AccountRef
from shared.containment.batch import UnderLock
from shared.containment.execution import HeldLock
from shared.containment.recovery import Recovery
from shared.containment.verdicts import VerdictWriter
from shared.domain.revocation import Execution, Revocation
from shared.domain.target import CUTS_OFF_MANY
from shared.errors import AccountBusy, Blocked, SasquashError, TransientFailure
from shared.persistence.accounts import (
    COOLDOWN,
    EXECUTION_TIME,
    AccountLock,
    AccountTable,
    Rotation,
    waiting_partition,
)

_log = logging.getLogger(__name__)

_AHEAD_PATIENCE = 5.0  # seconds, for a lock that may not be needed


class EarlyLock:
    """A lock that was asked for before it is known whether it is needed. Who asked gives it back, if it is not."""

    def __init__(self, ref: AccountRef, acquiring: asyncio.Task[AccountLock]) -> None:
        self.ref = ref
        self._acquiring: asyncio.Task[AccountLock] | None = acquiring

    async def taken(self) -> AccountLock:
        """Return the lock: it is whoever's that called this, from now on. Raises AccountBusy or TransientFailure."""
        if self._acquiring is None:
            raise ValueError("a lock is taken once")
        try:
            lock = await asyncio.shield(self._acquiring)
        except SasquashError:
            self._acquiring = None
            raise
        self._acquiring = None
        return lock

    async def is_held(self) -> bool:
        """Whether the lock was had, and nobody has taken it."""
        if self._acquiring is None:
            return False
        await asyncio.wait({self._acquiring}, timeout=_AHEAD_PATIENCE)
        return self._acquiring.done() and self._acquiring.exception() is None

    def unused(self) -> asyncio.Task[AccountLock] | None:
        """Return what brings the lock, None where somebody took it."""
        return self._acquiring


class AccountSessions:
    """Takes an account's lock, has all that waits for it decided, and gives the lock back when the records stand."""

    def __init__(
        self,
        *,
        table: AccountTable,
        takeover: Recovery,
        under_lock: UnderLock,
        conclusion: VerdictWriter,
        clock: Callable[[], datetime],
    ) -> None:
        self._table = table
        self._takeover = takeover
        self._under_lock = under_lock
        self._conclusion = conclusion
        self._clock = clock
        self._giving_back: set[asyncio.Task[None]] = set()

    def lock_ahead(self, ref: AccountRef, fingerprint: str) -> EarlyLock:
        """Ask for the account's lock, to be taken by `contain` or given back to `give_back`."""
        return EarlyLock(ref, asyncio.create_task(self._table.acquire(ref.name, fingerprint=fingerprint)))

    async def give_back(self, ahead: EarlyLock) -> None:
        """Give a lock back that was not needed after all, now or as soon as it is there."""
        acquiring = ahead.unused()
        if acquiring is None:
            return
        giving_back = asyncio.create_task(self._given_back(ahead.ref, acquiring))
        self._giving_back.add(giving_back)
        giving_back.add_done_callback(self._giving_back.discard)
        await asyncio.wait({giving_back}, timeout=_AHEAD_PATIENCE)
        if giving_back.done():
            giving_back.result()

    async def _given_back(self, ref: AccountRef, acquiring: asyncio.Task[AccountLock]) -> None:
        """What a predecessor left under the lock is settled first; where Azure refuses to tell, the lock is kept."""
        try:
            async with self._holding(await acquiring) as held:
                try:
                    await self._settle(held, ref)
                except Blocked:
                    held.uncertain = True  # who needs the lock next is told by Azure, too
                    raise
        except SasquashError as error:
            _log.info("The lock of %s was not needed: %s", ref.name, error)

    async def contain(
        self, ref: AccountRef, revocation: Revocation, *, urgent: bool = False, ahead: EarlyLock | None = None
    ) -> None:
        """Bring `revocation`, and what else waits for the account, to a verdict.

        What a person approved, or asks for just now (`urgent`), does not wait until the account has rested. `ahead`
        is the account's lock, if it was asked for already.

        Raises AccountBusy, TransientFailure, AccountGone or Blocked.
        """
        urgent = urgent or revocation.approval is not None
        if ahead is not None:
            lock = await ahead.taken()
        else:
            lock = await self._table.acquire(ref.name, fingerprint=revocation.fingerprint, urgent=urgent)
        async with self._holding(lock) as held:
            await self._settle(held, ref)
            decided = await self._turns(held, ref, revocation)
            if decided is not None and revocation.fingerprint not in decided:
                raise AccountBusy(
                    f"The lever of another leak of {ref.name} came first, or the lock's time was up.",
                    retry_after=COOLDOWN.total_seconds(),
                )

    async def _turns(self, held: HeldLock, ref: AccountRef, revocation: Revocation) -> set[str] | None:
        """Take turns for `revocation` and what waits, as long as keys listed once suffice and the lock lasts.

        Returns whose records were saved, None where others have decided on `revocation`.
        """
        saved: set[str] = set()
        following: Revocation | None = revocation
        keys = None
        while following is not None and held.lock.intent.deadline - self._clock() > EXECUTION_TIME:
            partitions = (ref.name, waiting_partition(following.finding))
            turn = await self._under_lock.decide_and_execute(held, ref, following, partitions=partitions, keys=keys)
            if turn is None:
                return saved or None
            await self._keep(held, ref, turn.records)
            saved |= {record.fingerprint for record in turn.records}
            following = turn.next if turn.next is not None and turn.next.fingerprint not in saved else None
            keys = turn.keys
        return saved

    @asynccontextmanager
    async def locked(self, account: str, fingerprint: str, *, urgent: bool = False) -> AsyncIterator[HeldLock]:
        """Hold the account's lock, for as long as it allows. Raises AccountBusy, or TransientFailure when time is up.

        `urgent` is as in `AccountTable.acquire`.
        """
        lock = await self._table.acquire(account, fingerprint=fingerprint, urgent=urgent)
        async with self._holding(lock) as held:
            yield held

    @asynccontextmanager
    async def _holding(self, lock: AccountLock) -> AsyncIterator[HeldLock]:
        held = HeldLock(lock)
        left = (held.lock.intent.deadline - self._clock()).total_seconds()
        try:
            async with asyncio.timeout(left):
                yield held
        except TimeoutError:
            raise TransientFailure(f"The work on account {lock.account} took longer than its lock allows.") from None
        finally:
            if not held.uncertain:
                await self._release(held)

    async def _settle(self, held: HeldLock, ref: AccountRef) -> None:
        """Write down what a predecessor did, if there was one.

        Until that is known the lock, which says what to look for, is kept. Where Azure refuses to tell, other leaks
        of the account don't wait for it.
        """
        predecessor = held.lock.predecessor
        if predecessor is None:
            return
        held.uncertain = True
        try:
            settled = await self._takeover.settle(predecessor, ref)
        except Blocked:
            held.uncertain = False
            raise
        held.uncertain = bool(settled)
        await self._keep(held, ref, settled)

    async def _keep(self, held: HeldLock, ref: AccountRef, decided: list[Revocation]) -> None:
        """Write what was decided under the lock, the record that tells of a pull first."""
        if not decided:
            return
        first, *others = decided
        if first.execution is not None and first.execution.action in CUTS_OFF_MANY:
            await self._table.add_rotation(ref.name, _rotation(first.execution, first.fingerprint))
        await self._conclusion.conclude(first)
        await asyncio.gather(*(self._conclusion.conclude(record) for record in others))
        held.uncertain = False

    async def _release(self, held: HeldLock) -> None:
        try:
            await self._table.release(held.lock, listed_at=held.listed_at)
        except SasquashError as error:
            # Not worth failing for: the lock ends by itself, and what was done under it is recorded.
            _log.warning("The lock of %s stays until it ends: %s", held.lock.account, error)


def _rotation(execution: Execution, fingerprint: str) -> Rotation:
    return Rotation(execution.action, execution.target, execution.at, fingerprint, execution.new_sha256)
