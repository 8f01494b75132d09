"""Events that Event Grid gave up on and dead-lettered.

An outage of the app leaves hundreds. A pass takes in as many as it can in its time, leaks of known accounts first,
and all of an outage are one failed record with their counts, so that no loss goes unnoticed. What can be read of a
dead letter is ingested as if it had just been delivered.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import batched
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob.aio import ContainerClient

from shared.containment.ingest import Ingest, Urgency
from shared.domain.report import Report, report_of_event
from shared.domain.revocation import Revocation
from shared.domain.states import Reason
from shared.domain.text import Foreign
from shared.errors import MalformedEvent, SasquashError
from shared.operations.failure_records import FailureRecords
from shared.persistence.outages import Loss, Outage, Outages
from shared.persistence.own_storage import own_blobs
from shared.redaction import redact

_log = logging.getLogger(__name__)

_TIME = timedelta(seconds=200)  # of a pass; the timer fires every five minutes, and so long a function may run
_AT_ONCE = 16  # blobs that are read or taken in side by side
_BATCH = 64  # blobs after which the time is checked; they are deleted once they are counted
_MOST_BLOBS = 5000  # that are read before the first is taken in, so that the most urgent come first
_MOST_BYTES = 64 * 1024 * 1024  # of them
_LARGEST = 8 * 1024 * 1024  # bytes of a blob: events of 1 MB, batched
_KEPT = "kept/"  # what can't be read, once its record stands
_LONGEST_WORD = 80


@dataclass(frozen=True, slots=True)
class _DeadLetter:
    """One event that was not delivered, and what Event Grid says of it. `report` is None where it can't be read."""

    report: Report | None
    why: str


@dataclass(frozen=True, slots=True)
class _Blob:
    """What a blob holds. `content` is there only where it has to be kept."""

    name: str
    letters: tuple[_DeadLetter, ...]
    content: bytes | None
    urgency: Urgency

    @property
    def kept_as(self) -> str | None:
        return f"{_KEPT}{self.name}" if self.content is not None else None

    @property
    def loss(self) -> Loss:
        unread = sum(letter.report is None for letter in self.letters)
        reasons = tuple(dict.fromkeys(letter.why for letter in self.letters if letter.why))
        return Loss(self.name, len(self.letters), unread, reasons, self.kept_as)


class DeadLetters:
    """Recovers what Event Grid gave up."""

    def __init__(
        self,
        ingest: Ingest,
        *,
        outages: Outages,
        records: FailureRecords,
        refresh: Callable[[Revocation], Awaitable[None]],
        dead_letters: Callable[[], ContainerClient],
    ) -> None:
        """`refresh` has the incident of a record show its new counts."""
        self._ingest = ingest
        self._outages = outages
        self._records = records
        self._refresh = refresh
        self._dead_letters = dead_letters

    async def collect(self) -> None:
        """Take in what Event Grid has dead-lettered, until all is done or the time is over.

        One that fails is left for the next pass. Dead letters may hold secrets: each blob is deleted once it is
        counted in the outage's record. One of which something can't be read is kept, under another name. Raises where
        the container can't be listed.
        """
        container, tried = self._dead_letters(), set[str]()
        until = self._ingest.clock() + _TIME
        while names := await self._found(container, without=tried):
            tried.update(names)
            blobs = sorted(await self._read(container, names), key=lambda blob: (blob.urgency, blob.name))
            for batch in batched(blobs, _BATCH, strict=False):
                if self._ingest.clock() >= until:
                    _log.warning("Dead letters are left for the next pass: the time of this one is over.")
                    return
                await self._take_in(container, batch)

    async def _found(self, container: ContainerClient, *, without: set[str]) -> list[str]:
        """Return the names of the next blobs that were not processed: as many as fit into the memory."""
        found: list[str] = []
        size = 0
        with own_blobs("Listing the dead letters"):
            async for blob in container.list_blobs():
                if blob.name.startswith(_KEPT) or blob.name in without:
                    continue
                if (blob.size or 0) > _LARGEST:
                    without.add(blob.name)
                    _log.error("A blob among the dead letters is too large to be one of Event Grid's; it is left.")
                    continue
                found.append(blob.name)
                size += blob.size or 0
                if len(found) == _MOST_BLOBS or size >= _MOST_BYTES:
                    break
        return found

    async def _read(self, container: ContainerClient, names: Sequence[str]) -> list[_Blob]:
        """Return what is in these blobs; without those that are gone or can't be read now."""

        async def read(name: str) -> _Blob | None:
            content = await self._content(container, name)
            return self._blob(name, content) if content is not None else None

        return [blob for blob in await _each(read, names) if blob is not None]

    def _blob(self, name: str, content: bytes) -> _Blob:
        letters = tuple(_letters(content))
        reports = [letter.report for letter in letters if letter.report is not None]
        urgency = min(map(self._ingest.urgency, reports), default=Urgency.NO_LEAK)
        return _Blob(name, letters, content if len(reports) < len(letters) else None, urgency)

    async def _take_in(self, container: ContainerClient, blobs: Sequence[_Blob]) -> None:
        """Ingest what can be read, record it, and delete the blobs."""

        async def ingest(blob: _Blob) -> _Blob:
            for letter in blob.letters:
                if letter.report is not None:
                    await self._ingest.receive(letter.report)
            if blob.content is not None:
                with own_blobs("Keeping a dead letter that can't be read"):
                    await container.upload_blob(str(blob.kept_as), blob.content, overwrite=True)
            return blob

        async def delete(blob: _Blob) -> None:
            with own_blobs("Deleting a dead letter"), suppress(ResourceNotFoundError):
                await container.delete_blob(blob.name)

        done = await _each(ingest, blobs)
        if not done:
            return
        try:
            await self._record([blob.loss for blob in done])
        except SasquashError as error:
            _log.warning("Dead letters wait for the next pass (%s): %s", error.code, error)
        else:
            await _each(delete, done)

    async def _record(self, losses: Sequence[Loss]) -> None:
        outage = await self._outages.note(losses)
        since = outage.since.isoformat()
        record = await self._records.note("dead-letters", since, reason=Reason.UNDELIVERED, detail=_said(outage))
        await self._refresh(record)

    async def _content(self, container: ContainerClient, name: str) -> bytes | None:
        """Return what is in a blob; None where it is gone: another instance was faster."""
        with own_blobs("Reading a dead letter"):
            try:
                stream = await container.download_blob(name)
                return await stream.readall()
            except ResourceNotFoundError:
                return None


