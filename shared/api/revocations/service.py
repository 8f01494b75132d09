"""What people do with records: report, order, approve, reject, retry, undo a lockdown, and read.

A decision is one write of the record, guarded by its ETag: of two simultaneous decisions, the first one counts. A
message that is sent before the write resumes the record if this process crashes after it. The caller and the role
were checked before; `transitions` checks whether a second person is required.
"""

import asyncio
import hashlib
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.actions.registry import ACTION_SPECS
from shared.api.revocations.requests import OrderRequest, Page, PageQuery, ReportRequest
from shared.api.revocations.submissions import Submissions
from shared.containment.account_session import AccountSessions
from shared.containment.execution import HeldLock
from shared.containment.service import Containment
from shared.domain import transitions
from shared.domain.account import AccountFacts
from shared.domain.approval import Approval, Rejection
from shared.domain.caller import Caller
from shared.domain.execution import LockedDown
from shared.domain.finding import Finding, Order, Reported
from shared.domain.history import HistoryEntry
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.domain.target import InvalidTarget
from shared.errors import AccountBusy, InvalidRequest, NoSuchRecord, SasquashError, TransientFailure
from shared.persistence.queues import SAFETY_NET, Message
from shared.persistence.store import Store
from shared.redaction import redact

_log = logging.getLogger(__name__)

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")  # any other text might be the key of another kind of row
_WRITE_TIME = 30.0  # seconds for the write: it is done before the message arrives, or it never happened
_UNDO_TIME = 60.0  # seconds for undoing a lockdown: two calls of Azure Resource Manager
_PATIENCE = 20.0  # seconds of work while the caller waits
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 4.0  # seconds between two reads
_NO_ACCOUNT_FOR_ORDERS = frozenset({Reason.NOT_OURS, Reason.NOT_COVERED, Reason.OWN_STORAGE})
_NO_POLICY_FOR_ORDERS = frozenset({Reason.POLICY_GONE, Reason.POLICY_EXPIRED})
_SETTLED = frozenset(set(State) - {State.RECEIVED, State.CONTAINED})

