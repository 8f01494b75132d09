"""Which unconfirmed findings share an incident: those of one kind that come within an hour.

Table `digest`, beside the lines of the summary mail. Partition "current", a row for each kind: its group of this hour
and since when. Partition = a group's id: a row for each of its findings (row = fingerprint), and row "group": its
incident, and until when an instance is writing that. Partition "changed", a row for each group whose incident does
not show all of its findings yet. Partition "groups", a row for each group and when it began: written before any other
row of the group and removed after all of them, so that retention finds each.

An hour begins with the first finding of a kind, so that a flood does not fall into two hours. Counts are never
stored: the rows are counted, so that an instance may crash between any two writes, and write any row twice.
"""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import TableEntity, UpdateMode
from azure.data.tables.aio import TableClient

from shared.domain.summary_line import SummaryLine
from shared.errors import TransientFailure, UnreadableRow
from shared.persistence.own_storage import own_tables
from shared.persistence.rows import Row, SetAside, logged, new_row, reading, time_in
from shared.persistence.summary_lines import line_in

HOUR = timedelta(hours=1)
_CURRENT, _CHANGED, _GROUP, _GROUPS = "current", "changed", "group", "groups"
_WRITING = timedelta(minutes=2)  # longer than a call to an incident system takes
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Member:
    """A finding of a group. `is_open`: it is still in the state that put it there."""

    line: SummaryLine
    is_open: bool


@dataclass(frozen=True, slots=True)
class Group:
    """A group's incident, while this instance may write it. `item_id` is None before it is filed.

    `shown` is a hash of what the incident shows.
    """

    id: str
    item_id: str | None
    sink: str
    shown: str
    etag: str


@dataclass(frozen=True, slots=True)
class Changed:
    """A group whose incident is to be brought up to date."""

    id: str
    etag: str


@dataclass(frozen=True, slots=True)
class Begun:
    """A group, and when it began."""

    id: str
    at: datetime


