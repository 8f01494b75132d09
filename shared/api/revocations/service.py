"""What a person may do to the records: report, order, approve, reject, retry, undo a lockdown, and look.

An act is one write of the record, guarded by its ETag: of two people who decide at once, the first one counts. A
message that goes out before that write carries the act on should this worker die after it. Who calls, and in which
role, has been checked before; whether it takes a second person is checked in `acts`.
"""

import asyncio
import hashlib
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta

from shared.api.revocations.requests import OrderRequest, Page, PageQuery, ReportRequest
from shared.api.revocations.submissions import Submissions
from shared.containment.account_session import AccountSessions
from shared.containment.execution import HeldLock
from shared.containment.service import Containment
from shared.domain import transitions
from shared.domain.account import AccountFacts
from shared.domain.caller import Caller
from shared.domain.finding import Finding, Order, Reported
from shared.domain.revocation import Approval, LockedDown, Reason, Revocation, State
from shared.domain.target import InvalidTarget, check_target
from shared.errors import AccountBusy, InvalidRequest, NoSuchRecord, SasquashError, TransientFailure
from shared.persistence.accounts import AccountTable, waiting_partition
from shared.persistence.queues import SAFETY_NET, Message, Queues
from shared.persistence.revocations import HistoryEntry, Ledger
from shared.redaction import redact
from shared.settings import Settings

_log = logging.getLogger(__name__)

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")  # else the row of another thing than a record might be read
_WRITE_TIME = 30.0  # seconds for the write itself: it stands before the message comes, or it was never made
_PATIENCE = 20.0  # seconds for what is done while the caller waits
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 4.0  # seconds between two looks
_NO_ACCOUNT_FOR_ORDERS = frozenset({Reason.NOT_OURS, Reason.OWN_STORAGE})
_NO_POLICY_FOR_ORDERS = frozenset({Reason.POLICY_GONE, Reason.POLICY_EXPIRED})
_SETTLED = frozenset(set(State) - {State.RECEIVED, State.CONTAINED})

type Act = Callable[[Revocation], Revocation]
"""What an act makes of the record as it stands; raises WrongState or NotPermitted where it may not be done."""


