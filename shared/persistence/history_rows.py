"""The rows of a record's history in table `revocations`, and what is known of their copy.

Rows, in the partition of the record and after it:

- "<fingerprint>~<time>~<line>~<id>": a line. The time never goes back along a chain, so that rows in the order of
  their keys are lines in the order in which they were written. Version 0.2 had no "<line>".
- "<fingerprint>~~copied": the last line that the copy has accepted.
- "<fingerprint>~~checked": what the latest daily check found.
- "<fingerprint>~~pruned~<chain>": a chain of an earlier record of the leak, which retention has removed: the hash of
  its last line. A record has several chains if version 0.2 wrote it during an upgrade.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from azure.data.tables import TableEntity, UpdateMode
from azure.data.tables.aio import TableClient

from shared.domain.history import ChainEnd, HistoryEntry, Integrity
from shared.domain.revocation import HistoryHead, Revocation
from shared.errors import UnreadableRow
from shared.persistence.own_storage import own_tables
from shared.persistence.revocation_entity import from_entity, partition_of
from shared.persistence.rows import SetAside, logged, new_row, reading

_COPIED, _PRUNED = "~~copied", "~~pruned~"
CHECKED = "~~checked"
PARTITIONS = tuple(f"{number:02x}" for number in range(256))


@dataclass(frozen=True, slots=True)
class Copied:
    """The last line that the copy has accepted; `key` is that of its row. Empty before the first."""

    chain: str = ""
    line: int = 0
    key: str = ""

    def has(self, head: HistoryHead | None) -> bool:
        """Whether the copy has accepted all that the record's head covers."""
        return head is None or (self.chain, self.line) == (head.chain, head.line)


@dataclass(frozen=True, slots=True)
class Checked:
    """What the latest check of a history found."""

    at: datetime
    integrity: Integrity
    said: str


@dataclass(frozen=True, slots=True)
class Pruned:
    """What is left of a chain of a record that retention has removed.

    `through` is the key of the last row of the record's history. `chain` is empty where version 0.2 wrote all of it.
    """

    at: datetime
    chain: str
    line: int
    sha256: str
    through: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Line:
    """A line, and the key of its row."""

    key: str
    entry: HistoryEntry


@dataclass(frozen=True, slots=True)
class Stored:
    """All that table `revocations` has of one leak, read at once.

    `unreadable` are the rows of it that can't be read: another version wrote them, or they were changed.
    """

    record: Revocation | None
    lines: tuple[Line, ...]
    copied: Copied = Copied()
    checked: Checked | None = None
    pruned: tuple[Pruned, ...] = ()
    unreadable: tuple[UnreadableRow, ...] = ()

    @property
    def entries(self) -> tuple[HistoryEntry, ...]:
        """The lines of the record that stands: none of one that was pruned, and not removed entirely."""
        gone = max((pruned.through for pruned in self.pruned), default="")
        return tuple(line.entry for line in self.lines if line.key > gone)

    @property
    def pruned_ends(self) -> tuple[ChainEnd, ...]:
        """The ends of the chains that retention has removed."""
        return tuple(ChainEnd(pruned.chain, pruned.line, pruned.sha256) for pruned in self.pruned)


def row(fingerprint: str, entry: HistoryEntry, *, stored_at: datetime, new_id: str) -> dict[str, object]:
    """Return the row of a line that has a link."""
    number = entry.link.line if entry.link is not None else 0
    key = f"{fingerprint}~{stored_at.astimezone(UTC):%Y%m%dT%H%M%S%f}~{number:06}~{new_id}"
    return new_row(partition_of(fingerprint), key, Entry=msgspec.json.encode(entry).decode())


def pruned_row(fingerprint: str, left: Pruned) -> dict[str, object]:
    """Return the row that is left of a chain."""
    key = f"{fingerprint}{_PRUNED}{left.chain or left.through.partition('~')[2]}"
    return new_row(partition_of(fingerprint), key, Pruned=msgspec.json.encode(left).decode())


def beside(fingerprint: str) -> tuple[str, ...]:
    """Return the keys of the rows that go with a record."""
    return f"{fingerprint}{_COPIED}", f"{fingerprint}{CHECKED}"


