"""Which records are in which state since when, and which have work outstanding: the index of the revocations.

Table `states`. Partition = a state, row = "<time that runs backwards>~<fingerprint>": it lists its newest first.
`WatchedUntil` says until when a decided record is checked daily against what is there; it is past where it is not.
Partition "open", row = fingerprint: a record that the sweep checks when `DueAt` has come.

No transaction reaches over partitions, so the rows may say less, or more, than the records. A record is never missing
for good all the same: the row of its new state is written at the same time as the record, the row of the old one is
removed only when both stand, and each reader of a row reads the record too, and corrects the row. A row that can't be
read is set aside (`rows`).
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import TableEntity, UpdateMode
from azure.data.tables.aio import TableClient

from shared.domain.pending_steps import next_check
from shared.domain.revocation import Change, Revocation
from shared.domain.states import Reason, State
from shared.domain.watch import DORMANT, watched_until
from shared.errors import UnreadableRow
from shared.persistence.own_storage import own_tables
from shared.persistence.rows import SetAside, logged, new_row, reading, time_in

# Longer than any step is put off (queues.backoff), so that the sweep finds what is stuck and nothing that waits.
SWEEP_AFTER = timedelta(minutes=20)
SWEEP_LATER = timedelta(hours=6)
_FIRST_DAY = timedelta(hours=24) // SWEEP_AFTER  # sweeps

_END_OF_TIME = datetime(2200, 1, 1, tzinfo=UTC)
_NOT_WATCHED = datetime(2000, 1, 1, tzinfo=UTC)  # a merge can't remove a column
_ROW = re.compile(r"[0-9]{20}~[0-9a-f]{64}")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_OPEN = "open"
_DORMANT = {"gone": Reason.POLICY_GONE.value, "expired": Reason.POLICY_EXPIRED.value}
_STAYS_OPEN = frozenset({State.RECEIVED, State.CONTAINED})


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One row of a state's partition: what it says, which the record may contradict."""

    state: State
    key: str  # of the row

    @property
    def fingerprint(self) -> str:
        return self.key.partition("~")[2]

    @property
    def since(self) -> datetime:
        return _END_OF_TIME - timedelta(microseconds=int(self.key.partition("~")[0]))

    def is_current(self, revocation: Revocation) -> bool:
        """Whether the record is in this state since then."""
        return self == IndexRow(revocation.state, _key(revocation.fingerprint, revocation.changes[-1]))


@dataclass(frozen=True, slots=True)
class OpenRow:
    """A record with work outstanding, as the sweep finds it. `sweeps` is how often it was checked."""

    fingerprint: str
    due_at: datetime
    sweeps: int
    etag: str


