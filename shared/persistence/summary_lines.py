"""The lines of the summary mail, which of them were mailed, and when.

Table `digest`, beside the groups of findings that share an incident. Partition "line~<kind>": a row for each finding
that waits for the mail about its kind (row = fingerprint). Partition "line": lines of all kinds, as an earlier
version wrote them; they are due at once. Partition "mailed": a row for each kind, when a mail about it was sent last;
and rows "~<number>~<mail>", the lines of that mail, until they are removed. Partition "lock": one row, while an
instance sends. A line that can't be read is kept, and no mail is about it.

What a mail was about is noted in one transaction, before any line of it is removed. So an instance that ends between
the two leaves no line to be mailed again. A line is removed only as it was mailed: what was written since is mailed
with the next mail (REST: "Performing entity group transactions").
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from http import HTTPStatus
from itertools import batched, groupby
from typing import Any

import msgspec
from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import TableEntity, TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient

from shared.domain.summary_line import SummaryLine
from shared.errors import UnreadableRow
from shared.persistence.own_storage import own_tables
from shared.persistence.rows import Row, SetAside, logged, new_row, reading, time_in

MOST = 10_000
"""Lines of one mail, at most: what is noted of it has to fit into a transaction of 100 rows."""

_EVERY = timedelta(hours=1)  # for each kind
_SENDING = timedelta(minutes=6)  # longer than any function runs (host.json, functionTimeout)
_BATCH = 100  # changes in one transaction
_NOTED = 180  # lines in one row, whose column holds 32 K characters
_LINE, _MAILED, _LOCK = "line", "mailed", "lock"
_BEFORE_LINES, _AFTER_LINES, _NOTES = "lin", "line~~", "~"  # keys that sort so: a kind begins with a letter


class StoredLine(msgspec.Struct, array_like=True, frozen=True):
    """The row of a line, as it was read."""

    partition: str
    key: str
    etag: str


class SummaryLines:
    """The only writer and reader of these rows. All methods raise TransientFailure."""

    def __init__(
        self,
        table: TableClient,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        set_aside: SetAside = logged,
    ) -> None:
        self.table = table
        self._clock = clock
        self._new_id = new_id
        self._set_aside = set_aside

    async def add(self, line: SummaryLine) -> None:
        """Have the next mail about its kind have this line. Idempotent."""
        text = msgspec.json.encode(line).decode()
        with own_tables("Writing the summary mail"):
            row = new_row(f"{_LINE}~{line.kind}", line.fingerprint, Line=text)
            await self.table.upsert_entity(row, mode=UpdateMode.MERGE)

    async def remove(self, *, kind: str, fingerprint: str) -> None:
        """Take a line out of the next mail. Idempotent."""
        with own_tables("Removing a line of the summary mail"), suppress(ResourceNotFoundError):
            await self.table.delete_entity(f"{_LINE}~{kind}", fingerprint)

    async def any_wait(self) -> bool:
        """Whether there are lines."""
        return await self._partition_after(_BEFORE_LINES) is not None

    async def due(self, *, most: int) -> AsyncIterator[tuple[StoredLine, SummaryLine]]:
        """Yield lines of the kinds that no mail of this hour was about, kind by kind, `most` of them.

        The lines of other kinds are not read, however many they are.
        """
        lately, left = await self._mailed_lately(), most
        partition = await self._partition_after(_BEFORE_LINES)
        while partition is not None and left:
            if partition.removeprefix(f"{_LINE}~") not in lately:
                async for row in self._rows("PartitionKey eq @p", {"p": partition}):
                    line = await self._readable(row, line_in)
                    if line is None:
                        continue
                    yield StoredLine(partition, row["RowKey"], str(row.metadata["etag"])), line
                    left -= 1
                    if not left:
                        return
            partition = await self._partition_after(partition)

    async def note_mailed(self, kinds: Iterable[str], lines: Sequence[StoredLine]) -> None:
        """Note that a mail about these lines, at most `MOST`, was sent just now. All of it is noted, or nothing."""
        now, mail = self._clock(), self._new_id()  # a note that can't be read stays beside those of this mail
        rows = [new_row(_MAILED, kind, At=now) for kind in kinds]
        for number, some in enumerate(batched(lines, _NOTED, strict=False)):
            text = msgspec.json.encode(some).decode()
            rows.append(new_row(_MAILED, f"{_NOTES}{number:03}~{mail}", At=now, Lines=text))
        with own_tables("Noting what was mailed"):
            await self.table.submit_transaction([("upsert", row, {"mode": UpdateMode.MERGE}) for row in rows])

    async def remove_mailed(self) -> None:
        """Remove the lines that are noted as mailed, and the notes. Idempotent."""
        query, values = "PartitionKey eq @p and RowKey ge @first", {"p": _MAILED, "first": _NOTES}
        async for note in self._rows(query, values):
            lines = await self._readable(note, _lines_of)
            if lines is None:
                continue
            with own_tables("Removing sent lines of the summary mail"):
                for _, of_kind in groupby(lines, key=lambda line: line.partition):
                    for some in batched(of_kind, _BATCH, strict=False):
                        await self._delete(some)
                await self.table.delete_entity(_MAILED, note["RowKey"])

    async def lock(self) -> bool:
        """Return whether this instance may send now."""
        now, holder = self._clock(), self._new_id()
        lock = new_row(_LOCK, _LOCK, Until=now + _SENDING, Holder=holder)
        with own_tables("Locking the summary mail"), suppress(ResourceNotFoundError):
            with suppress(ResourceExistsError):
                await self.table.create_entity(lock)
                return True
            held = await self.table.get_entity(_LOCK, _LOCK)
            if held.get("Holder") == holder:
                return True  # ours: the answer to a first attempt was lost
            if _until(held, now=now) <= now:
                with suppress(ResourceModifiedError):
                    unchanged = _if_unchanged(str(held.metadata["etag"]))
                    await self.table.update_entity(lock, mode=UpdateMode.MERGE, **unchanged)
                    return True
                held = await self.table.get_entity(_LOCK, _LOCK)
                return bool(held.get("Holder") == holder)
        return False

    async def unlock(self) -> None:
        """Let another instance send."""
        with own_tables("Unlocking the summary mail"):
            await self.table.delete_entity(_LOCK, _LOCK)

    async def _partition_after(self, partition: str) -> str | None:
        """Return the next partition that has lines."""
        query = "PartitionKey gt @after and PartitionKey lt @end"
        async for row in self._rows(query, {"after": partition, "end": _AFTER_LINES}, per_page=1):
            return str(row["PartitionKey"])
        return None

    async def _mailed_lately(self) -> set[str]:
        """Return the kinds that a mail of this hour was about."""
        since = self._clock() - _EVERY
        rows = self._rows("PartitionKey eq @p and RowKey lt @notes", {"p": _MAILED, "notes": _NOTES})
        # Where the time can't be read, it is mailed: it says so of one kind alone.
        return {row["RowKey"] async for row in rows if isinstance(at := row.get("At"), datetime) and at > since}

    async def _readable[V](self, row: TableEntity, decode: Callable[[Row], V]) -> V | None:
        """Return what a row holds; None where it can't be read: it is set aside."""
        try:
            with reading(self.table.table_name, row):
                return decode(row)
        except UnreadableRow as error:
            await self._set_aside(error)
            return None

    async def _delete(self, lines: Sequence[StoredLine]) -> None:
        """Delete lines of one kind, as far as they are as they were mailed."""
        rows = [({"PartitionKey": line.partition, "RowKey": line.key}, _if_unchanged(line.etag)) for line in lines]
        try:
            await self.table.submit_transaction([("delete", row, guard) for row, guard in rows])
        except TableTransactionError as error:
            if error.status_code not in (HTTPStatus.NOT_FOUND, HTTPStatus.PRECONDITION_FAILED):
                raise
            # Some are gone, if only since the answer was lost, or were written again.
            for row, guard in rows:
                with suppress(ResourceNotFoundError, ResourceModifiedError):
                    await self.table.delete_entity(row["PartitionKey"], row["RowKey"], **guard)

    async def _rows(
        self, query: str, values: dict[str, str], *, per_page: int | None = None
    ) -> AsyncIterator[TableEntity]:
        with own_tables("Reading the summary mail"):
            async for row in self.table.query_entities(query, parameters=values, results_per_page=per_page):
                yield row