async def read(table: TableClient, fingerprint: str, *, set_aside: SetAside) -> tuple[HistoryEntry, ...]:
    """Return a record's history, oldest first, without lines that can't be read."""
    doing = f"Reading the history of {fingerprint[:12]}"
    entries: list[HistoryEntry] = []
    async for one in _rows(table, "RowKey gt @first", first=f"{fingerprint}~", last=f"{fingerprint}~~", doing=doing):
        try:
            with reading(table.table_name, one):
                entries.append(_line(one).entry)
        except UnreadableRow as row:
            await set_aside(row)
    return tuple(entries)


def decoded(row: TableEntity) -> Revocation | Copied | Checked | Pruned | Line:
    """Return what a row of table `revocations` holds. Raises what `rows.reading` translates."""
    _, beside, rest = str(row["RowKey"]).partition("~")
    if not beside:
        return from_entity(row)
    match f"~{rest}":
        case "~~copied":
            return msgspec.json.decode(row["Copied"], type=Copied)
        case "~~checked":
            return msgspec.json.decode(row["Checked"], type=Checked)
        case other if other.startswith(_PRUNED):
            return msgspec.json.decode(row["Pruned"], type=Pruned)
        case _:
            return _line(row)


class HistoryRows:
    """Reads a record with all its rows, and writes those that are no lines. All raise TransientFailure."""

    def __init__(self, table: TableClient, *, set_aside: SetAside = logged) -> None:
        self._table = table
        self._set_aside = set_aside

    async def stored(self, fingerprint: str) -> Stored:
        """Return all rows of one leak. They are from one moment if they fit into one page (1,000 rows)."""
        record: Revocation | None = None
        history: list[Line] = []
        copied, checked, pruned, unreadable = Copied(), None, list[Pruned](), list[UnreadableRow]()
        found = _rows(
            self._table,
            "RowKey ge @first",
            first=fingerprint,
            last=f"{fingerprint}~~~",
            doing=f"Reading record {fingerprint[:12]} with its history",
        )
        async for one in found:
            try:
                with reading(self._table.table_name, one):
                    held = decoded(one)
            except UnreadableRow as row:
                await self._set_aside(row)
                unreadable.append(row)
                continue
            match held:
                case Revocation():
                    record = held
                case Copied():
                    copied = held
                case Checked():
                    checked = held
                case Pruned():
                    pruned.append(held)
                case Line():
                    history.append(held)
        return Stored(record, tuple(history), copied, checked, tuple(pruned), tuple(unreadable))

    async def fingerprints(self, partition: str, *, after: str) -> AsyncIterator[str]:
        """Yield the fingerprints of a partition's records, in order, those after `after`."""
        query = "PartitionKey eq @partition and RowKey gt @after and State gt ''"  # lines have no state
        values = {"partition": partition, "after": f"{after}~~~" if after else ""}
        with own_tables("Reading which records there are"):
            found = self._table.query_entities(query, parameters=values, select=["RowKey"])
            async for one in found:
                yield str(one["RowKey"])

    async def save_copied(self, fingerprint: str, copied: Copied) -> None:
        """Note up to which line the copy has the history. Idempotent."""
        await self._upsert(f"{fingerprint}{_COPIED}", "Copied", copied)

    async def save_checked(self, fingerprint: str, checked: Checked) -> None:
        """Note what a check found. Idempotent."""
        await self._upsert(f"{fingerprint}{CHECKED}", "Checked", checked)

    async def save_pruned(self, fingerprint: str, left: Pruned) -> None:
        """Note what is left of a chain whose record is gone. Idempotent."""
        with own_tables(f"Writing a row of record {fingerprint[:12]}"):
            await self._table.upsert_entity(pruned_row(fingerprint, left), mode=UpdateMode.MERGE)

    async def _upsert(self, key: str, column: str, value: Copied | Checked) -> None:
        entity = new_row(partition_of(key), key, **{column: msgspec.json.encode(value).decode()})
        with own_tables(f"Writing a row of record {key[:12]}"):
            await self._table.upsert_entity(entity, mode=UpdateMode.MERGE)


async def _rows(table: TableClient, since: str, *, first: str, last: str, doing: str) -> AsyncIterator[TableEntity]:
    query = f"PartitionKey eq @partition and {since} and RowKey lt @last"
    values = {"partition": partition_of(first), "first": first, "last": last}
    with own_tables(doing):
        async for one in table.query_entities(query, parameters=values):
            yield one


def _line(one: TableEntity) -> Line:
    return Line(str(one["RowKey"]), msgspec.json.decode(one["Entry"], type=HistoryEntry))
