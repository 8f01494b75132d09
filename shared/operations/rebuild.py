"""Rebuilds the ledger from the copy of the histories, where Sasquash's tables are gone.

Each record is as it was when its last line was copied, with all its lines. What the copy does not have is gone: step
leases and verification tokens, lines of version 0.2, and records that were not decided yet. Nothing acts because of
it: a record that waits for a decision is decided from the account's keys as they are now, and an approval counts for
the plan that it was given for alone.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import msgspec
from azure.core.exceptions import ResourceExistsError
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from shared.cloud.history_copy import CopiedHistory, HistoryCopy, TooManyLines
from shared.domain.history import HistoryEntry, Integrity, Judgment, judge
from shared.domain.retention import prunable
from shared.domain.revocation import HistoryHead, Revocation
from shared.persistence import history_rows
from shared.persistence.history_rows import Copied, HistoryRows, Pruned
from shared.persistence.own_storage import own_tables
from shared.persistence.revocation_entity import from_snapshot, to_entity
from shared.persistence.state_index import StateIndex

_log = logging.getLogger(__name__)

_AT_ONCE = 100  # changes of a transaction, the most that Table Storage takes
_DIGITS = "0123456789abcdef"
_DEEPEST = 6  # hex digits of a prefix whose histories are read together


@dataclass(slots=True)
class Rebuilt:
    """What was done with each record of the copy."""

    written: int = 0
    known: int = 0  # records that are there: they stay as they are
    past_retention: int = 0
    unreadable: list[str] = field(default_factory=list)  # records that the copy does not have whole


class Rebuild:
    """Writes the records of the copy that the ledger does not have. A second run writes nothing more."""

    def __init__(
        self,
        table: TableClient,
        *,
        index: StateIndex,
        copy: HistoryCopy,
        retention_days: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._table = table
        self._rows = HistoryRows(table)
        self._index = index
        self._copy = copy
        self._retention_days = retention_days
        self._clock = clock

    async def run(self) -> Rebuilt:
        """Write every record that is missing. Raises TransientFailure or Blocked; a second run goes on."""
        result = Rebuilt()
        for first in _DIGITS:
            for second in _DIGITS:
                await self._of_prefix(first + second, result)
        return result

    async def _of_prefix(self, prefix: str, result: Rebuilt) -> None:
        """Write the records whose fingerprints begin with `prefix`, in parts where they are too many for a query."""
        try:
            found = await self._copy.histories(prefix)
        except TooManyLines:
            if len(prefix) >= _DEEPEST:
                raise
            for digit in _DIGITS:
                await self._of_prefix(prefix + digit, result)
            return
        for history in found:
            await self._one(history, result)

    async def _one(self, history: CopiedHistory, result: Rebuilt) -> None:
        name = history.fingerprint
        stored = await self._rows.stored(name)
        if stored.unreadable:
            _log.warning("Not rebuilt: %s: a row of it is there, and can't be read.", name[:12])
            result.unreadable.append(name)
            return
        record = _record(history)
        pruned = {end.chain for end in stored.pruned_ends}
        removed = record is not None and record.head is not None and record.head.chain in pruned
        if stored.record is not None or removed:
            result.known += 1
            return
        entries, earlier = _split(history.entries, record)
        judgment = _judged(name, entries)
        if record is None or judgment.integrity is Integrity.BROKEN:
            _log.warning("Not rebuilt: %s: %s", name[:12], judgment.said if record else "it has no readable record.")
            result.unreadable.append(name)
            return
        now = self._clock()
        if self._retention_days and prunable(record, before=now - timedelta(days=self._retention_days), now=now):
            earlier, entries = history.entries, ()
        for left in _pruned(earlier, at=now, record=record):
            await self._rows.save_pruned(name, left)
        if not entries:
            result.past_retention += 1
        elif await self._write(replace(record, head=_head(entries)), entries):
            result.written += 1
        else:
            result.known += 1

    async def _write(self, record: Revocation, entries: Sequence[HistoryEntry]) -> bool:
        """Write the lines, then the index, and the record last: it says that all of it is there.

        Return False where somebody has written a record of the leak meanwhile, which stays.
        """
        rows = _rows(record.fingerprint, entries)
        with own_tables(f"Rebuilding record {record.fingerprint[:12]}"):
            for start in range(0, len(rows), _AT_ONCE):
                changes = [("upsert", row, {"mode": UpdateMode.REPLACE}) for row in rows[start : start + _AT_ONCE]]
                await self._table.submit_transaction(changes)
        head = record.head
        if head is not None and rows:
            copied = Copied(head.chain, head.line, str(rows[-1]["RowKey"]))
            await self._rows.save_copied(record.fingerprint, copied)
        await self._index.note(record)
        with own_tables(f"Rebuilding record {record.fingerprint[:12]}"):
            try:
                await self._table.create_entity(to_entity(record, self._clock()))
            except ResourceExistsError:
                return False
        return True


def _split(
    entries: Sequence[HistoryEntry], record: Revocation | None
) -> tuple[tuple[HistoryEntry, ...], tuple[HistoryEntry, ...]]:
    """Return the lines of the record, and those of earlier records of the leak, which retention has removed.

    A chain is named by the time at which it began. A record may have several: `history.py` says when.
    """
    first = f"{record.received_at.astimezone(UTC):%Y%m%dT%H%M%S%f}" if record is not None else ""
    mine = tuple(entry for entry in entries if entry.link is not None and entry.link.chain >= first)
    return mine, tuple(entry for entry in entries if entry not in mine)


def _pruned(entries: Sequence[HistoryEntry], *, at: datetime, record: Revocation) -> tuple[Pruned, ...]:
    """Return what is left of each chain of `entries`: without it, its lines in the copy seem to be erased."""
    last = {entry.link.chain: entry.link for entry in entries if entry.link is not None}
    return tuple(Pruned(at, link.chain, link.line, link.sha256, "", record.received_at) for link in last.values())


def _judged(fingerprint: str, entries: Sequence[HistoryEntry]) -> Judgment:
    return judge(entries, _head(entries), fingerprint=fingerprint, copied=None)


def _head(entries: Sequence[HistoryEntry]) -> HistoryHead | None:
    link = entries[-1].link if entries else None
    if link is None:
        return None
    return HistoryHead(link.chain, link.line, link.sha256, max(entry.at for entry in entries))


def _record(history: CopiedHistory) -> Revocation | None:
    """Return the record that was copied with the last lines; None where the copy has none."""
    link = history.entries[-1].link if history.entries else None
    if history.record is None or link is None:
        return None
    try:
        record = from_snapshot(history.record)
    except msgspec.MsgspecError:
        return None
    if record.fingerprint != history.fingerprint or record.head is None or record.head.chain != link.chain:
        return None
    return replace(record, written=None)


def _rows(fingerprint: str, entries: Sequence[HistoryEntry]) -> list[dict[str, object]]:
    """Return the rows of the lines. Their keys are the same each time: a second run replaces them."""
    rows, stored_at = [], None
    for entry in entries:
        stored_at = entry.at if stored_at is None else max(stored_at, entry.at)
        rows.append(history_rows.row(fingerprint, entry, stored_at=stored_at, new_id="rebuilt"))
    return rows
