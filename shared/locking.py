"""The work on one account while its lock is ours: settle what a predecessor left, decide and pull, write it down."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from shared.account_table import PULL_TIME, REST, AccountTable, Intent, Rotation, waiting_partition
from shared.accounts import AccountRef
from shared.conclusion import Conclusion
from shared.errors import Blocked, Busy, PassingFailure, SasquashError
from shared.pulling import HeldLock
from shared.revocation import Pull, Revocation
from shared.takeover import Takeover
from shared.targets import CUTS_OFF_MANY
from shared.under_lock import UnderLock

_log = logging.getLogger(__name__)


class LockedWork:
    """Takes an account's lock, has all that waits for it decided, and gives the lock back when the records stand."""

    def __init__(
        self,
        *,
        table: AccountTable,
        takeover: Takeover,
        under_lock: UnderLock,
        conclusion: Conclusion,
        clock: Callable[[], datetime],
    ) -> None:
        self._table = table
        self._takeover = takeover
        self._under_lock = under_lock
        self._conclusion = conclusion
        self._clock = clock

    async def contain(self, ref: AccountRef, revocation: Revocation, *, urgent: bool = False) -> None:
        """Bring `revocation`, and what else waits for the account, to a verdict.

        What a person approved, or asks for just now (`urgent`), does not wait until the account has rested. Raises
        Busy, PassingFailure, AccountGone or Blocked.
        """
        urgent = urgent or revocation.approval is not None
        async with self.locked(ref.name, revocation.fingerprint, urgent=urgent) as held:
            if held.lock.predecessor is not None:
                await self._settle(held, held.lock.predecessor, ref)
            decided = await self._turns(held, ref, revocation)
            if decided is not None and revocation.fingerprint not in decided:
                raise Busy(f"The lever of another leak of {ref.name} came first.", retry_after=REST.total_seconds())

    async def _turns(self, held: HeldLock, ref: AccountRef, revocation: Revocation) -> set[str] | None:
        """Take turns for `revocation` and what waits, as long as keys listed once suffice and the lock lasts.

        Returns whose records were saved, None where others have decided on `revocation`.
        """
        saved: set[str] = set()
        following: Revocation | None = revocation
        keys = None
        while following is not None and held.lock.intent.deadline - self._clock() > PULL_TIME:
            partitions = (ref.name, waiting_partition(following.finding))
            turn = await self._under_lock.decide_and_pull(held, ref, following, partitions=partitions, keys=keys)
            if turn is None:
                return saved or None
            await self._keep(held, ref, turn.records)
            saved |= {record.fingerprint for record in turn.records}
            following = turn.next if turn.next is not None and turn.next.fingerprint not in saved else None
            keys = turn.keys
        return saved

    @asynccontextmanager
    async def locked(self, account: str, fingerprint: str, *, urgent: bool = False) -> AsyncIterator[HeldLock]:
        """Hold the account's lock, for as long as it allows. Raises Busy, or PassingFailure when time is up.

        `urgent` is as in `AccountTable.acquire`.
        """
        held = HeldLock(await self._table.acquire(account, fingerprint=fingerprint, urgent=urgent))
        left = (held.lock.intent.deadline - self._clock()).total_seconds()
        try:
            async with asyncio.timeout(left):
                yield held
        except TimeoutError:
            raise PassingFailure(f"The work on account {account} took longer than its lock allows.") from None
        finally:
            if not held.uncertain:
                await self._release(held)

    async def _settle(self, held: HeldLock, predecessor: Intent, ref: AccountRef) -> None:
        """Write down what a predecessor did. Until that is known the lock, which says what to look for, is kept.

        Where Azure refuses to tell, other leaks of the account don't wait for it.
        """
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
        if first.pull is not None and first.pull.lever in CUTS_OFF_MANY:
            await self._table.add_rotation(ref.name, _rotation(first.pull, first.fingerprint))
        await self._conclusion.conclude(first)
        await asyncio.gather(*(self._conclusion.conclude(record) for record in others))
        held.uncertain = False

    async def _release(self, held: HeldLock) -> None:
        try:
            await self._table.release(held.lock, listed_at=held.listed_at)
        except SasquashError as error:
            # Not worth failing for: the lock ends by itself, and what was done under it is recorded.
            _log.warning("The lock of %s stays until it ends: %s", held.lock.account, error)


def _rotation(pull: Pull, fingerprint: str) -> Rotation:
    return Rotation(pull.lever, pull.target, pull.at, fingerprint, pull.new_sha256)
