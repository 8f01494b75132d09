"""The fast path: from a finding to a dead key, or to a record that says why not (design decisions 6, 7 and 9).

claim ∥ find the account → lock → list the keys ∥ read tags ∥ read who else waits → attribute and plan in memory →
pull → record. An account that is known is locked while the claim is written: two rounds of calls before the pull.
Every step may run twice, on two machines, and be killed between any two lines.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime, timedelta

from shared.actions.delegation_key import DelegationKeyAction
from shared.cloud.accounts import AccountRef, Accounts
from shared.cloud.arm_throttle import ArmPace
from shared.containment.account_session import AccountSessions, EarlyLock
from shared.containment.batch import UnderLock
from shared.containment.dedup_cache import DedupCache
from shared.containment.verdicts import VerdictWriter
from shared.domain.decision.attribution import expired
from shared.domain.decision.duplicates import says_nothing_until, with_report
from shared.domain.finding import Finding, Reported
from shared.domain.pending_steps import open_alerts
from shared.domain.revocation import Reason, Revocation, State
from shared.errors import AccountBusy, AccountGone, Blocked, Conflict, SasquashError, WritesThrottled
from shared.persistence.accounts import AccountTable, waiting_partition
from shared.persistence.queues import LONGEST_DELAY, SAFETY_NET, Message, Queues, backoff
from shared.persistence.revocations import Ledger
from shared.sas import Kind
from shared.settings import Settings

_log = logging.getLogger(__name__)

INLINE_BUDGET = 20.0  # seconds; Event Grid waits for 30
_SECOND_LOOK = 300.0  # seconds; Resource Graph may lag behind, and an account may have just been made
_LONGEST_FOR_ARM = 4 * 60.0  # seconds, where a try costs two calls and ARM may take dozens of changes by then
_GIVE_UP = timedelta(hours=24)


class Containment:
    """Takes findings in and contains them."""

    def __init__(
        self,
        *,
        settings: Settings,
        ledger: Ledger,
        table: AccountTable,
        accounts: Accounts,
        under_lock: UnderLock,
        work: AccountSessions,
        conclusion: VerdictWriter,
        delegation_key: DelegationKeyAction,
        queues: Queues,
        repeats: DedupCache,
        pace: ArmPace,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._table = table
        self._accounts = accounts
        self._under_lock = under_lock
        self._work = work
        self._conclusion = conclusion
        self._delegation_key = delegation_key
        self._queues = queues
        self._repeats = repeats
        self._pace = pace
        self._clock = clock

    async def take(self, reported: Reported, *, patience: float = INLINE_BUDGET, delay: float = SAFETY_NET) -> None:
        """Make a finding durable, then contain it within `patience` seconds. Raises only when it is not durable.

        What is not contained by then, the queue goes on with: `delay` seconds from now at the latest.
        """
        finding = reported.finding
        ahead = self._lock_ahead(finding) if patience > 0 else None
        looking = asyncio.create_task(self._look(finding, ahead))
        try:
            (revocation, new), _, _ = await asyncio.gather(
                self._ledger.claim(finding),
                self._table.add_waiting(waiting_partition(finding), finding),
                self._queues.contain(finding.fingerprint, delay=delay),
            )
            current = revocation if new else await self._join(revocation, finding)
            if current is None and revocation.state is State.RECEIVED and ahead is not None and await ahead.is_held():
                current = revocation  # whoever claimed it waits for the lock that is ours
            quiet_until = says_nothing_until(current or revocation, now=self._clock())
            self._repeats.durable(reported, until=quiet_until)
            if current is not None and patience > 0:
                await self._contain_inline(current, looking, token=reported.token, patience=patience, ahead=ahead)
        finally:
            looking.cancel()
            if ahead is not None:  # beyond the patience, if it must: a lock that nobody needs keeps others waiting
                await self._work.give_back(ahead)

    def _lock_ahead(self, finding: Finding) -> EarlyLock | None:
        """Ask for the account's lock at once, if the account is known and the leak new, so that it will be needed.

        Azure is asked about a user delegation SAS before the account is locked: that may take long.
        """
        credential = finding.credential
        if credential is None or credential.host is None or credential.kind is Kind.USER_DELEGATION_SAS:
            return None
        if expired(credential, now=self._clock()) or self._repeats.has_record(finding.fingerprint):
            return None
        ref = self._accounts.known(credential.host, credential.account)
        if ref is None or ref.name in self._settings.own_accounts:
            return None
        return self._work.lock_ahead(ref, finding.fingerprint)

    async def preview(self, reported: Reported) -> Revocation:
        """Return what the record of a finding would come to: a dry run. Writes nothing, sends the token nowhere.

        Raises TransientFailure or Blocked.
        """
        revocation = Revocation.of(reported.finding, now=self._clock())
        looked = await self._look(reported.finding)
        if isinstance(looked, SasquashError):
            raise looked
        ended = self._ended_unseen(revocation, looked)
        if ended is not None:
            return ended
        if looked is None:
            detail = "No storage account in the subscriptions that Sasquash looks after answers to this host."
            return revocation.end(Reason.NOT_OURS, now=self._clock(), detail=detail)
        partitions = (looked.name, waiting_partition(reported.finding))
        return await self._under_lock.preview(looked, revocation, partitions=partitions)

    async def _contain_inline(
        self,
        revocation: Revocation,
        looking: asyncio.Task[AccountRef | SasquashError | None],
        *,
        token: str | None,
        patience: float,
        ahead: EarlyLock | None,
    ) -> None:
        """Contain what is durable. A failure is the queue's business: Event Grid's patience is for other findings."""
        name = revocation.fingerprint[:12]
        try:
            async with asyncio.timeout(patience):
                looked = await looking
                await self._contain(await self._asked(revocation, looked, token), looked, ahead=ahead)
        except TimeoutError:
            _log.warning("Containing %s takes long: the queue goes on with it.", name)
        except SasquashError as error:
            _log.warning("Containing %s failed for now (%s): %s", name, error.code, error)
            try:
                await self._again(revocation, Message(revocation.fingerprint), error)
            except SasquashError as worse:
                _log.warning("Containing %s waits for its safety net (%s): %s", name, worse.code, worse)

    async def _look(self, finding: Finding, ahead: EarlyLock | None = None) -> AccountRef | SasquashError | None:
        """Find the account while the claim is written; a failure is kept for later, since the claim comes first."""
        if ahead is not None:
            return ahead.ref
        credential, order = finding.credential, finding.order
        try:
            if order is not None:
                return await self._accounts.find(self._settings.cloud.blob_host(order.account), order.account)
            if credential is None or credential.host is None or expired(credential, now=self._clock()):
                return None
            return await self._accounts.find(credential.host, credential.account)
        except SasquashError as error:
            return error

    async def _asked(
        self, revocation: Revocation, looked: AccountRef | SasquashError | None, token: str | None
    ) -> Revocation:
        """Return the record with what Azure says to a user delegation SAS, which no arithmetic can check.

        It is asked once, while we have the token in memory, and only of an account of ours.
        """
        credential = revocation.finding.credential
        if credential is None or credential.kind is not Kind.USER_DELEGATION_SAS or token is None:
            return revocation
        if not isinstance(looked, AccountRef) or looked.name in self._settings.own_accounts:
            return revocation
        if revocation.liveness is not None:
            return revocation  # Azure accepted it, when it was reported before
        account = await self._accounts.facts(looked)
        liveness = await self._delegation_key.check(credential, token, account)
        known = await self._ledger.change(
            revocation.fingerprint, lambda current: replace(current, liveness=liveness), what=liveness.said
        )
        return known or revocation

    async def _join(self, known: Revocation, finding: Finding) -> Revocation | None:
        """Note another report of a known leak. Returns the record when it is to be attributed again."""
        now = self._clock()

        def join(current: Revocation) -> Revocation | None:
            return with_report(current, finding, now=now)

        joined = None
        if join(known) is not None:
            what = f"Reported again by {finding.source}."
            try:
                joined = await self._ledger.change(known.fingerprint, join, what=what)
            except Conflict as error:  # many report it at once: the leak is known, and one report more is not missed
                _log.warning("Not noted that %s was reported again: %s", finding.fingerprint[:12], error)
        if known.state is State.RECEIVED:
            return None  # somebody is at it, or the queue will be
        if joined is not None and joined.state is State.RECEIVED:
            return joined
        if joined is not None and open_alerts(joined):
            await self._queues.follow_up(finding.fingerprint)
        await self._table.remove_waiting(waiting_partition(finding), finding.fingerprint)
        return None

    async def resume(self, message: Message, *, urgent: bool = False) -> None:
        """Go on with a record from the queue, or because a person asks (`urgent`: it waits for no account's rest).

        Raises only what nobody foresaw, or that the queue can't be reached.
        """
        try:
            await self._resume(message, urgent=urgent)
        except SasquashError as error:
            _log.warning("Going on with %s failed for now (%s): %s", message.fingerprint[:12], error.code, error)
            if not message.swept:
                delay = backoff(message.attempt)
                await self._queues.contain(message.fingerprint, delay=delay, attempt=message.attempt + 1)

    async def _resume(self, message: Message, *, urgent: bool) -> None:
        revocation = await self._ledger.read(message.fingerprint)
        if revocation is None:
            return  # the claim was never written, so the event was never acknowledged and comes again
        if revocation.state is not State.RECEIVED:
            await self._table.remove_waiting(waiting_partition(revocation.finding), revocation.fingerprint)
            if revocation.changes[-1] not in revocation.announced:  # else the follow-up is at it: one is enough
                await self._queues.follow_up(revocation.fingerprint)
            return
        try:
            looked = await self._look(revocation.finding)
            with self._action_reserved(revocation, looked):
                await self._contain(revocation, looked, urgent=urgent)
        except SasquashError as error:
            await self._again(revocation, message, error)

    def _action_reserved(
        self, revocation: Revocation, looked: AccountRef | SasquashError | None
    ) -> AbstractContextManager[None]:
        """Where a lever was decided on and waits for ARM: have room for it before its keys are listed anew.

        Raises WritesThrottled where there is none.
        """
        if revocation.waits_for_arm and isinstance(looked, AccountRef):
            return self._pace.write_reserved(looked.subscription)
        return nullcontext()

    async def _again(self, revocation: Revocation, message: Message, error: SasquashError) -> None:
        """Re-enqueue what failed in passing; after a day, or when only a person can help, say so."""
        now = self._clock()
        if isinstance(error, AccountBusy):
            await self._queues.contain(
                message.fingerprint, delay=error.retry_after, attempt=message.attempt, swept=message.swept
            )
        elif isinstance(error, Blocked):
            await self._conclusion.conclude(revocation.end(Reason.BLOCKED, now=now, detail=str(error)))
        elif now - _asked_at(revocation) > _GIVE_UP:
            detail = f"Not contained within 24 hours. The last failure: {error}"
            await self._conclusion.conclude(revocation.end(Reason.BLOCKED, now=now, detail=detail))
        else:
            if not message.swept:
                longest = _LONGEST_FOR_ARM if isinstance(error, WritesThrottled) else LONGEST_DELAY
                delay = backoff(message.attempt, error.retry_after, longest=longest)
                await self._queues.contain(message.fingerprint, delay=delay, attempt=message.attempt + 1)
            await self._tell_what_for(revocation, error)

    async def _tell_what_for(self, revocation: Revocation, error: SasquashError) -> None:
        """Let the record say what it waits for: whoever is woken meanwhile must not have to read logs."""
        detail, for_arm = f"It is being tried again. {error}", isinstance(error, WritesThrottled)
        if (revocation.detail, revocation.waits_for_arm) == (detail, for_arm):
            return

        def tell(current: Revocation) -> Revocation | None:
            told = replace(current, detail=detail, waits_for_arm=for_arm)
            return told if current.state is State.RECEIVED and told != current else None

        await self._ledger.change(revocation.fingerprint, tell, what=detail)

    async def _contain(
        self,
        revocation: Revocation,
        looked: AccountRef | SasquashError | None,
        *,
        urgent: bool = False,
        ahead: EarlyLock | None = None,
    ) -> None:
        """Bring a `received` record to its verdict. Raises what `_again` handles."""
        if isinstance(looked, SasquashError):
            raise looked
        ended = self._ended_unseen(revocation, looked)
        if ended is not None:
            await self._conclusion.conclude(ended)
        elif looked is None:
            await self._not_found(revocation)
        else:
            try:
                await self._work.contain(looked, revocation, urgent=urgent, ahead=ahead)
            except AccountGone:
                await self._look_elsewhere(revocation, looked, urgent=urgent)

    async def _look_elsewhere(self, revocation: Revocation, gone: AccountRef, *, urgent: bool) -> None:
        """Contain what has moved to another resource group since it was looked up, perhaps a day ago."""
        self._accounts.forget(gone)
        moved = await self._look(revocation.finding)
        if isinstance(moved, SasquashError):
            raise moved
        if moved is None or moved.id == gone.id:
            await self._not_found(revocation)
        else:
            await self._work.contain(moved, revocation, urgent=urgent)

    def _ended_unseen(self, revocation: Revocation, looked: AccountRef | None) -> Revocation | None:
        """Return the record of a finding whose verdict takes no look at an account, None where it takes one."""
        credential, now = revocation.finding.credential, self._clock()
        if credential is None and revocation.finding.order is None:
            detail = "The report could not be read."
            return revocation.end(Reason.MALFORMED, now=now, detail=detail)
        over = expired(credential, now=now) if credential is not None else None
        if over is not None and over.reason is not None:
            return revocation.end(over.reason, now=now, detail=over.detail)
        if credential is not None and credential.host is None:
            detail = "The report names no storage account. Report it again with the account's name or the whole URL."
            return revocation.end(Reason.LOOSE, now=now, detail=detail)
        if looked is not None and looked.name in self._settings.own_accounts:
            detail = "The account is Sasquash's own storage, which it never touches. Its shared keys should be off."
            return revocation.end(Reason.OWN_STORAGE, now=now, detail=detail)
        return None

    async def _not_found(self, revocation: Revocation) -> None:
        """Look once more later: Resource Graph lags, and accounts are made while tokens leak."""
        now = self._clock()
        left = _SECOND_LOOK - (now - _asked_at(revocation)).total_seconds()
        if revocation.looked_for_account == 0:
            what = "No account of ours answers to this host; a second look follows."
            await self._ledger.save(replace(revocation, looked_for_account=1, detail=what), what=what)
            await self._queues.contain(revocation.fingerprint, delay=left if left > 0 else _SECOND_LOOK)
        elif left > 0:  # the safety net, or a retry: too early to be the second look
            await self._queues.contain(revocation.fingerprint, delay=left)
        else:
            detail = "No storage account in the subscriptions that Sasquash looks after answers to this host."
            await self._conclusion.conclude(revocation.end(Reason.NOT_OURS, now=now, detail=detail))


def _asked_at(revocation: Revocation) -> datetime:
    """Return since when the record waits for a verdict: its report, or the one that reopened it."""
    return revocation.reached(State.RECEIVED) or revocation.received_at
