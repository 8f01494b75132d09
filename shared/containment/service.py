"""The fast path: from a finding to a revoked credential, or to a record that says why not (decisions 6, 7 and 9).

write the record ∥ find the account → lock → list the keys ∥ read tags ∥ read what else waits → attribute and plan in
memory → run the action → record. A known account is locked while the record is written: two rounds of calls before
the action. Every step may run twice, on two instances, and be interrupted between any two lines.
"""

import asyncio
import logging
from dataclasses import replace
from functools import partial

from shared.cloud.accounts import AccountRef
from shared.containment.account_lock import EarlyLock
from shared.containment.account_session import AccountSessions
from shared.containment.execution import PlanExecutor
from shared.containment.liveness import LivenessCheck
from shared.containment.lookup import AccountLookup
from shared.containment.one_record import OneRecord
from shared.containment.placement import Placement
from shared.containment.repeated_reports import RepeatedReports
from shared.containment.retry import tried_again, try_again
from shared.containment.stand_ins import StandIns
from shared.containment.verdicts import conclude
from shared.domain.decision.batch import Decider
from shared.domain.decision.user_delegation import may_be_asked
from shared.domain.finding import Finding, Reported
from shared.domain.known_paths import NOTHING
from shared.domain.pending_steps import needs_evidence_check, reported_again
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.errors import AccountGone, Blocked, SasquashError, StillListed, UnreadableRow, WritesThrottled
from shared.persistence.queues import SAFETY_NET, Message, backoff
from shared.persistence.store import Store

_log = logging.getLogger(__name__)

INLINE_BUDGET = 20.0  # seconds; Event Grid waits for 30