class HourlyGroups:
    """The only writer and reader of these rows. All methods raise TransientFailure."""

    def __init__(
        self,
        table: TableClient,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        set_aside: SetAside = logged,
    ) -> None:
        self._table = table
        self._clock = clock
        self._new_id = new_id
        self._set_aside = set_aside

    async def join(self, line: SummaryLine) -> tuple[str, bool]:
        """Add a finding to the group of its kind; return the group's id, and whether it was begun for it."""
        group, is_new = await self._current(line.kind)
        await self.put(group, line)
        return group, is_new

    async def put(self, group: str, line: SummaryLine) -> None:
        """Write a finding of a group as it stands, and that its incident has changed. Idempotent."""
        text = msgspec.json.encode(line).decode()
        await self._upsert(new_row(group, line.fingerprint, Line=text, Open=True))
        await self._note_change(group)

    async def leave(self, group: str, fingerprint: str) -> None:
        """Note that a finding is no longer in the state that put it into the group. Idempotent."""
        row = {"PartitionKey": group, "RowKey": fingerprint, "Open": False}
        with own_tables("Writing a group of unconfirmed findings"), suppress(ResourceNotFoundError):
            await self._table.update_entity(row, mode=UpdateMode.MERGE)
        await self._note_change(group)

    async def members(self, group: str) -> AsyncIterator[Member]:
        """Yield all findings of a group, by fingerprint: a flood's are too many to be held at once."""
        with own_tables("Reading a group of unconfirmed findings"):
            query = self._table.query_entities("PartitionKey eq @group", parameters={"group": group})
            async for row in query:
                if row["RowKey"] == _GROUP:
                    continue
                try:
                    with reading(self._table.table_name, row):
                        member = Member(line_in(row), bool(row["Open"]))
                except UnreadableRow as error:
                    await self._set_aside(error)
                else:
                    yield member

    async def changed(self) -> list[Changed]:
        """Return the groups whose incidents are not up to date."""
        with own_tables("Reading which groups have changed"):
            query = self._table.query_entities("PartitionKey eq @changed", parameters={"changed": _CHANGED})
            return [Changed(row["RowKey"], str(row.metadata["etag"])) async for row in query]

    async def settle(self, changed: Changed) -> None:
        """Note that the incident is up to date, unless its group has changed again."""
        with (
            own_tables("Noting that an incident is up to date"),
            suppress(ResourceNotFoundError, ResourceModifiedError),
        ):
            await self._table.delete_entity(_CHANGED, changed.id, **_if_unchanged(changed.etag))

    async def begin_writing(self, group: str) -> Group | None:
        """Return the group's incident, to be written by this instance; None while another one is writing it.

        Raises UnreadableRow where nothing is known of it: it waits for a version that can read its row.
        """
        until, holder = self._clock() + _WRITING, self._new_id()
        with own_tables("Locking an incident of unconfirmed findings"):
            with suppress(ResourceExistsError, ResourceModifiedError):
                try:
                    held = await self._table.get_entity(group, _GROUP)
                except ResourceNotFoundError:
                    await self._list(group)
                    answer = await self._table.create_entity(_row(Group(group, None, "", "", ""), until, holder))
                    return Group(group, None, "", "", str(answer["etag"]))
                found, busy_until = await self._read_group(held)
                if busy_until is not None and busy_until > self._clock():
                    return None
                answer = await self._write(found, until, holder)
                return replace(found, etag=str(answer["etag"]))
            held = await self._table.get_entity(group, _GROUP)
            # Ours all the same, if the answer to a first attempt was lost.
            return (await self._read_group(held))[0] if held.get("Holder") == holder else None

    async def _read_group(self, row: TableEntity) -> tuple[Group, datetime | None]:
        """Return a group's incident, and until when it is being written. Raises UnreadableRow."""
        try:
            with reading(self._table.table_name, row):
                return _group(row), _busy_until(row)
        except UnreadableRow as error:
            await self._set_aside(error)
            raise

    async def end_writing(self, group: Group) -> None:
        """Save the group's incident, and let others write it. One that another instance took over is left alone."""
        with (
            own_tables("Saving an incident of unconfirmed findings"),
            suppress(ResourceModifiedError),
        ):
            await self._write(group, self._clock())

    async def begun_before(self, before: datetime, *, after: str) -> AsyncIterator[Begun]:
        """Yield the groups that began before that time, by id, those after `after`."""
        query, values = "PartitionKey eq @groups and RowKey gt @after and At lt @before", {"groups": _GROUPS}
        with own_tables("Reading which groups there are"):
            rows = self._table.query_entities(query, parameters={**values, "after": after, "before": before})
            async for row in rows:
                try:
                    with reading(self._table.table_name, row):
                        begun = _begun(row)
                except UnreadableRow as error:
                    await self._set_aside(error)
                else:
                    yield begun

    async def names(self, group: str) -> AsyncIterator[str]:
        """Yield the fingerprints of a group's findings, also of those that can't be read."""
        with own_tables("Reading a group of unconfirmed findings"):
            query, values = "PartitionKey eq @group", {"group": group}
            async for row in self._table.query_entities(query, parameters=values, select=["RowKey"]):
                if row["RowKey"] != _GROUP:
                    yield row["RowKey"]

    async def remove(self, group: str, fingerprints: Iterable[str]) -> None:
        """Remove findings of a group. Idempotent."""
        with own_tables("Removing findings of a group"):
            for fingerprint in fingerprints:
                with suppress(ResourceNotFoundError):
                    await self._table.delete_entity(group, fingerprint)

    async def drop(self, group: str) -> None:
        """Remove a group that has no findings any more. Idempotent.

        Raises UnreadableRow where a row of it can't be read: it stays, and with it the group.
        """
        async for _ in self.names(group):
            return
        with own_tables("Removing a group of unconfirmed findings"):
            rows = await self._rows_of(group)
            for row in rows:
                try:
                    with reading(self._table.table_name, row):
                        decoded(row)
                except UnreadableRow as error:
                    await self._set_aside(error)
                    raise
            for row in rows:
                # Another group may have begun meanwhile.
                unchanged = _if_unchanged(str(row.metadata["etag"])) if row["PartitionKey"] == _CURRENT else {}
                with suppress(ResourceNotFoundError, ResourceModifiedError):
                    await self._table.delete_entity(row["PartitionKey"], row["RowKey"], **unchanged)

    async def _rows_of(self, group: str) -> list[TableEntity]:
        """Return the rows of a group besides its findings; last the one by which it is found."""
        query, values = "PartitionKey eq @current and Group eq @group", {"current": _CURRENT, "group": group}
        rows = [row async for row in self._table.query_entities(query, parameters=values)]
        for key in ((_CHANGED, group), (group, _GROUP), (_GROUPS, group)):
            with suppress(ResourceNotFoundError):
                rows.append(await self._table.get_entity(*key))
        return rows

    async def _list(self, group: str) -> None:
        """Note that there is this group. Idempotent: when it began does not change."""
        with suppress(ResourceExistsError):
            await self._table.create_entity(new_row(_GROUPS, group, At=self._clock()))

    async def _current(self, kind: str) -> tuple[str, bool]:
        """Return the group of this hour, and whether it was begun now. A row that can't be read has a second one."""
        try:
            return await self._current_of(kind, kind)
        except UnreadableRow as error:
            await self._set_aside(error)
            return await self._current_of(kind, f"{kind}~second")

    async def _current_of(self, kind: str, key: str) -> tuple[str, bool]:
        begun: set[str] = set()  # by us: the answer may have been lost
        for _ in range(_TRIES):
            now = self._clock()
            with (
                own_tables("Finding the group of an unconfirmed finding"),
                suppress(ResourceExistsError, ResourceModifiedError),
            ):
                row = new_row(_CURRENT, key, Group=_id(kind, now), Begun=now)
                begun.add(str(row["Group"]))
                try:
                    current = await self._table.get_entity(_CURRENT, key)
                except ResourceNotFoundError:
                    await self._list(str(row["Group"]))
                    await self._table.create_entity(row)
                    return str(row["Group"]), True
                with reading(self._table.table_name, current):
                    group, is_current = str(current["Group"]), now < time_in(current, "Begun") + HOUR
                if is_current:
                    return group, group in begun
                await self._list(str(row["Group"]))
                unchanged = _if_unchanged(str(current.metadata["etag"]))
                await self._table.update_entity(row, mode=UpdateMode.MERGE, **unchanged)
                return str(row["Group"]), True
        raise TransientFailure("Other instances kept beginning a group of unconfirmed findings. It is tried again.")

    async def _write(self, group: Group, until: datetime, holder: str = "") -> Any:
        row = _row(group, until, holder)
        return await self._table.update_entity(row, mode=UpdateMode.MERGE, **_if_unchanged(group.etag))

    async def _note_change(self, group: str) -> None:
        await self._upsert(new_row(_CHANGED, group, At=self._clock()))

    async def _upsert(self, row: dict[str, Any]) -> None:
        with own_tables("Writing a group of unconfirmed findings"):
            await self._table.upsert_entity(row, mode=UpdateMode.MERGE)