def line_in(row: Row) -> SummaryLine:
    """Return the finding in a row of table `digest`. Raises what `rows.reading` translates."""
    return msgspec.json.decode(row["Line"], type=SummaryLine)


def decoded(row: Row) -> object:
    """Return what one of these rows holds. Raises what `rows.reading` translates."""
    if row["PartitionKey"] == _MAILED:
        return _lines_of(row) if str(row["RowKey"]).startswith(_NOTES) else time_in(row, "At")
    return time_in(row, "Until") if row["PartitionKey"] == _LOCK else line_in(row)


def is_of(partition: str) -> bool:
    """Whether the rows of a partition of table `digest` are these."""
    return partition in (_LINE, _MAILED, _LOCK) or partition.startswith(f"{_LINE}~")


def _lines_of(note: Row) -> list[StoredLine]:
    return msgspec.json.decode(note["Lines"], type=list[StoredLine])


def _until(lock: TableEntity, *, now: datetime) -> datetime:
    """Return until when an instance sends. One whose row can't be read began when it wrote that."""
    until = lock.get("Until")
    return until if isinstance(until, datetime) else (lock.metadata["timestamp"] or now) + _SENDING


def _if_unchanged(etag: str) -> dict[str, Any]:
    return {"etag": etag, "match_condition": MatchConditions.IfNotModified}
