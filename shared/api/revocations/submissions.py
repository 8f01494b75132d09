"""A leaked text that a person reports: each credential in it is taken in, or its plan shown and nothing done."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from shared.api.revocations.account_matching import AccountMatcher, Placed
from shared.api.revocations.requests import ReportRequest
from shared.containment.service import Containment
from shared.domain import finding as findings
from shared.domain.caller import Caller
from shared.domain.finding import Finding
from shared.domain.revocation import Reason, Revocation
from shared.errors import Conflict, InvalidRequest, NoSuchRecord, TransientFailure
from shared.persistence.revocations import SASQUASH, Ledger

_log = logging.getLogger(__name__)

_AT_ONCE = 16  # findings of one text that are taken in side by side
_MOST = 500  # findings of one text, so that they are all durable well before App Service hangs up (230 s)
_PATIENCE = timedelta(seconds=20)  # for containing them all while the caller waits; the queue goes on with the rest
_DRY_RUN_TIME = 60.0  # seconds


class Submissions:
    """Hands over to containment what is in a text, and answers with the records."""

    def __init__(
        self,
        *,
        containment: Containment,
        ledger: Ledger,
        loose: AccountMatcher,
        clock: Callable[[], datetime],
    ) -> None:
        self._containment = containment
        self._ledger = ledger
        self._loose = loose
        self._clock = clock

    async def take_in(self, request: ReportRequest, *, caller: Caller) -> tuple[Revocation, ...]:
        """Contain what leaked in a text: one record for each credential, none where there is none in it.

        Raises InvalidRequest for more than a report may bring. Else it raises only when one of them is not durable:
        the same text may be reported again.
        """
        found = await self._found(request, caller)
        until = self._clock() + _PATIENCE

        async def take(placed: Placed) -> Revocation:
            left = max((until - self._clock()).total_seconds(), 0.0)
            try:
                await self._containment.take(placed.reported, patience=left)
            except Conflict as error:
                # The record is there, and so many report the same leak that this one could not be noted in it.
                _log.warning("Another report of a known leak: %s", error)
            return await self._noted(placed, caller)

        return await _each(found, take)

    async def preview(self, request: ReportRequest, *, caller: Caller) -> tuple[Revocation, ...]:
        """Return the records that `take_in` would bring about. Nothing is written or pulled, no token sent.

        Raises InvalidRequest for more than a report may bring, TransientFailure or Blocked where an account can't be
        read.
        """

        async def preview(placed: Placed) -> Revocation:
            return _with_note(await self._containment.preview(placed.reported), placed.note)

        try:
            async with asyncio.timeout(_DRY_RUN_TIME):
                return await _each(await self._found(request, caller), preview)
        except TimeoutError:
            raise TransientFailure(
                f"The dry run took longer than {_DRY_RUN_TIME:.0f} s: Azure is slow. Try again, or report it."
            ) from None

    async def _found(self, request: ReportRequest, caller: Caller) -> Iterable[Placed]:
        """Return what is in the text, once each. A long text takes a second, and the event loop has leaks to kill."""
        found = await asyncio.to_thread(
            findings.in_text,
            request.text,
            source=request.source,
            url=request.url,
            detected_at=self._clock(),
            reported_by=caller,
            reason=request.reason,
        )
        if len(found) > _MOST:
            raise InvalidRequest(f"`text` must hold at most {_MOST} credentials: report it in parts.")
        placed = await self._loose.place(found, request.accounts)
        return {one.reported.finding.fingerprint: one for one in placed}.values()

    async def _noted(self, placed: Placed, caller: Caller) -> Revocation:
        """Return the record, with what came of a search for its account, and whether it had been reported before."""
        finding = placed.reported.finding
        record = await self._ledger.read(finding.fingerprint)
        if record is None:
            raise NoSuchRecord(f"Record {finding.fingerprint[:12]} is gone: somebody deleted it. Report it again.")
        again = record.finding != finding
        what = _history_line(finding, placed.note, again_by=caller if again else None)
        if not what:
            return record
        try:
            noted = await self._ledger.change(
                finding.fingerprint,
                lambda current: _with_note(current, placed.note),
                what=what,
                who=str(caller) if again else SASQUASH,
            )
        except Conflict as error:
            # It is contained all the same, and whoever reported it is told so.
            _log.warning("Not noted in the record: %s (%s)", what, error)
            return record
        return noted or record


async def _each(found: Iterable[Placed], do: Callable[[Placed], Awaitable[Revocation]]) -> tuple[Revocation, ...]:
    """Do it to all, a few at a time; then raise the first failure, if there was one."""
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
    """Return the record of a loose credential with what came of looking for its account."""
    if not note or current.reason is not Reason.LOOSE or note in current.detail:
        return current
    return replace(current, detail=f"{current.detail} {note}")
