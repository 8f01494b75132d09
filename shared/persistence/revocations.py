"""Revocations in Table Storage: one record a leak, guarded by its ETag, with an append-only history.

Table `revocations`: partition = the fingerprint's first two characters, row = the fingerprint. A record's history
stands in the same partition in rows of its own (`history_rows`), each of which is written in the same transaction as
the change that it records (REST: "Performing entity group transactions"). The index is in a table of its own
(`state_index`), and so is the outbox of lines to copy (`outbox`).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import (
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.data.tables import TableEntity, TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient

from shared.domain import history_evidence, unread_place
from shared.domain.finding import Finding
from shared.domain.history import HistoryEntry, chained
from shared.domain.revocation import Change, Revocation
from shared.domain.stand_in import stand_in
from shared.domain.states import STATE_OF, Reason, State
from shared.domain.text import LONGEST, Foreign, clean
from shared.errors import Conflict, SasquashError, UnreadableRow
from shared.persistence import history_rows, page_tokens
from shared.persistence.outbox import Outbox
from shared.persistence.own_storage import own_tables
from shared.persistence.revocation_entity import finding_in, from_entity, partition_of, to_entity
from shared.persistence.rows import SCHEMA_COLUMN, SetAside, logged, reading, time_in
from shared.persistence.state_index import IndexRow, StateIndex

_log = logging.getLogger(__name__)

SASQUASH = "sasquash"  # who did what no person asked for

_CHANGE_ATTEMPTS = 20
_AT_ONCE = 16  # records that are read in parallel
_ORPHAN = timedelta(hours=1)  # as old as a row of the index must be to be one of a claim that never stood

type _Write = tuple[str, dict[str, object], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Listed:
    """Records of one page, the ids of those that can't be read, and where to go on."""

    records: tuple[Revocation, ...]
    unreadable: tuple[str, ...]
    place: str | None


@dataclass(frozen=True, slots=True)
class Remnant:
    """What is known of a record that can't be read.

    `state` and `reason` are as in its columns: perhaps none of those that this version knows.
    """

    finding: Finding | None
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Draft:
    """A record as it is to be written, with the rows of that write. `line` is the key of its line of history."""

    record: Revocation
    writes: list[_Write]
    line: str | None


