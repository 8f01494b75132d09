"""Table `outbox`: the records whose history has lines to copy, and the records that are being pruned.

Partition "copy", row = the fingerprint: lines were written since. The row is written at the same time as the record,
and may be there before it: it is removed only after it is older than any write takes. Where it can't be written, the
daily check finds the lines that the copy does not have.

Partition "prune", row = the fingerprint: retention removes this record, and may have been interrupted.
Partition "place", row = the name of a daily run: where it goes on.
"""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import TableEntity, UpdateMode
from azure.data.tables.aio import TableClient

from shared.errors import SasquashError, UnreadableRow
from shared.persistence.own_storage import own_tables
from shared.persistence.rows import SetAside, logged, new_row, reading, time_in

_log = logging.getLogger(__name__)

SETTLED = timedelta(minutes=5)  # longer than any write of a record takes, and than the clocks of instances differ
_COPY, _PRUNE, _PLACE = "copy", "prune", "place"


@dataclass(frozen=True, slots=True)
class ToCopy:
    """A record with lines to copy, since `at`."""

    fingerprint: str
    at: datetime
    etag: str


class Outbox:
    """The only reader and writer of table `outbox`. All raise TransientFailure, except `note`."""

    def __init__(self, table: TableClient, *, clock: Callable[[], datetime], set_aside: SetAside = logged) -> None:
        self._table = table
        self._clock = clock
        self._set_aside = set_aside

    async def note(self, fingerprint: str) -> None:
        """Note that a record has lines to copy. Raises nothing: no revocation waits for its copy."""
        try:
            await self.add(fingerprint)
        except SasquashError as error:
            _log.warning("The daily check will copy the latest line of %s: %s", fingerprint[:12], error)

    async def add(self, fingerprint: str) -> None:
        """Note that a record has lines to copy. Idempotent."""
        await self._upsert(new_row(_COPY, fingerprint, At=self._clock()))

    async def to_copy(self) -> AsyncIterator[ToCopy]:
        """Yield the records with lines to copy."""
        async for row in self._rows(_COPY):
            if isinstance(row, ToCopy):
                yield row

    async def copied(self, done: ToCopy) -> None:
        """Remove a record all of whose lines are copied, unless more were written meanwhile, or may be."""
        if self._clock() - done.at < SETTLED:
            return
        guard: dict[str, Any] = {"etag": done.etag, "match_condition": MatchConditions.IfNotModified}
        with (
            own_tables("Removing a row of the outbox"),
            suppress(ResourceModifiedError, ResourceNotFoundError),
        ):
            await self._table.delete_entity(_COPY, done.fingerprint, **guard)

    async def forget(self, fingerprint: str) -> None:
        """Remove a record that is gone. Idempotent."""
        await self._delete(_COPY, fingerprint)

    async def begin_pruning(self, fingerprint: str) -> None:
        """Note that this record is being removed. Idempotent."""
        await self._upsert(new_row(_PRUNE, fingerprint))

    async def pruning(self) -> AsyncIterator[str]:
        """Yield the records whose removal was begun and not ended."""
        async for row in self._rows(_PRUNE):
            if isinstance(row, str):
                yield row

    async def end_pruning(self, fingerprint: str) -> None:
        """Note that nothing is left to remove. Idempotent."""
        await self._delete(_PRUNE, fingerprint)

    async def place(self, name: str) -> str:
        """Return where a daily run goes on, empty for the beginning."""
        with own_tables("Reading where a daily run goes on"):
            try:
                row = await self._table.get_entity(_PLACE, name)
            except ResourceNotFoundError:
                return ""
        return str(row.get("After", ""))

    async def save_place(self, name: str, after: str) -> None:
        """Note where the next run goes on."""
        await self._upsert(new_row(_PLACE, name, After=after))

    async def _rows(self, partition: str) -> AsyncIterator[ToCopy | str]:
        """Yield the rows of a partition that can be read. The others are set aside."""
        with own_tables("Reading the outbox"):
            async for row in self._table.query_entities("PartitionKey eq @p", parameters={"p": partition}):
                try:
                    with reading(self._table.table_name, row):
                        held = decoded(row)
                except UnreadableRow as error:
                    await self._set_aside(error)
                else:
                    yield held

    async def _upsert(self, row: dict[str, Any]) -> None:
        with own_tables("Writing the outbox"):
            await self._table.upsert_entity(row, mode=UpdateMode.MERGE)

    async def _delete(self, partition: str, key: str) -> None:
        with own_tables("Removing a row of the outbox"), suppress(ResourceNotFoundError):
            await self._table.delete_entity(partition, key)


def decoded(row: TableEntity) -> ToCopy | str:
    """Return what a row of table `outbox` says: what to copy, or else the key alone.

    Raises what `rows.reading` translates.
    """
    if row["PartitionKey"] != _COPY:
        return str(row["RowKey"])
    return ToCopy(row["RowKey"], time_in(row, "At"), str(row.metadata["etag"]))
