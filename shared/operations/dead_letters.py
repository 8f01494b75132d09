"""Events that Event Grid gave up on and dead-lettered.

Each becomes a failed record of its own, with an incident and a mail, so that no loss goes unnoticed. What can be read
of a dead letter is ingested as if it had just been delivered.
"""

import json
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob.aio import ContainerClient

from shared.cloud.errors import translate_errors
from shared.containment.ingest import Ingest
from shared.domain.finding import Report, report_of_event
from shared.domain.revocation import Reason
from shared.domain.text import Foreign
from shared.errors import MalformedEvent, SasquashError
from shared.operations.failure_records import FailureRecords
from shared.redaction import redact

_log = logging.getLogger(__name__)

_MOST_BLOBS = 50  # in one pass
_LARGEST = 8 * 1024 * 1024  # bytes of a blob: events of 1 MB, batched
_KEPT = "kept/"  # what can't be read, once its record stands
_LONGEST_WORD = 80


@dataclass(frozen=True, slots=True)
class _DeadLetter:
    """One event that was not delivered, and what Event Grid says of it. `report` is None where it can't be read."""

    report: Report | None
    why: str


class DeadLetters:
    """Recovers what Event Grid gave up."""

    def __init__(
        self, ingest: Ingest, *, records: FailureRecords, dead_letters: Callable[[], ContainerClient]
    ) -> None:
        self._ingest = ingest
        self._records = records
        self._dead_letters = dead_letters

    async def collect(self) -> None:
        """Take in what Event Grid has dead-lettered. One that fails is left for the next pass.

        Dead letters may hold secrets: each blob is deleted once its record stands. One of which something can't be
        read is kept, under another name. Raises where the container can't be listed.
        """
        container = self._dead_letters()
        for name in await self._found(container):
            try:
                await self._take_up(container, name)
            except SasquashError as error:
                _log.warning("A dead letter waits for the next pass (%s): %s", error.code, error)

    async def _found(self, container: ContainerClient) -> list[str]:
        """Return the names of the next few blobs that were not processed."""
        found: list[str] = []
        with translate_errors("Listing the dead letters"):
            async for blob in container.list_blobs(results_per_page=_MOST_BLOBS):
                if (blob.size or 0) > _LARGEST:
                    _log.error("A blob among the dead letters is too large to be one of Event Grid's; it is left.")
                elif not blob.name.startswith(_KEPT):
                    found.append(blob.name)
                if len(found) == _MOST_BLOBS:
                    break
        return found

    async def _take_up(self, container: ContainerClient, name: str) -> None:
        content = await self._content(container, name)
        if content is None:
            return  # another instance was faster
        letters = _letters(content)
        for letter in letters:
            if letter.report is not None:
                await self._ingest.receive(letter.report)
        kept_as = f"{_KEPT}{name}" if any(letter.report is None for letter in letters) else None
        said = _said(letters, kept_as=kept_as)
        await self._records.write("dead-letter", name, reason=Reason.UNDELIVERED, detail=said)
        with translate_errors("Putting a dead letter away"), suppress(ResourceNotFoundError):
            if kept_as is not None:
                await container.upload_blob(kept_as, content, overwrite=True)
            await container.delete_blob(name)

    async def _content(self, container: ContainerClient, name: str) -> bytes | None:
        """Return what is in a blob; None where it is gone."""
        with translate_errors("Reading a dead letter"):
            try:
                stream = await container.download_blob(name)
                return await stream.readall()
            except ResourceNotFoundError:
                return None


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


def _said(letters: Iterable[_DeadLetter], *, kept_as: str | None) -> str:
    found = list(letters)
    taken_in = sum(letter.report is not None for letter in found)
    unread = len(found) - taken_in
    reasons = ". ".join(dict.fromkeys(letter.why for letter in found if letter.why)) or "it does not say why"
    lost = f" {unread} could not be read, and what they reported is not known." if unread else ""
    kept = f" The blob is kept in container dead-letters as {Foreign(kept_as)}." if kept_as is not None else ""
    return (
        f"Event Grid gave up on {len(found)} events ({reasons}). {taken_in} were ingested now and have records of "
        f"their own.{lost}{kept} Find out why the app did not answer: its health, its log, and whether it scales."
    )