class Ledger:
    """The only writer of revocations."""

    def __init__(
        self,
        table: TableClient,
        index: StateIndex,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        outbox: Outbox | None = None,
        set_aside: SetAside = logged,
    ) -> None:
        """`outbox` notes which lines are to be copied; None where no copy is set up."""
        self._table = table
        self._index = index
        self._outbox = outbox
        self._set_aside = set_aside
        self._clock = clock
        self._new_id = new_id

    async def claim(self, finding: Finding) -> tuple[Revocation, bool]:
        """Write a new record for `finding`; return it, and whether it is new (else: the record that was there).

        It is new, too, where only the answer to a first attempt was lost. Raises UnreadableRow where the one that was
        there can't be read: `claim_readable` writes one that stands in for it.
        """
        fresh, who = Revocation.of(finding, now=self._clock()), str(finding.reported_by or SASQUASH)
        draft = self._draft(fresh, "create", what=_first_line(finding), who=who)
        try:
            return await self._write(draft), True
        except Conflict:
            known = await self.read(finding.fingerprint)
            if known is None:
                raise
            # The index may hold a row of this claim, which never stood; the row of the known record is the right one.
            await self._index.note_state(known)
            if known.changes[-1] != fresh.changes[-1]:
                await self._index.forget(fresh.fingerprint, fresh.changes[-1])
            return known, await self._is_ours(known, draft)

    async def claim_readable(self, finding: Finding) -> tuple[Revocation, bool]:
        """Write a new record for `finding` as `claim` does, or for its stand-in where its own can't be read."""
        try:
            return await self.claim(finding)
        except UnreadableRow:
            return await self.claim(stand_in(finding))

    async def read(self, fingerprint: str) -> Revocation | None:
        """Return the record, or None. Raises UnreadableRow, once it is set aside."""
        entity = await self._entity(fingerprint)
        if entity is None:
            return None
        try:
            with reading(self._table.table_name, entity):
                return from_entity(entity)
        except UnreadableRow as row:
            await self._set_aside(row)
            raise

    async def readable(self, fingerprint: str) -> Revocation | None:
        """Return the record; None also where it can't be read: it is set aside, and holds up nothing else."""
        try:
            return await self.read(fingerprint)
        except UnreadableRow:
            return None

    async def left_of(self, fingerprint: str) -> Remnant:
        """Return what is known of a record that can't be read."""
        columns: Mapping[str, Any] = await self._entity(fingerprint) or {}
        finding = finding_in(columns, fingerprint=fingerprint)
        return Remnant(finding, state=str(columns.get("State", "")), reason=str(columns.get("Reason", "")))

    async def _entity(self, fingerprint: str) -> TableEntity | None:
        with own_tables(f"Reading record {fingerprint[:12]}"):
            try:
                return await self._table.get_entity(partition_of(fingerprint), fingerprint)
            except ResourceNotFoundError:
                return None

    async def received_at(self, fingerprint: str) -> datetime | None:
        """Return when the leak of a record was reported, None where there is no record. The record is not read.

        Raises UnreadableRow where it does not say when, or is of a newer version.
        """
        columns = ["PartitionKey", "RowKey", "ReceivedAt", SCHEMA_COLUMN]
        with own_tables(f"Reading record {fingerprint[:12]}"):
            try:
                entity = await self._table.get_entity(partition_of(fingerprint), fingerprint, select=columns)
            except ResourceNotFoundError:
                return None
        try:
            with reading(self._table.table_name, entity):
                return time_in(entity, "ReceivedAt")
        except UnreadableRow as row:
            await self._set_aside(row)
            raise

    async def save(self, revocation: Revocation, *, what: str, who: str = SASQUASH) -> Revocation:
        """Write a changed record with its line of history, none where `what` is empty.

        The line is stored in its harmless form, whatever it quotes.
        Raises Conflict when another instance changed it.
        """
        return await self._write(self._draft(revocation, "update", what=what, who=who))

    async def change(
        self,
        fingerprint: str,
        change: Callable[[Revocation], Revocation | None],
        *,
        what: str,
        who: str = SASQUASH,
        known: Revocation | None = None,
    ) -> Revocation | None:
        """Read, change and save until no other write interferes. `change` returns None to leave the record alone.

        `known` is the record as it was read just now: it is tried with that first. Returns the saved record, or None
        where there is none or nothing was to change. What `change` raises is raised.
        """
        draft: _Draft | None = None
        for attempt in range(_CHANGE_ATTEMPTS):
            at_hand = known if attempt == 0 else None
            current = at_hand or await self.read(fingerprint)
            if draft is not None and current is not None and await self._is_ours(current, draft):
                return current
            wanted = change(current) if current is not None else None
            if wanted is None and at_hand is not None:
                continue  # it may be another by now
            if wanted is None:
                return None
            draft = self._draft(wanted, "update", what=what, who=who)
            try:
                return await self._write(draft)
            except Conflict:
                continue
        raise Conflict(f"Record {fingerprint[:12]} kept changing while it was being saved. Try again later.")

    async def history(self, fingerprint: str) -> tuple[HistoryEntry, ...]:
        """Return the record's history, oldest first, without lines that can't be read."""
        return await history_rows.read(self._table, fingerprint, set_aside=self._set_aside)

    async def page(self, *, state: State | None, account: str | None, limit: int, after: str | None) -> Listed:
        """Return at most `limit` records in `state` and of `account` (None: any), newest first, and where to go on.

        The newest is the one that reached its state last. A page may hold fewer records than there are, even none:
        only None instead of a place says that it was the last. `after` is such a place, opaque to the
        caller. Raises InvalidRequest where it is none.
        """
        states = tuple(State) if state is None else (state,)
        key = None if after is None else page_tokens.read(after, of=state)
        rows, last = await self._index.newest(states, account=account, limit=limit, after=key)
        found = await asyncio.gather(*(self._of_row(row) for row in rows))
        return Listed(
            tuple(one for one in found if isinstance(one, Revocation)),
            tuple(one.key for one in found if isinstance(one, UnreadableRow)),
            None if last is None else page_tokens.written(last, of=state),
        )

    async def in_state(self, state: State, *, reasons: Iterable[Reason] = ()) -> AsyncIterator[Revocation]:
        """Yield every record in a state that can be read; for some reasons only, where there are any.

        Several are read at a time.
        """
        rows: list[IndexRow] = []
        async for row in self._index.in_state(state, reasons=reasons):
            rows.append(row)
            if len(rows) == _AT_ONCE:
                for record in await self._of_rows(rows):
                    yield record
                rows.clear()
        for record in await self._of_rows(rows):
            yield record

    async def watched(self) -> AsyncIterator[Revocation]:
        """Yield every record that is watched (`domain.watch`) and can be read."""
        async for row in self._index.watched():
            record = await self._of_row(row)
            if isinstance(record, Revocation):
                yield record

    async def ended_for(self, *reasons: Reason) -> AsyncIterator[Revocation]:
        """Yield every record that stands for one of `reasons`."""
        for state in dict.fromkeys(STATE_OF[reason] for reason in reasons):
            async for record in self.in_state(state, reasons=[r for r in reasons if STATE_OF[r] is state]):
                yield record

    async def _of_rows(self, rows: Iterable[IndexRow]) -> tuple[Revocation, ...]:
        found = await asyncio.gather(*(self._of_row(row) for row in rows))
        return tuple(one for one in found if isinstance(one, Revocation))

    async def _of_row(self, row: IndexRow) -> Revocation | UnreadableRow | None:
        """Return the record that a row of the index stands for; None where the row is outdated.

        Such a row is corrected. The row of a record that can't be read stays as it is.
        """
        try:
            record = await self.read(row.fingerprint)
        except UnreadableRow as unread:
            return unread
        if record is not None and row.is_current(record):
            return record
        if record is not None:
            await self._index.note_state(record)
        elif self._clock() - row.since < _ORPHAN:
            return None  # perhaps its record is just being written
        await self._index.remove(row)
        return None

    async def ping(self) -> None:
        """Raise when the table can't be read."""
        await self.read("0" * 64)

    def _draft(self, revocation: Revocation, operation: str, *, what: str, who: str) -> _Draft:
        now = self._clock()
        guard: dict[str, Any] = (
            {}
            if operation == "create"
            else {
                "mode": UpdateMode.MERGE,  # with the columns of a newer version
                "etag": revocation.etag,
                "match_condition": MatchConditions.IfNotModified,
            }
        )
        moved = _has_moved(revocation)
        lines: list[_Write] = []
        line = None
        if what:
            entry = HistoryEntry(
                now,
                clean(who),
                revocation.state,
                clean(what, limit=LONGEST),
                clean(history_evidence.of(revocation), limit=LONGEST) if moved else "",
                history_evidence.correlation_id(revocation) if moved else None,
            )
            entry, head = chained(entry, revocation.head, fingerprint=revocation.fingerprint)
            revocation = replace(revocation, head=head)
            row = history_rows.row(revocation.fingerprint, entry, stored_at=head.at, new_id=self._new_id())
            lines.append(("create", row, {}))
            line = str(row["RowKey"])
        return _Draft(revocation, [(operation, to_entity(revocation, now), guard), *lines], line)

    async def _write(self, draft: _Draft) -> Revocation:
        """Write a draft. Raises Conflict where the record is not as it was read, or as this draft."""
        revocation, writes = draft.record, draft.writes
        writing = self._moved(revocation, writes) if _has_moved(revocation) else self._submitted(revocation, writes)
        if draft.line is not None and self._outbox is not None and revocation.state is not State.RECEIVED:
            answers, _ = await asyncio.gather(writing, self._outbox.note(revocation.fingerprint))
        else:  # what is not decided yet is copied with its decision, and holds up no action
            answers = await writing
        return replace(revocation, etag=answers[0]["etag"], written=revocation.changes[-1])

    async def _is_ours(self, current: Revocation, draft: _Draft) -> bool:
        """Whether the record is as we have written it: the client tries again where the answer was lost.

        The id in the key of a line is of this one draft.
        """
        if replace(current, etag="", written=None) != replace(draft.record, etag="", written=None):
            return False
        if draft.line is None:
            return True
        with own_tables(f"Reading the history of {current.fingerprint[:12]}"):
            try:
                await self._table.get_entity(partition_of(current.fingerprint), draft.line, select=["RowKey"])
            except ResourceNotFoundError:
                return False
        return True

    async def _moved(self, revocation: Revocation, writes: list[_Write]) -> list[Mapping[str, Any]]:
        """Write a record that has reached another state, and the index at the same time.

        A claim whose row in the index can't be written has failed. Any other record is found by its old row then.
        """
        answers, noted = await asyncio.gather(
            self._submitted(revocation, writes), self._index.note(revocation), return_exceptions=True
        )
        if isinstance(answers, BaseException):
            raise answers
        before = revocation.written
        if isinstance(noted, BaseException) and (before is None or not isinstance(noted, SasquashError)):
            raise noted
        if before is not None:
            await self._leave(revocation.fingerprint, before, noted)
        moved: list[Mapping[str, Any]] = answers
        return moved

    async def _leave(self, fingerprint: str, before: Change, noted: SasquashError | None) -> None:
        """Remove the row of the state that the record was in, if its new one stands."""
        try:
            if noted is not None:
                raise noted
            await self._index.forget(fingerprint, before)
        except SasquashError as error:
            _log.warning("The index row of %s is outdated until it is next read: %s", fingerprint[:12], error)

    async def _submitted(self, revocation: Revocation, writes: list[_Write]) -> list[Mapping[str, Any]]:
        name = revocation.fingerprint[:12]
        with own_tables(f"Writing record {name}"):
            try:
                if len(writes) == 1 and writes[0][0] == "update":  # a transaction of one takes four times as long
                    return [await self._table.update_entity(writes[0][1], **writes[0][2])]
                answers: list[Mapping[str, Any]] = await self._table.submit_transaction(writes)
            except TableTransactionError as error:
                if _is_conflict(error):
                    raise Conflict(f"Record {name} was changed by another instance.") from None
                raise
            except (ResourceExistsError, ResourceModifiedError):
                raise Conflict(f"Record {name} was changed by another instance.") from None
        return answers


def _has_moved(revocation: Revocation) -> bool:
    """Whether it has reached a state that the ledger does not know."""
    return revocation.written != revocation.changes[-1]


def _is_conflict(error: TableTransactionError) -> bool:
    return error.status_code in (409, 412)


def _first_line(finding: Finding) -> str:
    because = f" Reason: {Foreign(finding.reason, limit=500)}" if finding.reason else ""
    if finding.order is not None and finding.evidence is None:
        return (
            f"Ordered: {finding.order.action} on {Foreign(finding.order.target)} of {finding.order.account}.{because}"
        )
    alert = f" ({finding.alert})" if finding.alert is not None else ""
    return f"Reported by {Foreign(finding.source)}{alert}.{because}{left_out(finding)}"


def left_out(finding: Finding) -> str:
    """Return sentences about what could not be read of a report: candidates, and places; empty where all was."""
    places = unread_place.said(finding.unread_places)
    if not finding.unread:
        return places
    return (
        f" {finding.unread} of its candidates were left out: they are malformed, too many, or hold a secret.{places}"
    )
