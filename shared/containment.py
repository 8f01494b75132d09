"""The fast path: from a report to a dead key, or to a record that says why not (design decisions 6, 7 and 9).

claim ∥ find the account → lock → list the keys ∥ read tags ∥ read who else waits → attribute and plan in memory →
pull → record. Every step may run twice, on two machines, and be killed between any two lines.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from shared import finding as findings
from shared.account_table import AccountLock, AccountTable, Rotation
from shared.accounts import AccountRef, Accounts
from shared.decide.attribution import expired
from shared.errors import Blocked, Busy, Conflict, MalformedEvent, NotFound, PassingFailure, SasquashError
from shared.finding import Finding, Report
from shared.ledger import Ledger
from shared.queues import Message, Queues, backoff
from shared.revocation import REOPENED_BY_A_NEW_REPORT, Reason, Revocation, Sighting, State
from shared.settings import Settings
from shared.under_lock import HeldLock, UnderLock

_log = logging.getLogger(__name__)

_SAFETY_NET = 45.0  # seconds until the queued message takes over, should the inline run not finish
_INLINE_BUDGET = 20.0  # seconds; Event Grid waits for 30
_SECOND_LOOK = 300.0  # seconds; Resource Graph may lag behind, and an account may have just been made
_GIVE_UP = timedelta(hours=24)
_REOPEN_AFTER = timedelta(minutes=1)
_MOST_SIGHTINGS = 20


class Containment:
    """Takes reports in and contains what they report."""

    def __init__(
        self,
        *,
        settings: Settings,
        ledger: Ledger,
        table: AccountTable,
        accounts: Accounts,
        under_lock: UnderLock,
        queues: Queues,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._table = table
        self._accounts = accounts
        self._under_lock = under_lock
        self._queues = queues
        self._clock = clock

    async def receive(self, report: Report) -> None:
        """Take an event in: durable when this returns, and mostly contained. Raises only when it is not durable."""
        now = self._clock()
        try:
            found = findings.read(report, raw_allowed=self._settings.raw_events, now=now)
        except MalformedEvent as error:
            await self._record_unreadable(report, Reason.MALFORMED, str(error))
            return
        if not found:
            detail = "The reported text holds no Azure Storage credential."
            await self._record_unreadable(report, Reason.INVALID, detail)
            return
        await asyncio.gather(*(self.take(finding) for finding in found))

    async def _record_unreadable(self, report: Report, reason: Reason, detail: str) -> None:
        stand_in = findings.unreadable(report, now=self._clock())
        revocation, new = await self._ledger.claim(stand_in)
        if new or revocation.state is State.RECEIVED:
            await self._conclude(revocation.end(reason, now=self._clock(), detail=detail))

    async def take(self, finding: Finding) -> None:
        """Make `finding` durable, then contain it within what Event Grid's patience leaves."""
        credential = finding.credential
        host = credential.host if credential is not None else None
        looking = asyncio.create_task(self._look(finding))
        try:
            (revocation, new), _, _ = await asyncio.gather(
                self._ledger.claim(finding),
                self._table.add_waiting(_partition(finding), finding),
                self._queues.contain(finding.fingerprint, delay=_SAFETY_NET),
            )
        except BaseException:
            looking.cancel()
            raise
        if not new:
            reopened = await self._join(revocation, finding)
            if reopened is None:
                looking.cancel()
                return
            revocation = reopened
        try:
            async with asyncio.timeout(_INLINE_BUDGET):
                await self._contain(revocation, await looking)
        except TimeoutError:
            _log.warning("Containing %s takes long: the queue goes on with it.", finding.fingerprint[:12])
        except SasquashError as error:
            _log.warning("Containing %s failed for now: %s", finding.fingerprint[:12], error)
            if host is not None:
                await self._again(revocation, Message(finding.fingerprint), error)

    async def _look(self, finding: Finding) -> AccountRef | SasquashError | None:
        """Find the account while the claim is written; a failure is kept for later, since the claim comes first."""
        credential = finding.credential
        if credential is None or credential.host is None or expired(credential, now=self._clock()):
            return None
        try:
            return await self._accounts.find(credential.host, credential.account)
        except SasquashError as error:
            return error

    async def _join(self, known: Revocation, finding: Finding) -> Revocation | None:
        """Note another report of a known leak. Returns the record when it is to be attributed again."""
        now = self._clock()
        if known.state is State.RECEIVED:
            return None  # somebody is at it, or the queue will be
        last_change = known.changes[-1].at
        reopen = known.state in REOPENED_BY_A_NEW_REPORT and known.pull is None and now - last_change > _REOPEN_AFTER
        sighting = Sighting(finding.source, finding.url, finding.detected_at)
        seen = {(s.source, s.url) for s in known.sightings} | {(known.finding.source, known.finding.url)}
        is_new = (sighting.source, sighting.url) not in seen and len(known.sightings) < _MOST_SIGHTINGS
        if not reopen:
            await self._table.remove_waiting(_partition(finding), finding.fingerprint)
        if not reopen and not is_new:
            return None

        def join(current: Revocation) -> Revocation:
            joined = replace(current, sightings=(*current.sightings, sighting)) if is_new else current
            if not reopen:
                return joined
            return joined.reach(State.RECEIVED, now=now, detail="Reported again: looking at it anew.")

        joined = await self._ledger.change(known.fingerprint, join, what=f"Reported again by {finding.source}.")
        return joined if reopen else None

    async def resume(self, message: Message) -> None:
        """Go on with a record from the queue. Raises only what nobody foresaw."""
        revocation = await self._ledger.read(message.fingerprint)
        if revocation is None:
            return  # the claim was never written, so the event was never acknowledged and comes again
        if revocation.state is not State.RECEIVED:
            await self._table.remove_waiting(_partition(revocation.finding), revocation.fingerprint)
            await self._queues.follow_up(revocation.fingerprint)
            return
        try:
            await self._contain(revocation, await self._look(revocation.finding))
        except SasquashError as error:
            await self._again(revocation, message, error)

    async def _again(self, revocation: Revocation, message: Message, error: SasquashError) -> None:
        """Re-enqueue what failed in passing; after a day, or when only a person can help, say so."""
        now = self._clock()
        if isinstance(error, Busy):
            await self._queues.contain(message.fingerprint, delay=error.retry_after, attempt=message.attempt)
        elif isinstance(error, Blocked):
            await self._conclude(revocation.end(Reason.BLOCKED, now=now, detail=str(error)))
        elif now - revocation.received_at > _GIVE_UP:
            detail = f"Not contained within 24 hours. The last failure: {error}"
            await self._conclude(revocation.end(Reason.BLOCKED, now=now, detail=detail))
        else:
            retry_after = error.retry_after if isinstance(error, PassingFailure) else None
            delay = backoff(message.attempt, retry_after)
            await self._queues.contain(message.fingerprint, delay=delay, attempt=message.attempt + 1)

    async def _contain(self, revocation: Revocation, looked: AccountRef | SasquashError | None) -> None:
        """Bring a `received` record to its verdict. Raises what `_again` handles."""
        if isinstance(looked, SasquashError):
            raise looked
        finding = revocation.finding
        now = self._clock()
        if finding.credential is None:
            return
        over = expired(finding.credential, now=now)
        if over is not None and over.reason is not None:
            await self._conclude(revocation.end(over.reason, now=now, detail=over.detail))
        elif finding.credential.host is None:
            detail = "The report names no storage account. Report it again with the account's name or the whole URL."
            await self._conclude(revocation.end(Reason.LOOSE, now=now, detail=detail))
        elif looked is None:
            await self._not_found(revocation)
        elif looked.name == self._settings.own_account:
            detail = "The account is Sasquash's own storage, which it never touches. Its shared keys should be off."
            await self._conclude(revocation.end(Reason.OWN_STORAGE, now=now, detail=detail))
        else:
            await self._contain_in(looked, revocation)

    async def _contain_in(self, ref: AccountRef, revocation: Revocation) -> None:
        host = revocation.finding.credential.host if revocation.finding.credential else None
        try:
            async with self._locked(ref.name, revocation.fingerprint) as held:
                decided = await self._under_lock.decide_and_pull(
                    held, ref, revocation, partitions=(ref.name, _partition(revocation.finding))
                )
                pulled = next((record.pull for record in decided if record.pull is not None), None)
                if pulled is not None:
                    rotation = Rotation(pulled.target, pulled.at, decided[0].fingerprint)
                    await self._table.add_rotation(ref.name, rotation)
                for record in decided:
                    await self._conclude(record)
                held.uncertain = False
        except NotFound:
            if host is not None:
                self._accounts.forget(host)
            await self._not_found(revocation)

    @asynccontextmanager
    async def _locked(self, account: str, fingerprint: str) -> AsyncIterator[HeldLock]:
        held = HeldLock(await self._table.acquire(account, fingerprint=fingerprint))
        left = (held.lock.intent.deadline - self._clock()).total_seconds()
        try:
            async with asyncio.timeout(left):
                yield held
        except TimeoutError:
            raise PassingFailure(f"The work on account {account} took longer than its lock allows.") from None
        finally:
            if not held.uncertain:
                await self._release(held.lock)

    async def _release(self, lock: AccountLock) -> None:
        try:
            await self._table.release(lock)
        except SasquashError as error:
            # Not worth failing for: the lock ends by itself, and what was done under it is recorded.
            _log.warning("The lock of %s stays until it ends: %s", lock.account, error)

    async def _not_found(self, revocation: Revocation) -> None:
        """Look once more later: Resource Graph lags, and accounts are made while tokens leak."""
        now = self._clock()
        if revocation.looked_for_account == 0:
            await self._ledger.save(
                replace(revocation, looked_for_account=1),
                what="No account of ours answers to this host; a second look follows.",
            )
            await self._queues.contain(revocation.fingerprint, delay=_SECOND_LOOK)
            return
        detail = "No storage account in the subscriptions that Sasquash looks after answers to this host."
        await self._conclude(revocation.end(Reason.NOT_OURS, now=now, detail=detail))

    async def _conclude(self, revocation: Revocation) -> None:
        """Save a verdict and hand the record over to the follow-up. A record that others moved on is left to them."""
        try:
            await self._ledger.save(revocation, what=revocation.detail)
        except Conflict:
            saved = await self._ledger.change(
                revocation.fingerprint, partial(_onto, revocation), what=revocation.detail
            )
            if saved is None:
                return
        await asyncio.gather(
            self._table.remove_waiting(_partition(revocation.finding), revocation.fingerprint),
            self._queues.follow_up(revocation.fingerprint),
        )


def _onto(decided: Revocation, current: Revocation) -> Revocation | None:
    """Return `decided` with what others added to the record meanwhile; None when it was decided by them."""
    if current.state is not State.RECEIVED:
        return None
    return replace(decided, etag=current.etag, sightings=current.sightings)


def _partition(finding: Finding) -> str:
    """Return the partition of table `accounts` in which a finding waits before its account is known."""
    credential = finding.credential
    if credential is None:
        return "none"
    return credential.account or credential.host or "none"