class Containment:
    """Takes findings in and contains them."""

    def __init__(
        self,
        *,
        store: Store,
        lookup: AccountLookup,
        placement: Placement,
        liveness: LivenessCheck,
        sessions: AccountSessions,
        decider: Decider,
        executor: PlanExecutor,
        repeats: RepeatedReports,
        one_record: OneRecord,
    ) -> None:
        self._store = store
        self._lookup = lookup
        self._placement = placement
        self._liveness = liveness
        self._sessions = sessions
        self._decider = decider
        self._executor = executor
        self._repeats = repeats
        self._one_record = one_record
        self._stand_ins = StandIns(store)

    async def take(self, reported: Reported, *, patience: float = INLINE_BUDGET, delay: float = SAFETY_NET) -> None:
        """Make a finding durable, then contain it within `patience` seconds. Raises only when it is not durable.

        What is not contained by then is left to the queue, `delay` seconds from now at the latest. A leak whose
        record can't be read is contained under another one (`stand_ins`).
        """
        try:
            await self._take(reported, patience=patience, delay=delay)
        except UnreadableRow:
            instead = await self._stand_ins.of_report(reported.finding)
            if instead is not None:
                await self._take(replace(reported, finding=instead), patience=patience, delay=delay)

    async def _take(self, reported: Reported, *, patience: float, delay: float) -> None:
        finding, store = reported.finding, self._store
        early = self._lock_early(finding) if patience > 0 else None
        finding_account = asyncio.create_task(self._find(finding, early))
        try:
            (revocation, new), first, _, _ = await asyncio.gather(
                store.revocations.claim(finding),
                self._one_record.of(finding),
                store.accounts.add_waiting(finding),
                store.queues.contain(finding.fingerprint, delay=delay),
            )
            if first != finding.fingerprint:
                owner = await self._one_record.joined(revocation, finding, first=first)
                if owner.fingerprint != finding.fingerprint:
                    self._repeats.durable(reported, owner)
                    await self._contain_joined(owner, patience=patience)
                    return
            joined = revocation if new else await self._repeats.join(revocation, finding)
            await self._repeats.keep_left_out(joined, finding, before=revocation)
            self._repeats.durable(reported, joined)
            is_ours = new or joined.changes[-1] != revocation.changes[-1]  # else another instance or the queue has it
            if not is_ours and joined.state is State.RECEIVED and early is not None:
                is_ours = await early.is_held()  # the instance that wrote it waits for the lock that we hold
            asks = reported.token is not None and may_be_asked(joined)
            if patience > 0 and ((joined.state is State.RECEIVED and is_ours) or asks):
                await self._contain_inline(joined, finding_account, reported=reported, patience=patience, early=early)
        finally:
            finding_account.cancel()
            if early is not None:  # beyond the patience, if it must: a lock that nobody needs keeps others waiting
                await self._sessions.give_back(early)

    async def _contain_joined(self, owner: Revocation, *, patience: float) -> None:
        """Contain the leak of an earlier record, which another report of its secret has added to."""
        if patience <= 0 or owner.state is not State.RECEIVED:
            return
        finding = owner.to_weigh
        finding_account = asyncio.create_task(self._find(finding, None))
        await self._contain_inline(owner, finding_account, reported=Reported(finding), patience=patience, early=None)

    def _lock_early(self, finding: Finding) -> EarlyLock | None:
        """Ask for the account's lock at once, if the account is known and the leak new, so that it will be needed."""
        is_unsure = len(finding.everywhere) > len(finding.readings)  # it may be of another account
        ref = None if is_unsure or self._repeats.has_record(finding.fingerprint) else self._lookup.known(finding)
        return self._sessions.lock_early(ref, finding.fingerprint) if ref is not None else None

    async def _find(self, finding: Finding, early: EarlyLock | None) -> AccountRef | SasquashError | None:
        """Find the account while the record is written; a failure is kept for later, since the record comes first."""
        try:
            return early.ref if early is not None else await self._lookup.find(finding)
        except SasquashError as error:
            return error

    async def _contain_inline(
        self,
        revocation: Revocation,
        finding_account: asyncio.Task[AccountRef | SasquashError | None],
        *,
        reported: Reported,
        patience: float,
        early: EarlyLock | None,
    ) -> None:
        """Contain what is durable. A failure is left to the queue: Event Grid's patience is for other findings."""
        name = revocation.fingerprint[:12]
        try:
            async with asyncio.timeout(patience):
                ref = await finding_account
                if isinstance(ref, SasquashError):
                    raise ref
                if revocation.state is not State.RECEIVED:
                    revocation = await self._asked_again(revocation, ref, reported)
                if revocation.state is State.RECEIVED:
                    await self._contain(revocation, ref, reported=reported, early=early)
        except TimeoutError:
            _log.warning("Containing %s takes long: the queue goes on with it.", name)
        except SasquashError as error:
            _log.warning("Containing %s failed for now (%s): %s", name, error.code, error)
            if revocation.state is not State.RECEIVED:
                return
            try:
                await try_again(self._store, revocation, Message(revocation.fingerprint), error)
            except SasquashError as worse:
                _log.warning("Containing %s waits for its safety net (%s): %s", name, worse.code, worse)

    async def _asked_again(self, revocation: Revocation, ref: AccountRef | None, reported: Reported) -> Revocation:
        """Return a decided record after Azure was asked about the token of another report.

        Where Azure accepts it, it is to be decided anew. Raises TransientFailure or Blocked.
        """
        return revocation if ref is None else await self._liveness.checked(revocation, ref, reported)

    async def resume(self, message: Message, *, urgent: bool = False) -> None:
        """Go on with a record from the queue, or because a person asks (`urgent`: it waits for no cooldown).

        Raises only unexpected errors, or that the queue can't be reached.
        """
        try:
            await self._resume(message, urgent=urgent)
        except SasquashError as error:
            _log.warning("Going on with %s failed for now (%s): %s", message.fingerprint[:12], error.code, error)
            if not message.swept:
                again = message.attempt + 1
                delay = backoff(message.attempt)
                await self._store.queues.contain(
                    message.fingerprint, delay=delay, attempt=again, left_out=message.left_out
                )

    async def _resume(self, message: Message, *, urgent: bool) -> None:
        try:
            revocation = await self._store.revocations.read(message.fingerprint)
        except UnreadableRow:  # no later try can read it: the sweep, or a newer version, goes on
            finding = await self._stand_ins.of_record(message.fingerprint)
            if finding is not None:
                await self.take(Reported(finding))
            return
        if revocation is None:
            return  # the record was never written, so the event was never acknowledged and comes again
        if message.left_out != NOTHING:
            revocation = await self._repeats.join_left_out(revocation, message)
        revocation = await tried_again(self._store, revocation)
        if revocation.state is State.RECEIVED:
            revocation = await self._owner(revocation)
        if revocation.state is not State.RECEIVED and message.attempt == 0:  # each report sends such a message
            revocation = await self._repeats.rechecked(revocation)
        if revocation.state is not State.RECEIVED:
            await self._store.accounts.remove_waiting(revocation.finding)
            # Else the follow-up has begun: one is enough.
            news = reported_again(revocation) or needs_evidence_check(revocation)
            if revocation.changes[-1] not in revocation.announced or news:
                await self._store.queues.follow_up(revocation.fingerprint)
            return
        try:
            await self._contain(revocation, await self._lookup.find(revocation.to_weigh), urgent=urgent)
        except SasquashError as error:
            await try_again(self._store, revocation, message, error)

    async def _owner(self, revocation: Revocation) -> Revocation:
        """Return the record that decides on the leak: its own, or an earlier one of the same secret."""
        first = await self._one_record.of(revocation.finding)
        return await self._one_record.joined(revocation, revocation.everywhere, first=first)

    async def _contain(
        self,
        revocation: Revocation,
        ref: AccountRef | None,
        *,
        reported: Reported | None = None,
        urgent: bool = False,
        early: EarlyLock | None = None,
    ) -> None:
        """Bring a `received` record to its verdict. Raises what `try_again` handles."""
        revocation, ref = await self._placement.placed(revocation, ref)
        ended = self._lookup.verdict(revocation, ref)
        if ended is not None:
            await conclude(self._store, ended)
        elif ref is None:
            await self._lookup.not_found(revocation)
        else:
            revocation = await self._liveness.checked(revocation, ref, reported)
            try:
                await self._revoke(ref, revocation, urgent=urgent, early=early)
            except AccountGone:
                await self._revoke_moved(revocation, ref, urgent=urgent)

    async def _revoke_moved(self, revocation: Revocation, gone: AccountRef, *, urgent: bool) -> None:
        """Revoke on an account that has moved to another resource group since it was looked up, perhaps a day ago."""
        moved, why = None, None
        try:
            moved = await self._lookup.find_again(revocation.finding, gone=gone)
        except StillListed as error:
            why = error
        if moved is None:
            await self._lookup.not_found(revocation, why=why)
        else:
            await self._revoke(moved, revocation, urgent=urgent)

    async def _revoke(
        self, ref: AccountRef, revocation: Revocation, *, urgent: bool = False, early: EarlyLock | None = None
    ) -> None:
        """Decide on `revocation`, and on all that waits for its account; run the actions, and record what came of it.

        An action that ARM does not take now leaves its leaks waiting, and holds up no other. Raises AccountBusy where
        the leak was not decided on in this session; TransientFailure, AccountGone, or Blocked.
        """
        clock, throttled = self._store.clock, None
        async with self._sessions.open(ref, revocation, urgent=urgent, early=early) as session:
            snapshot = await session.read()
            if snapshot is None:
                return  # another instance decided on it while this one waited for the lock
            batch = self._decider.decide(snapshot, session.revocation, now=clock())
            while (action := batch.next_action()) is not None and session.has_time:
                record = await session.record_of(action.leak)
                if record is None:  # nothing is run without a record to write it to
                    batch = batch.without([action.leak])
                    continue
                try:
                    execution, record = await self._executor.execute(
                        session.held, snapshot, action.leak, record, ends=action.ends
                    )
                except WritesThrottled as error:
                    throttled = error if batch.is_about_own(action.ends) else throttled
                    batch = batch.without(action.ends)
                except Blocked as error:
                    batch, refused = batch.refused(action)
                    blocked = partial(batch.blocked, why=error, now=clock())
                    await session.conclude(await session.outcomes(refused, blocked), snapshot=snapshot)
                else:
                    late = await session.late(snapshot) if action.may_cover_late else ()
                    covers = batch.covers(action, late, now=clock())
                    first = batch.contained(action.leak, record, execution, now=clock())
                    covered = partial(batch.covered, execution=execution, now=clock())
                    await session.conclude([first, *await session.outcomes(covers, covered)], snapshot=snapshot)
                    batch = batch.executed(action)
            verdicts = await session.outcomes(batch.leaks, partial(batch.verdict, now=clock()))
            await session.conclude(verdicts, snapshot=snapshot)
            if throttled is not None:
                raise throttled

    async def settle(self, record: Revocation) -> None:
        """Record what a crashed containment of the record has done on its account.

        Raises AccountBusy, TransientFailure or Blocked.
        """
        ref = await self._lookup.find(record.to_weigh)
        if ref is not None:
            await self._sessions.settle(ref, record.fingerprint)

    async def preview(self, reported: Reported) -> Revocation:
        """Return what the record of a finding would come to: a dry run. Writes nothing, sends the token nowhere.

        Raises TransientFailure or Blocked.
        """
        finding = reported.finding
        ref = await self._lookup.find(finding)
        try:
            return await self._preview(finding, ref)
        except AccountGone:  # deleted or moved since it was looked up
            return await self._preview(finding, await self._lookup.find_again(finding, gone=ref) if ref else None)

    async def _preview(self, finding: Finding, ref: AccountRef | None) -> Revocation:
        revocation, ref = await self._placement.previewed(Revocation.of(finding, now=self._store.clock()), ref)
        ended = self._lookup.verdict(revocation, ref)
        if ended is not None:
            return ended
        if ref is None:
            return await self._lookup.without_account(revocation)
        snapshot = await self._sessions.read(ref, revocation)
        return self._decider.preview(snapshot, revocation, now=self._store.clock())
