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

from shared.cloud.errors import translate_errors
from shared.domain.history import ChainEnd, HistoryEntry, Integrity
from shared.domain.revocation import HistoryHead, Revocation
from shared.persistence.revocation_entity import from_entity, partition_of

_COPIED, _CHECKED, _PRUNED = "~~copied", "~~checked", "~~pruned~"
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

    `unreadable`: a row of it can't be read. Nothing of ours writes such a row.
    """

    record: Revocation | None
    lines: tuple[Line, ...]
    copied: Copied = Copied()
    checked: Checked | None = None
    pruned: tuple[Pruned, ...] = ()
    unreadable: bool = False

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
    return {
        "PartitionKey": partition_of(fingerprint),
        "RowKey": f"{fingerprint}~{stored_at.astimezone(UTC):%Y%m%dT%H%M%S%f}~{number:06}~{new_id}",
        "Entry": msgspec.json.encode(entry).decode(),
    }


def pruned_row(fingerprint: str, left: Pruned) -> dict[str, object]:
    """Return the row that is left of a chain."""
    return {
        "PartitionKey": partition_of(fingerprint),
        "RowKey": f"{fingerprint}{_PRUNED}{left.chain or left.through.partition('~')[2]}",
        "Pruned": msgspec.json.encode(left).decode(),
    }


def beside(fingerprint: str) -> tuple[str, ...]:
    """Return the keys of the rows that go with a record."""
    return f"{fingerprint}{_COPIED}", f"{fingerprint}{_CHECKED}"


async def read(table: TableClient, fingerprint: str) -> tuple[HistoryEntry, ...]:
    """Return a record's history, oldest first."""
    doing = f"Reading the history of {fingerprint[:12]}"
    found = _rows(table, "RowKey gt @first", first=f"{fingerprint}~", last=f"{fingerprint}~~", doing=doing)
    return tuple([_line(one).entry async for one in found])


class HistoryRows:
    """Reads a record with all its rows, and writes those that are no lines. All raise TransientFailure or Blocked."""

    def __init__(self, table: TableClient) -> None:
        self._table = table

    async def stored(self, fingerprint: str) -> Stored:
        """Return all rows of one leak. They are from one moment if they fit into one page (1,000 rows)."""
        record: Revocation | None = None
        history: list[Line] = []
        copied, checked, pruned, unreadable = Copied(), None, [], False
        found = _rows(
            self._table,
            "RowKey ge @first",
            first=fingerprint,
            last=f"{fingerprint}~~~",
            doing=f"Reading record {fingerprint[:12]} with its history",
        )
        async for one in found:
            key = str(one["RowKey"])
            try:
                if key == fingerprint:
                    record = from_entity(one)
                elif key == f"{fingerprint}{_COPIED}":
                    copied = msgspec.json.decode(one["Copied"], type=Copied)
                elif key == f"{fingerprint}{_CHECKED}":
                    checked = msgspec.json.decode(one["Checked"], type=Checked)
                elif key.startswith(f"{fingerprint}{_PRUNED}"):
                    pruned.append(msgspec.json.decode(one["Pruned"], type=Pruned))
                elif key.startswith(f"{fingerprint}~"):
                    history.append(_line(one))
            except (msgspec.MsgspecError, KeyError, TypeError, ValueError):  # what the row says is for no log
                unreadable = True
        return Stored(record, tuple(history), copied, checked, tuple(pruned), unreadable)

    async def fingerprints(self, partition: str, *, after: str) -> AsyncIterator[str]:
        """Yield the fingerprints of a partition's records, in order, those after `after`."""
        query = "PartitionKey eq @partition and RowKey gt @after and State gt ''"  # lines have no state
        values = {"partition": partition, "after": f"{after}~~~" if after else ""}
        with translate_errors("Reading which records there are"):
            found = self._table.query_entities(query, parameters=values, select=["RowKey"])
            async for one in found:
                yield str(one["RowKey"])

    async def save_copied(self, fingerprint: str, copied: Copied) -> None:
        """Note up to which line the copy has the history. Idempotent."""
        await self._upsert(f"{fingerprint}{_COPIED}", "Copied", copied)

    async def save_checked(self, fingerprint: str, checked: Checked) -> None:
        """Note what a check found. Idempotent."""
        await self._upsert(f"{fingerprint}{_CHECKED}", "Checked", checked)

    async def save_pruned(self, fingerprint: str, left: Pruned) -> None:
        """Note what is left of a chain whose record is gone. Idempotent."""
        with translate_errors(f"Writing a row of record {fingerprint[:12]}"):
            await self._table.upsert_entity(pruned_row(fingerprint, left), mode=UpdateMode.REPLACE)

    async def _upsert(self, key: str, column: str, value: Copied | Checked) -> None:
        entity = {"PartitionKey": partition_of(key), "RowKey": key, column: msgspec.json.encode(value).decode()}
        with translate_errors(f"Writing a row of record {key[:12]}"):
            await self._table.upsert_entity(entity, mode=UpdateMode.REPLACE)


async def _rows(table: TableClient, since: str, *, first: str, last: str, doing: str) -> AsyncIterator[TableEntity]:
    query = f"PartitionKey eq @partition and {since} and RowKey lt @last"
    values = {"partition": partition_of(first), "first": first, "last": last}
    with translate_errors(doing):
        async for one in table.query_entities(query, parameters=values):
            yield one


def _line(one: TableEntity) -> Line:
    return Line(str(one["RowKey"]), msgspec.json.decode(one["Entry"], type=HistoryEntry))
