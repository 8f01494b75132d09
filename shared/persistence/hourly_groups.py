"""Which unconfirmed findings share an incident: those of one kind that come within an hour.

Table `digest`, beside the lines of the summary mail. Partition "current", a row for each kind: its group of this hour
and since when. Partition = a group's id: a row for each of its findings (row = fingerprint), and row "group": its
incident, and until when an instance is writing that. Partition "changed", a row for each group whose incident does
not show all of its findings yet.

An hour begins with the first finding of a kind, so that a flood does not fall into two hours. Counts are never
stored: the rows are counted, so that an instance may crash between any two writes, and write any row twice.
"""

import hashlib
from collections.abc import AsyncIterator, Callable
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
from shared.persistence.rows import Row, SetAside, logged, new_row, reading

HOUR = timedelta(hours=1)
_CURRENT, _CHANGED, _GROUP = "current", "changed", "group"
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


class HourlyGroups:
    """The only writer and reader of these rows. All methods raise TransientFailure."""

    def __init__(self, table: TableClient, *, clock: Callable[[], datetime], set_aside: SetAside = logged) -> None:
        self._table = table
        self._clock = clock
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
        until = self._clock() + _WRITING
        with (
            own_tables("Locking an incident of unconfirmed findings"),
            suppress(ResourceExistsError, ResourceModifiedError),
        ):
            try:
                held = await self._table.get_entity(group, _GROUP)
            except ResourceNotFoundError:
                answer = await self._table.create_entity(_row(Group(group, None, "", "", ""), until))
                return Group(group, None, "", "", str(answer["etag"]))
            try:
                with reading(self._table.table_name, held):
                    found = _group(held)
                    is_free = held["Until"] is None or held["Until"] <= self._clock()
            except UnreadableRow as error:
                await self._set_aside(error)
                raise
            if is_free:
                answer = await self._write(found, until)
                return replace(found, etag=str(answer["etag"]))
        return None

    async def end_writing(self, group: Group) -> None:
        """Save the group's incident, and let others write it. One that another instance took over is left alone."""
        with (
            own_tables("Saving an incident of unconfirmed findings"),
            suppress(ResourceModifiedError),
        ):
            await self._write(group, self._clock())

    async def _current(self, kind: str) -> tuple[str, bool]:
        """Return the group of this hour, and whether it was begun now. A row that can't be read has a second one."""
        try:
            return await self._current_of(kind, kind)
        except UnreadableRow as error:
            await self._set_aside(error)
            return await self._current_of(kind, f"{kind}~second")

    async def _current_of(self, kind: str, key: str) -> tuple[str, bool]:
        for _ in range(_TRIES):
            now = self._clock()
            with (
                own_tables("Finding the group of an unconfirmed finding"),
                suppress(ResourceExistsError, ResourceModifiedError),
            ):
                row = new_row(_CURRENT, key, Group=_id(kind, now), Begun=now)
                try:
                    current = await self._table.get_entity(_CURRENT, key)
                except ResourceNotFoundError:
                    await self._table.create_entity(row)
                    return str(row["Group"]), True
                with reading(self._table.table_name, current):
                    if now < current["Begun"] + HOUR:
                        return str(current["Group"]), False
                unchanged = _if_unchanged(str(current.metadata["etag"]))
                await self._table.update_entity(row, mode=UpdateMode.MERGE, **unchanged)
                return str(row["Group"]), True
        raise TransientFailure("Other instances kept beginning a group of unconfirmed findings. It is tried again.")

    async def _write(self, group: Group, until: datetime) -> Any:
        return await self._table.update_entity(_row(group, until), mode=UpdateMode.MERGE, **_if_unchanged(group.etag))

    async def _note_change(self, group: str) -> None:
        await self._upsert(new_row(_CHANGED, group, At=self._clock()))

    async def _upsert(self, row: dict[str, Any]) -> None:
        with own_tables("Writing a group of unconfirmed findings"):
            await self._table.upsert_entity(row, mode=UpdateMode.MERGE)


def line_in(row: Row) -> SummaryLine:
    """Return the finding in a row of table `digest`. Raises what `rows.reading` translates."""
    return msgspec.json.decode(row["Line"], type=SummaryLine)


def decoded(row: TableEntity) -> object:
    """Return what a row of these holds. Raises what `rows.reading` translates."""
    if row["PartitionKey"] == _CURRENT:
        return str(row["Group"]), row["Begun"] + HOUR
    if row["PartitionKey"] == _CHANGED:
        return str(row["RowKey"])
    return _group(row) if row["RowKey"] == _GROUP else Member(line_in(row), bool(row["Open"]))


def _id(kind: str, begun: datetime) -> str:
    """Return a group's id, which is its incident's FindingId: 64 hex digits."""
    return hashlib.sha256(f"unconfirmed|{kind}|{begun.isoformat()}".encode()).hexdigest()


def _row(group: Group, until: datetime) -> dict[str, Any]:
    return new_row(group.id, _GROUP, ItemId=group.item_id or "", Sink=group.sink, Shown=group.shown, Until=until)


def _group(row: TableEntity) -> Group:
    return Group(row["PartitionKey"], row["ItemId"] or None, row["Sink"], row["Shown"], str(row.metadata["etag"]))


def _if_unchanged(etag: str) -> dict[str, Any]:
    return {"etag": etag, "match_condition": MatchConditions.IfNotModified}