async def _each[T, R](work: Callable[[T], Awaitable[R]], items: Iterable[T]) -> list[R]:
    """Do it for each, a few at a time; return the results of those that did not fail. A failure is logged."""
    places = asyncio.Semaphore(_AT_ONCE)
    results: list[R] = []

    async def one(item: T) -> None:
        async with places:
            try:
                results.append(await work(item))
            except SasquashError as error:
                _log.warning("A dead letter waits for the next pass (%s): %s", error.code, error)
            except Exception:  # noqa: BLE001 -- an unexpected one must not stop the others, pass after pass
                _log.exception("A dead letter waits for the next pass: unexpected error.")

    await asyncio.gather(*map(one, items))
    return results


def _letters(content: bytes) -> list[_DeadLetter]:
    """Return what is in a blob: one letter that can't be read where it is not what Event Grid writes."""
    try:
        events = json.loads(content)
    except (ValueError, RecursionError):
        return [_DeadLetter(None, "")]
    return [_letter(event) for event in (events if isinstance(events, list) else [events])]


def _letter(event: object) -> _DeadLetter:
    """Read one event, to which Event Grid has added its properties ("Dead letter and retry policies")."""
    if not isinstance(event, dict):
        return _DeadLetter(None, "")
    reason, attempts, outcome = (_word(event, *names) or "unknown" for names in _PROPERTIES)
    why = f"reason: {reason}; attempts: {attempts}; outcome of the last one: {outcome}"
    try:
        return _DeadLetter(report_of_event(event), why)
    except MalformedEvent:
        return _DeadLetter(None, why)


# In the Event Grid schema, and as the extension attributes of a CloudEvent.
_PROPERTIES = (
    ("deadLetterReason", "deadletterreason"),
    ("deliveryAttempts", "deliveryattempts"),
    ("lastDeliveryOutcome", "lastdeliveryoutcome"),
)


def _word(event: dict[str, Any], *names: str) -> str:
    """Return one of Event Grid's own words, so that it may be shown."""
    found = next((str(event[name]) for name in names if name in event), "")
    return redact("".join(c for c in found if c.isalnum() or c in " _-.")[:_LONGEST_WORD])


def _said(outage: Outage) -> str:
    taken_in = outage.events - outage.unread
    reasons = ". ".join(outage.reasons) or "it does not say why"
    lost = f" {outage.unread} could not be read, and what they reported is not known." if outage.unread else ""
    kept = ""
    if outage.kept:
        names = ", ".join(str(Foreign(name)) for name in outage.kept)
        more = f" and {left} more" if (left := outage.blobs_kept - len(outage.kept)) else ""
        what = "The blob is" if outage.blobs_kept == 1 else f"{outage.blobs_kept} blobs are"
        kept = f" {what} kept in container dead-letters as {names}{more}."
    return (
        f"Event Grid gave up on {outage.events} events ({reasons}). {taken_in} were ingested and have records of "
        f"their own.{lost}{kept} Find out why the app did not answer: its health, its log, and whether it scales."
    )
