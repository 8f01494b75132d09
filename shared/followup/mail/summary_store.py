"""Collects the lines of the summary mail and sends it: one mail an hour about all unconfirmed findings of a kind.

Table `digest`: partition "line", a row for each state of a record; partition "mailed", when a mail about a kind was
sent last; partition "lock", one row while an instance sends. An instance that crashes between sending and removing
the lines sends them a second time.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

import msgspec
from azure.core import MatchConditions
from azure.core.exceptions import (
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.data.tables import TableEntity, TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient

from shared.cloud.graph import Graph
from shared.domain.message import Message
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.domain.summary_line import SummaryLine, line_key
from shared.errors import UnreadableRow
from shared.followup.briefing.build import brief
from shared.followup.briefing.model import Briefing
from shared.followup.mail.compose import compose
from shared.followup.mail.summary import compose_summary
from shared.followup.mail.tally import Tally
from shared.persistence.hourly_groups import line_in
from shared.persistence.own_storage import own_tables
from shared.persistence.rows import SetAside, logged, new_row, reading
from shared.persistence.store import Store
from shared.settings import Settings

_LINE, _MAILED, _LOCK = "line", "mailed", "lock"
_EVERY = timedelta(hours=1)  # for each kind
_SENDING = timedelta(minutes=6)  # longer than any function runs (host.json, functionTimeout)
_MOST = 50_000  # lines a mail; the next one is about the rest
_BATCH = 100  # changes in one transaction
_HEADER = "digest"
_URGENT = frozenset({State.FAILED.value, State.AWAITING_APPROVAL.value})
_OF_PARTITION = "PartitionKey eq @p"


@dataclass(frozen=True, slots=True)
class SummaryMail:
    """The only reader and writer of table `digest`.

    `graph` is called when there is something to send, after `warm_up`, which imports it on a thread.
    """

    table: TableClient
    _: KW_ONLY
    graph: Callable[[], Graph]
    warm_up: Callable[[], None]
    settings: Settings
    store: Store
    set_aside: SetAside = logged

    async def add(self, revocation: Revocation) -> None:
        """Add the record's state to the next summary mail. Idempotent. Raises TransientFailure."""
        line = SummaryLine.of(revocation)
        await self._upsert(new_row(_LINE, line.key, Line=msgspec.json.encode(line).decode()))

    async def remove(self, revocation: Revocation) -> None:
        """Take a record that has left the state of its shared incident out of the next mail. Idempotent."""
        filed = revocation.filed
        if filed is None or (filed.state, filed.reason) == (revocation.state, revocation.reason):
            return
        key = line_key(revocation.fingerprint, filed.state, filed.reason)
        with own_tables("Removing a line of the summary mail"):
            await self.table.delete_entity(_LINE, key)

    async def send(self) -> None:
        """Mail the lines of each kind that was not mailed within the hour, unless another instance is sending.

        Raises TransientFailure or Blocked.
        """
        if not await self._has_lines() or not await self._locked():
            return
        try:
            tally, keys = await self._due()
            if not keys:
                return
            await asyncio.to_thread(self.warm_up)
            worst = [briefing for line in tally.kinds.values() if (briefing := await self._in_full(line)) is not None]
            message = self._message(tally, worst)
            await self.graph().send_mail(self.settings.mail_sender, message, finding_id=_HEADER)
            for kind in tally.kinds:
                await self._upsert(new_row(_MAILED, kind, At=self.store.clock()))
            await self._remove(keys)
        finally:
            await self._unlock()

    def _message(self, tally: Tally, worst: Sequence[Briefing]) -> Message:
        """Return the mail. One urgent finding has the mail that it would have alone."""
        mailbox = self.settings.security_mailbox
        if tally.total == 1 and worst and worst[0].state in _URGENT:
            return compose(worst[0], to=(), security_mailbox=mailbox, console=self.settings.console)
        return compose_summary(tally, security_mailbox=mailbox, worst=worst)

    async def _has_lines(self) -> bool:
        with own_tables("Reading the summary mail"):
            query = self.table.query_entities(_OF_PARTITION, parameters={"p": _LINE}, results_per_page=1)
            async for _ in query:
                return True
        return False

    async def _due(self) -> tuple[Tally, list[str]]:
        """Return what the next mail is about, and the keys of its lines."""
        lately = await self._mailed_lately()
        tally, keys = Tally(), []
        with own_tables("Reading the summary mail"):
            async for row in self.table.query_entities(_OF_PARTITION, parameters={"p": _LINE}):
                line = await self._line(row)
                if line is not None and line.kind not in lately:
                    tally.add(line)
                    keys.append(line.key)
                if len(keys) == _MOST:
                    break
        return tally, keys

    async def _mailed_lately(self) -> set[str]:
        """Return the kinds that a mail of this hour was about."""
        since = self.store.clock() - _EVERY
        with own_tables("Reading when the summary mail was sent"):
            rows = self.table.query_entities(_OF_PARTITION, parameters={"p": _MAILED})
            # Where the time can't be read, it is mailed: it says so of one kind alone.
            return {row["RowKey"] async for row in rows if isinstance(at := row.get("At"), datetime) and at > since}

    async def _line(self, row: TableEntity) -> SummaryLine | None:
        """Return the line in a row; None where it can't be read: it is set aside."""
        try:
            with reading(self.table.table_name, row):
                return line_in(row)
        except UnreadableRow as error:
            await self.set_aside(error)
            return None

    async def _in_full(self, line: SummaryLine) -> Briefing | None:
        """Return the briefing of a line's record, None where it is in another state by now."""
        record = await self.store.revocations.readable(line.fingerprint)
        if record is None or (record.state, record.reason) != (line.state, line.reason):
            return None
        return brief(record, now=self.store.clock())

    async def _upsert(self, row: dict[str, Any]) -> None:
        with own_tables("Writing the summary mail"):
            await self.table.upsert_entity(row, mode=UpdateMode.MERGE)

    async def _locked(self) -> bool:
        now = self.store.clock()
        lock = new_row(_LOCK, _LOCK, Until=now + _SENDING)
        with (
            own_tables("Locking the summary mail"),
            suppress(ResourceModifiedError, ResourceNotFoundError),
        ):
            with suppress(ResourceExistsError):
                await self.table.create_entity(lock)
                return True
            held = await self.table.get_entity(_LOCK, _LOCK)
            if _until(held, now=now) <= now:
                unchanged: dict[str, Any] = {
                    "etag": held.metadata["etag"],
                    "match_condition": MatchConditions.IfNotModified,
                }
                await self.table.update_entity(lock, mode=UpdateMode.MERGE, **unchanged)
                return True
        return False

    async def _remove(self, keys: Iterable[str]) -> None:
        gone = list(keys)
        with own_tables("Removing sent lines of the summary mail"):
            for start in range(0, len(gone), _BATCH):
                rows = [{"PartitionKey": _LINE, "RowKey": key} for key in gone[start : start + _BATCH]]
                try:
                    await self.table.submit_transaction([("delete", row, {}) for row in rows])
                except TableTransactionError as error:
                    if error.status_code != HTTPStatus.NOT_FOUND:
                        raise
                    # Sent again after a lost answer: a row is gone, and so are all, unless somebody else removed it.
                    for row in rows:
                        await self.table.delete_entity(row["PartitionKey"], row["RowKey"])

    async def _unlock(self) -> None:
        with own_tables("Unlocking the summary mail"):
            await self.table.delete_entity(_LOCK, _LOCK)


def _until(lock: TableEntity, *, now: datetime) -> datetime:
    """Return until when an instance sends. One whose row can't be read began when it wrote that."""
    until = lock.get("Until")
    return until if isinstance(until, datetime) else (lock.metadata["timestamp"] or now) + _SENDING
