"""Contains the credentials in a reported text; or, in a dry run, returns their plans and changes nothing."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from shared.api.revocations.account_matching import AccountMatcher, Placed
from shared.api.revocations.requests import ReportRequest
from shared.containment.service import Containment
from shared.domain import report as findings
from shared.domain.caller import Caller
from shared.domain.finding import Finding
from shared.domain.revocation import Revocation
from shared.domain.stand_in import fingerprint_of
from shared.domain.states import Reason
from shared.errors import Conflict, InvalidRequest, NoSuchRecord, TransientFailure, UnreadableRow
from shared.persistence.revocations import SASQUASH
from shared.persistence.store import Store

_log = logging.getLogger(__name__)

_AT_ONCE = 16  # findings of one text that are processed at the same time
_MOST = 500  # findings of one text: all are durable well before App Service times out (230 s)
_PATIENCE = timedelta(seconds=20)  # for containment while the caller waits; the queue continues with the rest
_DRY_RUN_TIME = 60.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Submissions:
    """Finds the credentials in a text, and returns their records."""

    containment: Containment
    store: Store
    matcher: AccountMatcher

    async def contain(self, request: ReportRequest, *, caller: Caller) -> tuple[Revocation, ...]:
        """Contain the credentials in a text; return one record for each.

        Raises InvalidRequest for too many credentials. Other errors mean that one of them is not durable: the same
        text can be reported again.
        """
        found = await self._found(request, caller)
        until = self.store.clock() + _PATIENCE

        async def contain(placed: Placed) -> Revocation:
            left = max((until - self.store.clock()).total_seconds(), 0.0)
            try:
                await self.containment.take(placed.reported, patience=left)
            except Conflict as error:
                # The record exists; concurrent reports of the same leak kept this one from being added to it.
                _log.warning("A repeated report was not added to its record: %s", error)
            return await self._noted(placed, caller)

        return await _each(found, contain)

    async def preview(self, request: ReportRequest, *, caller: Caller) -> tuple[Revocation, ...]:
        """Return the records that `contain` would create. Nothing is written or changed, no token is sent.

        Raises InvalidRequest for too many credentials, TransientFailure or Blocked where an account can't be read.
        """

        async def preview(placed: Placed) -> Revocation:
            return _with_note(await self.containment.preview(placed.reported), placed.note)

        try:
            async with asyncio.timeout(_DRY_RUN_TIME):
                return await _each(await self._found(request, caller), preview)
        except TimeoutError:
            raise TransientFailure(
                f"The dry run took longer than {_DRY_RUN_TIME:.0f} s: Azure is slow. Try again, or report it."
            ) from None

    async def _found(self, request: ReportRequest, caller: Caller) -> Iterable[Placed]:
        """Return the findings in the text, each once. A thread searches it: a long text takes a second."""
        found = await asyncio.to_thread(
            findings.in_text,
            request.text,
            source=request.source,
            url=request.url,
            detected_at=self.store.clock(),
            reported_by=caller,
            reason=request.reason,
        )
        if len(found) > _MOST:
            raise InvalidRequest(f"`text` must hold at most {_MOST} credentials: report it in parts.")
        placed = await self.matcher.attribute(found, request.accounts)
        by_fingerprint: dict[str, Placed] = {}
        for one in placed:
            first = by_fingerprint.get(one.reported.finding.fingerprint)
            by_fingerprint[one.reported.finding.fingerprint] = one if first is None else first.beside(one)
        return by_fingerprint.values()

    async def _noted(self, placed: Placed, caller: Caller) -> Revocation:
        """Return the record, with the result of the search for its account and a repeated report in its history."""
        finding = placed.reported.finding
        record = await self._record_of(finding)
        again = not record.finding.is_same_report(finding)
        what = _history_line(finding, placed.note, again_by=caller if again else None)
        if not what:
            return record
        try:
            noted = await self.store.revocations.change(
                record.fingerprint,
                lambda current: _with_note(current, placed.note),
                what=what,
                who=str(caller) if again else SASQUASH,
            )
        except Conflict as error:
            # The leak is contained all the same, and the caller gets its record.
            _log.warning("Not added to the history: %s (%s)", what, error)
            return record
        return noted or record

    async def _record_of(self, finding: Finding) -> Revocation:
        """Return the record of a leak that was taken in, or the one that decides instead. Raises NoSuchRecord."""
        try:
            record = await self.store.revocations.read(finding.fingerprint)
        except UnreadableRow:
            record = await self.store.revocations.read(fingerprint_of(finding.fingerprint))
        if record is None:
            raise NoSuchRecord(f"Record {finding.fingerprint[:12]} was deleted. Report it again.")
        owner = await self.store.revocations.read(record.duplicate_of) if record.duplicate_of else None
        return owner or record


async def _each(found: Iterable[Placed], do: Callable[[Placed], Awaitable[Revocation]]) -> tuple[Revocation, ...]:
    """Process all findings, a few at a time; then raise the first failure, if there was one."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(placed: Placed) -> Revocation:
        async with places:
            return await do(placed)

    outcomes = await asyncio.gather(*(one(placed) for placed in found), return_exceptions=True)
    records = []
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
        records.append(outcome)
    return tuple(records)


def _history_line(finding: Finding, note: str, *, again_by: Caller | None) -> str:
    again = f"Reported again by {again_by}. Reason: {finding.reason}" if again_by is not None else ""
    return f"{again} {note}".strip()


def _with_note(current: Revocation, note: str) -> Revocation:
    """Return the record of an unattributed credential with the result of the search for its account."""
    if not note or current.reason is not Reason.LOOSE or note in current.detail:
        return current
    return replace(current, detail=f"{current.detail} {note}")
