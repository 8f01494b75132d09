"""A session on one account, while its lock is ours: settle what a predecessor left, read, record what was decided.

Where the account of a leak is known, its lock may be acquired while the leak's record is written. Nothing is decided
or run before both stand.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace

from shared.actions.action import signer
from shared.actions.stored_policy import Revived
from shared.cloud.accounts import AccountRef
from shared.cloud.arm_throttle import ArmPace
from shared.containment.account_lock import EARLY_PATIENCE, EarlyLock, holding
from shared.containment.account_reader import AccountReader, Reading
from shared.containment.execution import HeldLock
from shared.containment.recovery import Recovery
from shared.containment.verdicts import conclude_all
from shared.domain.decision.evaluation import Evaluation
from shared.domain.decision.snapshot import Snapshot
from shared.domain.finding import Finding
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.errors import AccountBusy, Blocked, SasquashError
from shared.persistence.account_rows import Intent
from shared.persistence.accounts import COOLDOWN, EXECUTION_TIME, AccountLock
from shared.persistence.store import Store

_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class AccountSession:
    """What is done while the lock of `ref` is held for `revocation`. `concluded` are the records saved so far."""

    store: Store
    reader: AccountReader
    recovery: Recovery
    ref: AccountRef
    revocation: Revocation
    held: HeldLock
    concluded: set[str] = field(default_factory=set)

    @property
    def has_time(self) -> bool:
        """Whether the lock lasts long enough for another action."""
        return self.held.lock.intent.deadline - self.store.clock() > EXECUTION_TIME

    async def read(self) -> Snapshot | None:
        """Return what a batch is decided on; None where another instance has decided on the leak meanwhile.

        What earlier holders of the lock did is recorded first, if Azure says it by now. Raises as
        `AccountReader.read`.
        """
        self.held.listed_at = self.store.clock()
        reading = await self.reader.read(self.ref, self.revocation)
        if reading.unsettled:
            reading = await self._settled(reading)
        current = reading.record
        if current is None or current.state is not State.RECEIVED:
            self.concluded.add(self.revocation.fingerprint)
            return None
        self.revocation = current
        return reading.snapshot

    async def _settled(self, reading: Reading) -> Reading:
        """Record what earlier holders did, and read again; without the leaks of those of which Azure still won't say.

        Raises Blocked where the leak that the lock was acquired for is one of these.
        """
        unknown: set[str] = set()
        for intent in reading.unsettled:
            try:
                settled = await self.recovery.settle(intent, self.ref)
            except Blocked:
                if self.revocation.fingerprint in intent.suspects:
                    raise
                unknown.update(intent.suspects)
                continue
            await _settled(self.store, self.ref, intent, settled)
        return (await self.reader.read(self.ref, self.revocation)).without(unknown)

    async def record_of(self, leak: Evaluation) -> Revocation | None:
        """Return the record of a leak that waits.

        None where it has been decided already, was never written, or can't be read.
        """
        fingerprint = leak.finding.fingerprint
        if fingerprint == self.revocation.fingerprint:
            return self.revocation
        record = await self.store.revocations.readable(fingerprint)
        return record if record is not None and record.state is State.RECEIVED else None

    async def late(self, snapshot: Snapshot) -> tuple[Finding, ...]:
        """Return the leaks that came since `snapshot` was read, of those that can be evaluated by it."""
        return await self.reader.late(self.ref, self.revocation, snapshot)

    async def outcomes(
        self, leaks: Collection[Evaluation], outcome: Callable[[Evaluation, Revocation], Revocation | None]
    ) -> list[Revocation]:
        """Return the records of `leaks` in their new state; not of those whose own batch is still to come."""
        records = await asyncio.gather(*(self.record_of(leak) for leak in leaks))
        decided = (outcome(leak, record) for leak, record in zip(leaks, records, strict=True) if record is not None)
        return [record for record in decided if record is not None]

    async def conclude(self, records: Collection[Revocation], *, snapshot: Snapshot) -> None:
        """Save what was decided, the record of an execution first, and enqueue the follow-ups.

        A policy that is gone gets its tombstone before; where it is back, its leaks wait for another batch.
        """
        buried = [await self._with_tombstone(record, snapshot) for record in records]
        standing = [record for record in buried if record is not None]
        if not standing:
            return
        await conclude_all(self.store, self.ref.name, standing)
        self.concluded |= {record.fingerprint for record in standing}
        self.held.uncertain = False

    async def _with_tombstone(self, record: Revocation, snapshot: Snapshot) -> Revocation | None:
        """Return the record with what became of its tombstone; None where its policy is back."""
        if record.reason is not Reason.POLICY_GONE or record.plan is None:
            return record
        reading = snapshot.policies[record.plan.target]
        policies = self.reader.actions.stored_policy
        try:
            said = await policies.bury(
                reading.target, snapshot.account, reading, key=signer(snapshot.keys, record.key_name)
            )
        except Revived:
            return None
        except SasquashError as error:
            said = f"No tombstone could be left: {error}"
        return replace(record, detail=f"{record.detail} {said}")


class AccountSessions:
    """Opens sessions, one at a time for each account."""

    def __init__(self, *, store: Store, recovery: Recovery, reader: AccountReader, throttle: ArmPace) -> None:
        self._store = store
        self._recovery = recovery
        self._reader = reader
        self._throttle = throttle
        self._giving_back: set[asyncio.Task[None]] = set()

    async def read(self, ref: AccountRef, revocation: Revocation) -> Snapshot:
        """Return what a batch would be decided on, without the lock: for a dry run."""
        return (await self._reader.read(ref, revocation)).snapshot

    @asynccontextmanager
    async def open(
        self, ref: AccountRef, revocation: Revocation, *, urgent: bool = False, early: EarlyLock | None = None
    ) -> AsyncIterator[AccountSession]:
        """Hold the account's lock to decide on `revocation`; settle what a predecessor left.

        An approved action, or one that a person asks for just now (`urgent`), does not wait until the account has
        cooled down. `early` is the account's lock, if it was asked for already. Raises AccountBusy, also where
        `revocation` was not decided in this session; TransientFailure, or Blocked.
        """
        with self._write_reserved(ref, revocation):
            if early is not None:
                lock = await early.take()
            else:
                urgent = urgent or revocation.approval is not None
                lock = await self._store.accounts.acquire(ref.name, fingerprint=revocation.fingerprint, urgent=urgent)
            async with holding(self._store, lock) as held:
                await self._settle(held, ref, revocation.fingerprint)
                session = AccountSession(
                    store=self._store,
                    reader=self._reader,
                    recovery=self._recovery,
                    ref=ref,
                    revocation=revocation,
                    held=held,
                )
                yield session
                if revocation.fingerprint not in session.concluded:
                    raise AccountBusy(
                        f"The action for another leak of {ref.name} came first, or the lock's time was up.",
                        retry_after=COOLDOWN.total_seconds(),
                    )

    def _write_reserved(self, ref: AccountRef, revocation: Revocation) -> AbstractContextManager[None]:
        """Reserve a write to ARM where an action waits for one, before the keys are listed again.

        Raises WritesThrottled where there is none.
        """
        return self._throttle.write_reserved(ref.subscription) if revocation.waits_for_arm else nullcontext()

    @asynccontextmanager
    async def locked(self, account: str, fingerprint: str, *, urgent: bool = False) -> AsyncIterator[HeldLock]:
        """Hold the account's lock, for as long as it allows. Raises AccountBusy, or TransientFailure when time is up.

        `urgent` is as in `AccountTable.acquire`.
        """
        lock = await self._store.accounts.acquire(account, fingerprint=fingerprint, urgent=urgent)
        async with holding(self._store, lock) as held:
            yield held

    async def settle(self, ref: AccountRef, fingerprint: str) -> None:
        """Record what an instance that crashed has done for a leak: no other leak of the account may come for long.

        Also where Azure refused to say it before. Raises AccountBusy, TransientFailure or Blocked.
        """
        lock = await self._store.accounts.acquire(ref.name, fingerprint=fingerprint, urgent=True)
        async with holding(self._store, lock) as held:
            await self._settle(held, ref, fingerprint)
            for intent in (await self._store.accounts.rows((ref.name,))).unsettled:
                if fingerprint in intent.suspects:
                    await _settled(self._store, ref, intent, await self._recovery.settle(intent, ref))

    def lock_early(self, ref: AccountRef, fingerprint: str) -> EarlyLock:
        """Ask for the account's lock, to be used by `open` or given back to `give_back`."""
        acquiring = self._store.accounts.acquire(ref.name, fingerprint=fingerprint)
        return EarlyLock(ref, asyncio.create_task(acquiring))

    async def give_back(self, early: EarlyLock) -> None:
        """Give back a lock that was not needed after all, now or as soon as it is acquired."""
        if early.acquiring is None:
            return
        giving_back = asyncio.create_task(self._given_back(early.ref, early.acquiring))
        self._giving_back.add(giving_back)
        giving_back.add_done_callback(self._giving_back.discard)
        await asyncio.wait({giving_back}, timeout=EARLY_PATIENCE)
        if giving_back.done():
            giving_back.result()

    async def _given_back(self, ref: AccountRef, acquiring: asyncio.Task[AccountLock]) -> None:
        """Settle what a predecessor left, then release."""
        try:
            async with holding(self._store, await acquiring) as held:
                await self._settle(held, ref, None)
        except SasquashError as error:
            _log.info("The lock of %s was not needed: %s", ref.name, error)

    async def _settle(self, held: HeldLock, ref: AccountRef, fingerprint: str | None) -> None:
        """Record what a predecessor did, if there was one.

        Until that is known the lock, which names the leaks, is kept. Where Azure refuses to say, a row of its own
        keeps it for the holders to come, and other leaks of the account don't wait for it. Raises Blocked where the
        lock was acquired for one that the predecessor may have acted on.
        """
        predecessor = held.lock.predecessor
        if predecessor is None:
            return
        held.uncertain = True
        try:
            settled = await self._recovery.settle(predecessor, ref)
        except Blocked:
            await self._store.accounts.keep_unsettled(ref.name, predecessor, taken_from=held.lock.taken_from)
            held.uncertain = False
            if fingerprint in predecessor.suspects:
                raise
            return
        await conclude_all(self._store, ref.name, settled)
        held.uncertain = False


async def _settled(store: Store, ref: AccountRef, intent: Intent, records: Collection[Revocation]) -> None:
    """Record what an earlier holder of the lock did, and forget that it was open."""
    await conclude_all(store, ref.name, tuple(records))
    await store.accounts.remove_unsettled(ref.name, intent)