def decoded(row: TableEntity) -> object:
    """Return what a row of these holds. Raises what `rows.reading` translates."""
    if row["PartitionKey"] == _CURRENT:
        return str(row["Group"]), time_in(row, "Begun")
    if row["PartitionKey"] == _CHANGED:
        return str(row["RowKey"])
    if row["PartitionKey"] == _GROUPS:
        return _begun(row)
    if row["RowKey"] == _GROUP:
        return _group(row), _busy_until(row)
    return Member(line_in(row), bool(row["Open"]))


def _begun(row: Row) -> Begun:
    return Begun(str(row["RowKey"]), time_in(row, "At"))


def _id(kind: str, begun: datetime) -> str:
    """Return a group's id, which is its incident's FindingId: 64 hex digits."""
    return hashlib.sha256(f"unconfirmed|{kind}|{begun.isoformat()}".encode()).hexdigest()


def _row(group: Group, until: datetime, holder: str) -> dict[str, Any]:
    columns = {"ItemId": group.item_id or "", "Sink": group.sink, "Shown": group.shown}
    return new_row(group.id, _GROUP, **columns, Until=until, Holder=holder)


def _group(row: TableEntity) -> Group:
    return Group(row["PartitionKey"], row["ItemId"] or None, row["Sink"], row["Shown"], str(row.metadata["etag"]))


def _busy_until(row: Row) -> datetime | None:
    return None if row["Until"] is None else time_in(row, "Until")


def _if_unchanged(etag: str) -> dict[str, Any]:
    return {"etag": etag, "match_condition": MatchConditions.IfNotModified}