class StateIndex:
    """The only writer and reader of table `states`."""

    def __init__(self, table: TableClient, *, clock: Callable[[], datetime], set_aside: SetAside = logged) -> None:
        self._table = table
        self._clock = clock
        self._set_aside = set_aside

    async def note(self, revocation: Revocation) -> None:
        """Write that the record has reached its state, and that there is work to do. Idempotent."""
        writes = [self.note_state(revocation)]
        before = revocation.written
        stays = before is not None and before.state in _STAYS_OPEN and before.reason is not Reason.IN_EFFECT
        # In these states its row is there: nothing takes it away before all is done.
        if not stays or next_check(revocation) is not None:
            writes.append(self._open(revocation))
        await asyncio.gather(*writes)

    async def note_state(self, revocation: Revocation) -> None:
        """Write that the record has reached its state. Idempotent."""
        until = watched_until(revocation)
        await self._upsert(
            new_row(
                revocation.state.value,
                _key(revocation.fingerprint, revocation.changes[-1]),
                Account=revocation.account_name or "",
                Reason=revocation.reason.value if revocation.reason else "",
                WatchedUntil=until or _NOT_WATCHED,
            )
        )

    async def _open(self, revocation: Revocation) -> None:
        due_at, known = self._clock() + SWEEP_AFTER, next_check(revocation)
        if known is not None:
            due_at = min(due_at, known)
        await self._upsert(new_row(_OPEN, revocation.fingerprint, DueAt=due_at, Sweeps=0))

    async def forget(self, fingerprint: str, change: Change) -> None:
        """Remove the row of a state that the record has left. Idempotent."""
        await self.remove(IndexRow(change.state, _key(fingerprint, change)))

    async def remove(self, row: IndexRow) -> None:
        """Remove an outdated row. Idempotent."""
        with own_tables("Removing a row of the index"), suppress(ResourceNotFoundError):
            await self._table.delete_entity(row.state.value, row.key)

    async def newest(
        self, states: Iterable[State], *, account: str | None, limit: int, after: str | None
    ) -> tuple[tuple[IndexRow, ...], str | None]:
        """Return at most `limit` rows of these states, newest first, and the key to go on after (None: no more)."""
        found = await asyncio.gather(*(self._first(state, account, limit, after) for state in states))
        rows = sorted((row for rows in found for row in rows), key=lambda row: row.key)
        more = len(rows) > limit or any(len(rows) == limit for rows in found)
        kept = tuple(rows[:limit])
        return kept, kept[-1].key if more and kept else None

    async def _first(self, state: State, account: str | None, limit: int, after: str | None) -> list[IndexRow]:
        query, values = "PartitionKey eq @state", {"state": state.value, "account": account, "after": after}
        query += "" if after is None else " and RowKey gt @after"
        query += "" if account is None else " and Account eq @account"
        rows: list[IndexRow] = []
        async for row in self._readable(query, values, per_page=limit):
            if isinstance(row, IndexRow):
                rows.append(row)
            if len(rows) == limit:
                break
        return rows

    async def in_state(self, state: State, *, reasons: Iterable[Reason] = ()) -> AsyncIterator[IndexRow]:
        """Yield every row of a state; of some reasons only, where there are any."""
        names = {f"reason{number}": reason.value for number, reason in enumerate(reasons)}
        any_of = " or ".join(f"Reason eq @{name}" for name in names)
        query = "PartitionKey eq @state" + (f" and ( {any_of} )" if names else "")  # the SDK finds "@name" by spaces
        async for row in self._readable(query, {"state": state.value, **names}):
            if isinstance(row, IndexRow):
                yield row

    async def watched(self) -> AsyncIterator[IndexRow]:
        """Yield the rows of records that are watched (`domain.watch`)."""
        async for dormant in self.in_state(State.UNRESOLVED, reasons=DORMANT):  # also those of earlier versions
            yield dormant
        query = "PartitionKey eq @state and WatchedUntil gt @now and Reason ne @gone and Reason ne @expired"
        for state in State:
            values = {"state": state.value, "now": self._clock(), **_DORMANT}
            async for row in self._readable(query, values):
                if isinstance(row, IndexRow):
                    yield row

    async def in_state_before(self, state: State, before: datetime) -> AsyncIterator[IndexRow]:
        """Yield the rows of records that reached a state before that time, the latest first."""
        first = f"{(_END_OF_TIME - before) // timedelta(microseconds=1):020}"
        query = "PartitionKey eq @state and RowKey gt @first"
        async for row in self._readable(query, {"state": state.value, "first": first}):
            if isinstance(row, IndexRow):
                yield row

    async def is_open(self, fingerprint: str) -> bool:
        """Whether the sweep still checks a record."""
        with own_tables("Reading the index of the records"):
            try:
                await self._table.get_entity(_OPEN, fingerprint)
            except ResourceNotFoundError:
                return False
        return True

    async def due(self) -> AsyncIterator[OpenRow]:
        """Yield the records that the sweep checks now."""
        query = "PartitionKey eq @open and DueAt le @now"
        async for row in self._readable(query, {"open": _OPEN, "now": self._clock()}):
            if isinstance(row, OpenRow):
                yield row

    async def check_again(self, row: OpenRow, *, deadline: datetime | None) -> None:
        """Have the sweep check again: in 20 minutes for a day, every six hours from then on, and at `deadline`.

        A row that was written meanwhile says already when.
        """
        now = self._clock()
        again = now + (SWEEP_AFTER if row.sweeps < _FIRST_DAY else SWEEP_LATER)
        await self.check_at(row, again if deadline is None or deadline <= now else min(again, deadline))

    async def check_at(self, row: OpenRow, due_at: datetime) -> None:
        """Have the sweep check at this time. A row that was written meanwhile says already when."""
        entity = new_row(_OPEN, row.fingerprint, DueAt=due_at, Sweeps=row.sweeps + 1)
        with (
            own_tables("Writing when to check a record again"),
            suppress(ResourceModifiedError, ResourceNotFoundError),
        ):
            await self._table.update_entity(entity, mode=UpdateMode.MERGE, **_unless_changed(row))

    async def close(self, row: OpenRow) -> None:
        """Note that nothing is outstanding, unless the record has moved on meanwhile."""
        with (
            own_tables("Noting that nothing is outstanding"),
            suppress(ResourceModifiedError, ResourceNotFoundError),
        ):
            await self._table.delete_entity(_OPEN, row.fingerprint, **_unless_changed(row))

    async def _readable(
        self, query: str, values: dict[str, Any], *, per_page: int | None = None
    ) -> AsyncIterator[IndexRow | OpenRow]:
        """Yield the rows of a query that can be read. The others are set aside."""
        with own_tables("Reading the index of the records"):
            async for row in self._table.query_entities(query, parameters=values, results_per_page=per_page):
                try:
                    with reading(self._table.table_name, row):
                        held = decoded(row)
                except UnreadableRow as error:
                    await self._set_aside(error)
                else:
                    yield held

    async def _upsert(self, row: dict[str, Any]) -> None:
        with own_tables("Writing the index of the records"):
            await self._table.upsert_entity(row, mode=UpdateMode.MERGE)


def decoded(row: TableEntity) -> IndexRow | OpenRow:
    """Return what a row of table `states` says. Raises what `rows.reading` translates."""
    partition, key = str(row["PartitionKey"]), str(row["RowKey"])
    if partition != _OPEN:
        if not is_key(key):
            raise ValueError("not a key of the index")
        return IndexRow(State(partition), key)
    due_at, sweeps = time_in(row, "DueAt"), row["Sweeps"]
    if _FINGERPRINT.fullmatch(key) is None or not isinstance(sweeps, int):
        raise ValueError("not a row of the sweep")
    return OpenRow(key, due_at, sweeps, str(row.metadata["etag"]))


def is_key(text: str | None) -> bool:
    """Whether `text` can be the key of a row in a state's partition."""
    return text is not None and _ROW.fullmatch(text) is not None


def _key(fingerprint: str, change: Change) -> str:
    left = (_END_OF_TIME - change.at) // timedelta(microseconds=1)
    return f"{left:020}~{fingerprint}"


def _unless_changed(row: OpenRow) -> dict[str, Any]:
    return {"etag": row.etag, "match_condition": MatchConditions.IfNotModified}
