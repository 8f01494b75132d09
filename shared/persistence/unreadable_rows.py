"""The rows of Sasquash's tables that this version can't read: their readers note them here, and people see them.

Table `readiness`, partition "unreadable", a row for each of them, by a hash of its place. It names the row and quotes
nothing of it. A note goes once its row can be read, or is gone (`recheck`).
"""

import hashlib
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.data.tables import TableEntity
from azure.data.tables.aio import TableClient

from shared.errors import SasquashError, UnreadableRow
from shared.persistence import accounts, history_rows, outbox, state_index
from shared.persistence.own_storage import own_tables
from shared.persistence.rows import UNREADABLE, new_row, reading

_log = logging.getLogger(__name__)

_PARTITION = "unreadable"
_MOST_RECHECKED = 500  # in one pass
_DECODED: dict[str, Callable[[TableEntity], object]] = {
    "revocations": history_rows.decoded,
    "accounts": accounts.decoded,
    "states": state_index.decoded,
    "outbox": outbox.decoded,
}


@dataclass(frozen=True, slots=True)
class Unread:
    """A row that can't be read, since when that is known, and whether it says that a newer version wrote it."""

    table: str
    partition: str
    key: str
    found_at: datetime
    is_newer: bool


class UnreadableRows:
    """The only reader and writer of the notes. `open_table` opens one of Sasquash's tables by its name."""

    def __init__(self, open_table: Callable[[str], TableClient], *, clock: Callable[[], datetime]) -> None:
        self._open = open_table
        self._clock = clock
        self._noted: set[str] = set()  # by this process

    async def note(self, row: UnreadableRow) -> None:
        """Log a row and note it, once a process. Raises nothing: its reader goes on with other rows."""
        key = _key(row.table, row.partition, row.key)
        if key in self._noted:
            return
        self._noted.add(key)
        _log.error(UNREADABLE, row)
        columns = {"Table": row.table, "Partition": row.partition, "Key": row.key, "IsNewer": row.is_newer}
        try:
            with own_tables("Noting a row that can't be read"), suppress(ResourceExistsError):
                await self._notes.create_entity(new_row(_PARTITION, key, FoundAt=self._clock(), **columns))
        except SasquashError as error:
            self._noted.discard(key)
            _log.warning("Not noted for the readiness: a row of table %s (%s): %s", row.table, error.code, error)

    async def all(self) -> list[Unread]:
        """Return what is noted, the latest first. Raises TransientFailure."""
        with own_tables("Reading which rows can't be read"):
            found = self._notes.query_entities("PartitionKey eq @p", parameters={"p": _PARTITION})
            noted = [
                Unread(row["Table"], row["Partition"], row["Key"], row["FoundAt"], row["IsNewer"])
                async for row in found
            ]
        return _latest_first(noted)

    async def recheck(self) -> list[Unread]:
        """Forget the rows that can be read, or are gone; return the others, the latest first.

        Raises TransientFailure.
        """
        noted = await self.all()
        left = noted[_MOST_RECHECKED:]
        for one in noted[:_MOST_RECHECKED]:
            if await self._is_unreadable(one):
                left.append(one)
                continue
            key = _key(one.table, one.partition, one.key)
            self._noted.discard(key)
            with own_tables("Removing the note of a row"), suppress(ResourceNotFoundError):
                await self._notes.delete_entity(_PARTITION, key)
        return _latest_first(left)

    async def _is_unreadable(self, noted: Unread) -> bool:
        with own_tables("Reading a row again that could not be read"):
            try:
                row = await self._open(noted.table).get_entity(noted.partition, noted.key)
            except ResourceNotFoundError:
                return False
        try:
            with reading(noted.table, row):
                _decoded(noted.table, row)
        except UnreadableRow:
            return True
        return False

    @property
    def _notes(self) -> TableClient:
        return self._open("readiness")


def _latest_first(rows: list[Unread]) -> list[Unread]:
    return sorted(rows, key=lambda one: (one.found_at, one.table, one.key), reverse=True)


def _decoded(table: str, row: TableEntity) -> None:
    # A revocation needs none of them.
    from shared.persistence import hourly_groups, outages, readiness, reminders, summary_lines  # noqa: PLC0415

    partition = row["PartitionKey"]
    if table == "readiness":
        readiness.decoded(row)
    elif table == "digest" and partition == "outage":
        outages.decoded(row)
    elif table == "digest" and partition == "reminder":
        reminders.decoded(row)
    elif table == "digest" and summary_lines.is_of(partition):
        summary_lines.decoded(row)
    elif table == "digest":
        hourly_groups.decoded(row)
    else:
        _DECODED[table](row)


def _key(table: str, partition: str, key: str) -> str:
    return hashlib.sha256("|".join((table, partition, key)).encode(errors="surrogatepass")).hexdigest()