class RevocationService:
    """Does what people ask for, and answers with the records as they stand then."""

    def __init__(
        self,
        *,
        settings: Settings,
        containment: Containment,
        work: AccountSessions,
        ledger: Ledger,
        table: AccountTable,
        queues: Queues,
        reporting: Submissions,
        undo: Callable[[LockedDown, AccountFacts], Awaitable[LockedDown]],
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`undo` is that of the lockdown lever."""
        self._settings = settings
        self._containment = containment
        self._work = work
        self._ledger = ledger
        self._table = table
        self._queues = queues
        self._reporting = reporting
        self._undo = undo
        self._clock = clock
        self._new_id = new_id
        self._sleep = sleep

    async def report(self, request: ReportRequest, *, caller: Caller) -> tuple[Revocation, ...]:
        """Take in what leaked in a text, as `Submissions.take_in`."""
        return await self._reporting.take_in(request, caller=caller)

    async def dry_run(self, request: ReportRequest, *, caller: Caller) -> tuple[Revocation, ...]:
        """Tell what would come of a text, as `Submissions.preview`."""
        return await self._reporting.preview(request, caller=caller)

    async def order(self, request: OrderRequest, *, caller: Caller) -> Revocation:
        """Have a lever pulled without a leaked text, once a second person has approved.

        Raises InvalidRequest, also for an account that is not one of those that Sasquash looks after and for a policy
        that ends nothing; TransientFailure or Blocked where the account can't be looked at.
        """
        try:
            check_target(request.action, request.target)
        except InvalidTarget as error:
            raise InvalidRequest(f"target: {error}") from None
        identity = f"order|{request.account}|{request.action}|{request.target}|{self._new_id()}"
        finding = Finding(
            fingerprint=hashlib.sha256(identity.encode()).hexdigest(),
            credential=None,
            source="responder",
            url=None,
            detected_at=self._clock(),
            order=Order(request.account, request.action, request.target),
            reported_by=caller,
            reason=redact(request.reason),
        )
        await self._check_order(finding, request)
        await self._containment.take(Reported(finding), patience=_PATIENCE)
        return await self._standing(finding.fingerprint)

    async def _check_order(self, finding: Finding, request: OrderRequest) -> None:
        """Raise what `order` raises where it would come to nothing: a slip of the pen is best told at once."""
        try:
            async with asyncio.timeout(_PATIENCE):
                expected = await self._containment.preview(Reported(finding))
        except TimeoutError:
            raise TransientFailure(
                f"{request.account} could not be looked at within {_PATIENCE:.0f} s: nothing was ordered. Try again."
            ) from None
        if expected.reason in _NO_ACCOUNT_FOR_ORDERS:
            raise InvalidRequest(f"account: {expected.detail}")
        if expected.reason in _NO_POLICY_FOR_ORDERS:
            raise InvalidRequest(
                f"target: {request.account} has no such stored access policy, or it has ended: no token of it is "
                "accepted. Look at the spelling."
            )

    async def approve(self, fingerprint: str, *, digest: str, reason: str, caller: Caller) -> Revocation:
        """Approve the plan with this digest, and carry it out. Raises WrongState or NotPermitted."""
        approval = Approval(caller, self._clock(), digest, redact(reason))
        second_person = self._settings.second_person

        def approve(current: Revocation) -> Revocation:
            return transitions.approved(current, approval, second_person=second_person)

        return await self._go_on(
            fingerprint, approve, at=approval.at, what=f"Approved. Reason: {approval.reason}", caller=caller
        )

    async def reject(self, fingerprint: str, *, reason: str, caller: Caller) -> Revocation:
        """Decide that the plan is not to be carried out. Raises WrongState."""
        why, now = redact(reason), self._clock()

        def reject(current: Revocation) -> Revocation:
            return transitions.rejected(current, by=str(caller), reason=why, now=now)

        await self._write(fingerprint, reject, at=now, what=f"Rejected. Reason: {why}", caller=caller)
        return await self._key_distribution(fingerprint)

    async def retry(self, fingerprint: str, *, reason: str, caller: Caller) -> Revocation:
        """Look anew at what failed, is unresolved, was only observed, or waited too long. Raises WrongState."""
        why, now = redact(reason), self._clock()

        def retry(current: Revocation) -> Revocation:
            return transitions.retried(current, by=str(caller), reason=why, now=now)

        return await self._go_on(fingerprint, retry, at=now, what=f"Retried. Reason: {why}", caller=caller)

    async def undo_lockdown(self, fingerprint: str, *, reason: str, caller: Caller) -> Revocation:
        """Put back what a lockdown changed, while no containment runs on the account.

        Raises WrongState, also where somebody changed the account since; AccountBusy, TransientFailure or Blocked.
        It may be asked for again.
        """
        why, now = redact(reason), self._clock()
        _, account = transitions.way_back(await self._standing(fingerprint))
        async with self._work.locked(account.name, fingerprint, urgent=True) as held:
            await self._after(held)
            locked, account = transitions.way_back(await self._standing(fingerprint))
            undone = await self._undo(locked, account)

            def unlock(current: Revocation) -> Revocation:
                return transitions.unlocked(current, undone, by=str(caller), reason=why, now=now)

            await self._write(fingerprint, unlock, at=now, what=f"Lockdown undone. Reason: {why}", caller=caller)
        return await self._key_distribution(fingerprint)

    async def _after(self, held: HeldLock) -> None:
        """Return if no worker died under this lock with a lever in hand. Raises AccountBusy if one may have.

        Containment finds out what that one did, from the lock that it gets back as it was.
        """
        predecessor = held.lock.predecessor
        if predecessor is None:
            return
        records = await asyncio.gather(*(self._ledger.read(fingerprint) for fingerprint in predecessor.suspects))
        undecided = [record for record in records if record is not None and record.state is State.RECEIVED]
        if not undecided:
            return
        held.uncertain = True  # not to be released
        await self._table.attribute(replace(held.lock, intent=predecessor), predecessor.attributed)
        await self._queues.contain(undecided[0].fingerprint, delay=0)
        raise AccountBusy(
            f"What an earlier worker did to {held.lock.account} is being found out. Try again in a minute.",
            retry_after=60.0,
        )

    async def _go_on(self, fingerprint: str, act: Act, *, at: datetime, what: str, caller: Caller) -> Revocation:
        """Do an act that makes the record wait for containment, and contain it while the caller waits."""
        record = await self._standing(fingerprint)
        act(record)
        await self._table.add_waiting(waiting_partition(record.finding), record.finding)
        await self._write(fingerprint, act, at=at, what=what, caller=caller)
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._containment.resume(Message(fingerprint), urgent=True)
        except TimeoutError:
            _log.warning("Containing %s takes long: the queue goes on with it.", fingerprint[:12])
        except SasquashError as error:
            _log.warning("Containing %s waits for its safety net (%s): %s", fingerprint[:12], error.code, error)
        return await self._standing(fingerprint)

    async def _write(self, fingerprint: str, act: Act, *, at: datetime, what: str, caller: Caller) -> None:
        """Do an act. `at` is its moment, by which it is known again. Raises what `act` raises, or TransientFailure.

        Containment's message goes out first: it goes on with a record that waits for it, and hands one over to the
        follow-up that has ended. A record in which the act does not stand, it leaves as it is.
        """
        act(await self._standing(fingerprint))
        await self._queues.contain(fingerprint, delay=SAFETY_NET)
        try:
            async with asyncio.timeout(_WRITE_TIME):
                await self._ledger.change(
                    fingerprint,
                    lambda current: None if _done(current, at) else act(current),
                    what=what,
                    who=str(caller),
                )
        except (TimeoutError, TransientFailure) as error:
            if not _done(await self._standing(fingerprint), at):
                name = fingerprint[:12]
                raise TransientFailure(
                    f"Record {name} could not be written in time. Read it, and try again."
                ) from error

    async def _key_distribution(self, fingerprint: str) -> Revocation:
        """Let the follow-up tell of what the record has come to."""
        try:
            await self._queues.follow_up(fingerprint)
        except SasquashError as error:
            _log.warning("Following up %s waits for its safety net (%s): %s", fingerprint[:12], error.code, error)
        return await self._standing(fingerprint)

    async def wait(self, fingerprints: tuple[str, ...], *, seconds: float) -> tuple[Revocation, ...]:
        """Return the records when nothing more comes of them soon, or when `seconds` are over."""
        until, pause = self._clock() + timedelta(seconds=seconds), _FIRST_PAUSE
        while True:
            records = await asyncio.gather(*(self._standing(fingerprint) for fingerprint in fingerprints))
            left = (until - self._clock()).total_seconds()
            if left <= 0 or all(_is_at_rest(record) for record in records):
                return tuple(records)
            await self._sleep(min(pause, left))
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    async def read(self, fingerprint: str) -> tuple[Revocation, tuple[HistoryEntry, ...]]:
        """Return a record and its history, oldest first. Raises NoSuchRecord."""
        record = await self._standing(fingerprint)
        return record, await self._ledger.history(fingerprint)

    async def page(self, query: PageQuery) -> Page:
        """Return some records, as `Ledger.page` orders them. Raises InvalidRequest."""
        records, place = await self._ledger.page(
            state=query.state, account=query.account, limit=query.limit, after=query.after
        )
        return Page(records, place)

    async def _standing(self, fingerprint: str) -> Revocation:
        record = await self._ledger.read(fingerprint) if _FINGERPRINT.fullmatch(fingerprint) else None
        if record is None:
            raise NoSuchRecord("There is no revocation with this id.")
        return record


def _is_at_rest(record: Revocation) -> bool:
    """Whether nothing more comes of it soon; a second look for its account follows after minutes."""
    awaits_second_look = record.state is State.RECEIVED and record.looked_for_account > 0
    return record.state in _SETTLED or awaits_second_look


def _done(current: Revocation, at: datetime) -> bool:
    """Whether the act of this moment stands in the record: the answer to its write may have been lost."""
    return any(change.at == at for change in current.changes)