type Decision = Callable[[Revocation], Revocation]
"""Returns the decided record; raises WrongState or NotPermitted where the decision is not allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationService:
    """Carries out requests, and returns the records as they are afterwards.

    `undo` puts back what a lockdown changed: `Actions.undo`. `second_person` is the setting of that name.
    """

    store: Store
    containment: Containment
    sessions: AccountSessions
    submissions: Submissions
    undo: Callable[[LockedDown, AccountFacts], Awaitable[LockedDown]]
    second_person: bool
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def report(self, request: ReportRequest, *, caller: Caller) -> tuple[Revocation, ...]:
        """Contain the leaks in a text: see `Submissions.contain`."""
        return await self.submissions.contain(request, caller=caller)

    async def dry_run(self, request: ReportRequest, *, caller: Caller) -> tuple[Revocation, ...]:
        """Preview a report: see `Submissions.preview`."""
        return await self.submissions.preview(request, caller=caller)

    async def order(self, request: OrderRequest, *, caller: Caller) -> Revocation:
        """Order a containment action without a leaked text. It takes two people: see `decision/people.py`.

        Raises InvalidRequest, also for an account outside the monitored subscriptions and for a policy that is
        missing or expired; TransientFailure or Blocked where the account can't be read.
        """
        try:
            ACTION_SPECS[request.action].check_target(request.target)
        except InvalidTarget as error:
            raise InvalidRequest(f"target: {error}") from None
        identity = f"order|{request.account}|{request.action}|{request.target}|{self.store.new_id()}"
        finding = Finding(
            fingerprint=hashlib.sha256(identity.encode()).hexdigest(),
            credential=None,
            source="responder",
            url=None,
            detected_at=self.store.clock(),
            order=Order(request.account, request.action, request.target),
            reported_by=caller,
            reason=redact(request.reason),
        )
        await self._check_order(finding, request)
        await self.containment.take(Reported(finding), patience=_PATIENCE)
        return await self._read(finding.fingerprint)

    async def _check_order(self, finding: Finding, request: OrderRequest) -> None:
        """Raise the errors of `order` for an order that would have no effect, such as one with a typing error."""
        try:
            async with asyncio.timeout(_PATIENCE):
                expected = await self.containment.preview(Reported(finding))
        except TimeoutError:
            raise TransientFailure(
                f"{request.account} could not be read within {_PATIENCE:.0f} s: nothing was ordered. Try again."
            ) from None
        if expected.reason in _NO_ACCOUNT_FOR_ORDERS:
            raise InvalidRequest(f"account: {expected.detail}")
        if expected.reason in _NO_POLICY_FOR_ORDERS:
            raise InvalidRequest(
                f"target: {request.account} has no such stored access policy, or it has expired. Azure accepts no "
                "token of it. Check the spelling."
            )

    async def approve(self, fingerprint: str, *, digest: str, reason: str, caller: Caller) -> Revocation:
        """Approve the plan with this digest, and run it, if no other approver is missing.

        Raises WrongState or NotPermitted.
        """
        approval = Approval(caller, self.store.clock(), digest, redact(reason))

        def approve(current: Revocation) -> Revocation:
            return transitions.approved(current, approval, second_person=self.second_person)

        return await self._decide_and_contain(
            fingerprint, approve, at=approval.at, what=f"Approved. Reason: {approval.reason}", caller=caller
        )

    async def reject(self, fingerprint: str, *, reason: str, caller: Caller) -> Revocation:
        """Reject the plan; where it takes two people, as one of them. Raises WrongState or NotPermitted."""
        rejection = Rejection(caller, self.store.clock(), redact(reason))

        def reject(current: Revocation) -> Revocation:
            return transitions.rejected(current, rejection)

        what = f"Rejected. Reason: {rejection.reason}"
        await self._decide(fingerprint, reject, at=rejection.at, what=what, caller=caller)
        return await self._follow_up(fingerprint)

    async def retry(self, fingerprint: str, *, reason: str, caller: Caller, is_approver: bool = False) -> Revocation:
        """Process again what failed, is unresolved, observed or rejected, or was not decided in time.

        Raises WrongState; NotPermitted for what was rejected, except to another approver.
        """
        why, now = redact(reason), self.store.clock()

        def retry(current: Revocation) -> Revocation:
            if current.reason is Reason.REJECTED:
                return transitions.reconsidered(current, by=caller, reason=why, now=now, is_approver=is_approver)
            return transitions.retried(current, by=str(caller), reason=why, now=now)

        return await self._decide_and_contain(
            fingerprint, retry, at=now, what=f"Retried. Reason: {why}", caller=caller
        )

    async def undo_lockdown(self, fingerprint: str, *, reason: str, caller: Caller) -> Revocation:
        """Put back what a lockdown changed, while no containment runs on the account.

        Raises WrongState, also where the account has been changed since; NotAPerson, AccountBusy, TransientFailure or
        Blocked. Idempotent.
        """
        transitions.check_person(caller)
        why, now = redact(reason), self.store.clock()
        _, account = transitions.way_back(await self._read(fingerprint))
        async with self.sessions.locked(account.name, fingerprint, urgent=True) as held:
            await self._require_settled(held)
            locked, account = transitions.way_back(await self._read(fingerprint))
            # Before the account is opened: if this failed afterwards, the record would still say that it is locked.
            await self.store.queues.contain(fingerprint, delay=_UNDO_TIME + SAFETY_NET)
            undone = await self.undo(locked, account)

            def unlock(current: Revocation) -> Revocation:
                return transitions.unlocked(current, undone, by=str(caller), reason=why, now=now)

            what = f"The {locked.name} was undone. Reason: {why}"
            await self._write(fingerprint, unlock, at=now, what=what, caller=caller)
        return await self._follow_up(fingerprint)

    async def _require_settled(self, held: HeldLock) -> None:
        """Raise AccountBusy if the previous holder of this lock may have crashed during an action.

        Recovery then settles that action: the lock is left as it was.
        """
        predecessor = held.lock.predecessor
        if predecessor is None:
            return
        records = await asyncio.gather(
            *(self.store.revocations.readable(fingerprint) for fingerprint in predecessor.suspects)
        )
        undecided = [record for record in records if record is not None and record.state is State.RECEIVED]
        if not undecided:
            return
        held.uncertain = True  # keeps the lock from being released
        await self.store.accounts.attribute(replace(held.lock, intent=predecessor), predecessor.attributed)
        await self.store.queues.contain(undecided[0].fingerprint, delay=0)
        raise AccountBusy(
            f"An interrupted action on {held.lock.account} is being reconciled. Try again in a minute.",
            retry_after=60.0,
        )

    async def _decide_and_contain(
        self, fingerprint: str, decide: Decision, *, at: datetime, what: str, caller: Caller
    ) -> Revocation:
        """Write a decision that makes the record wait for containment, and contain it while the caller waits."""
        record = await self._read(fingerprint)
        decide(record)
        await self.store.accounts.add_waiting(record.finding)
        await self._decide(fingerprint, decide, at=at, what=what, caller=caller)
        try:
            async with asyncio.timeout(_PATIENCE):
                await self.containment.resume(Message(fingerprint), urgent=True)
        except TimeoutError:
            _log.warning("Containing %s takes long: the queue continues with it.", fingerprint[:12])
        except SasquashError as error:
            _log.warning(
                "Containing %s failed; its safety-net message will retry it (%s): %s",
                fingerprint[:12],
                error.code,
                error,
            )
        return await self._read(fingerprint)

    async def _decide(self, fingerprint: str, decide: Decision, *, at: datetime, what: str, caller: Caller) -> None:
        """Write a decision, if it is allowed. Raises the errors of `decide`, or TransientFailure.

        A message to containment is sent first: it resumes a record that waits for containment, and enqueues the
        follow-up of one that has ended. It does not change a record without the decision.
        """
        decide(await self._read(fingerprint))
        await self.store.queues.contain(fingerprint, delay=SAFETY_NET)
        await self._write(fingerprint, decide, at=at, what=what, caller=caller)

    async def _write(self, fingerprint: str, decide: Decision, *, at: datetime, what: str, caller: Caller) -> None:
        """Write a decision; its time `at` identifies it. Raises the errors of `decide`, or TransientFailure."""
        try:
            async with asyncio.timeout(_WRITE_TIME):
                await self.store.revocations.change(
                    fingerprint,
                    lambda current: None if _is_done(current, at) else decide(current),
                    what=what,
                    who=str(caller),
                )
        except (TimeoutError, TransientFailure) as error:
            if not _is_done(await self._read(fingerprint), at):
                name = fingerprint[:12]
                raise TransientFailure(
                    f"Record {name} could not be written in time. Read it, and try again."
                ) from error

    async def _follow_up(self, fingerprint: str) -> Revocation:
        """Enqueue the follow-up, which notifies people of the new state."""
        try:
            await self.store.queues.follow_up(fingerprint)
        except SasquashError as error:
            _log.warning(
                "The follow-up of %s is not enqueued; its safety-net message will retry it (%s): %s",
                fingerprint[:12],
                error.code,
                error,
            )
        return await self._read(fingerprint)

    async def wait(self, fingerprints: tuple[str, ...], *, seconds: float) -> tuple[Revocation, ...]:
        """Return the records when they are settled, or after `seconds`."""
        until, pause = self.store.clock() + timedelta(seconds=seconds), _FIRST_PAUSE
        while True:
            records = await asyncio.gather(*(self._read(fingerprint) for fingerprint in fingerprints))
            left = (until - self.store.clock()).total_seconds()
            if left <= 0 or all(_is_settled(record) for record in records):
                return tuple(records)
            await self.sleep(min(pause, left))
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    async def read(self, fingerprint: str) -> tuple[Revocation, tuple[HistoryEntry, ...]]:
        """Return a record and its history, oldest first. Raises NoSuchRecord."""
        record = await self._read(fingerprint)
        return record, await self.store.revocations.history(fingerprint)

    async def page(self, query: PageQuery) -> Page:
        """Return some records, in the order of `Ledger.page`. Raises InvalidRequest."""
        listed = await self.store.revocations.page(
            state=query.state, account=query.account, limit=query.limit, after=query.after
        )
        return Page(listed.records, listed.place, listed.unreadable)

    async def _read(self, fingerprint: str) -> Revocation:
        record = await self.store.revocations.read(fingerprint) if _FINGERPRINT.fullmatch(fingerprint) else None
        if record is None:
            raise NoSuchRecord("There is no revocation with this id.")
        return record


def _is_settled(record: Revocation) -> bool:
    """Whether the record won't change soon. A second search for its account follows after minutes."""
    awaits_second_search = record.state is State.RECEIVED and record.account_lookups > 0
    return record.state in _SETTLED or record.reason is Reason.IN_EFFECT or awaits_second_search


def _is_done(current: Revocation, at: datetime) -> bool:
    """Whether the decision of this time is in the record: the answer to its write may have been lost."""
    return any(change.at == at for change in current.changes)
