"""Takes an account's lock, ahead of time where the account is known, and gives it back."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from shared.cloud.accounts import AccountRef
from shared.containment.execution import HeldLock
from shared.errors import SasquashError, TransientFailure
from shared.persistence.accounts import AccountLock
from shared.persistence.store import Store

_log = logging.getLogger(__name__)

EARLY_PATIENCE = 5.0  # seconds, for a lock that may not be needed


@dataclass(slots=True)
class EarlyLock:
    """A lock that is being acquired before it is known whether it is needed.

    The caller that asked for it gives it back if it was not taken.
    """

    ref: AccountRef
    acquiring: asyncio.Task[AccountLock] | None

    async def take(self) -> AccountLock:
        """Return the lock, which belongs to the caller from now on. Raises AccountBusy or TransientFailure."""
        if self.acquiring is None:
            raise ValueError("a lock is taken once")
        try:
            lock = await asyncio.shield(self.acquiring)
        except SasquashError:
            self.acquiring = None
            raise
        self.acquiring = None
        return lock

    async def is_held(self) -> bool:
        """Whether the lock was acquired, and not taken."""
        if self.acquiring is None:
            return False
        await asyncio.wait({self.acquiring}, timeout=EARLY_PATIENCE)
        return self.acquiring.done() and self.acquiring.exception() is None


@asynccontextmanager
async def holding(store: Store, lock: AccountLock) -> AsyncIterator[HeldLock]:
    """Hold a lock for as long as it allows; release it unless it is open what was done under it.

    Raises TransientFailure when its time is up.
    """
    held = HeldLock(lock)
    left = (held.lock.intent.deadline - store.clock()).total_seconds()
    try:
        async with asyncio.timeout(left):
            yield held
    except TimeoutError:
        raise TransientFailure(f"The work on account {lock.account} took longer than its lock allows.") from None
    finally:
        if not held.uncertain:
            await _release(store, held)


async def _release(store: Store, held: HeldLock) -> None:
    try:
        await store.accounts.release(held.lock, listed_at=held.listed_at)
    except SasquashError as error:
        # Not worth failing for: the lock expires by itself, and what was done under it is recorded.
        _log.warning("The lock of %s stays until it expires: %s", held.lock.account, error)
