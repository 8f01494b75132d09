"""Collects the lines of the summary mail and sends it: one mail an hour about all unconfirmed findings of a kind.

Table `digest`: partition "line", a row for each state of a record; partition "mailed", when a mail about a kind was
sent last; partition "lock", one row while an instance sends. An instance that crashes between sending and removing
the lines sends them a second time.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import msgspec
from azure.core import MatchConditions
from azure.core.exceptions import (
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.data.tables import TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient

from shared.cloud.errors import translate_errors
from shared.cloud.graph import Graph
from shared.domain.message import Message
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.domain.summary_line import SummaryLine, line_key
from shared.followup.briefing.build import brief
from shared.followup.briefing.model import Briefing
from shared.followup.mail.compose import compose
from shared.followup.mail.summary import compose_summary
from shared.followup.mail.tally import Tally
from shared.persistence.store import Store
from shared.settings import Settings

_LINE, _MAILED, _LOCK = "line", "mailed", "lock"
_EVERY = timedelta(hours=1)  # for each kind
_SENDING = timedelta(minutes=6)  # longer than any function runs (host.json, functionTimeout)
_MOST = 50_000  # lines a mail; the next one is about the rest
_BATCH = 100  # changes in one transaction
_HEADER = "digest"
_URGENT = frozenset({State.FAILED.value, State.AWAITING_APPROVAL.value})
_GONE_OR_CHANGED = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.PRECONDITION_FAILED})
_OF_PARTITION = "PartitionKey eq @p"


@dataclass(frozen=True, slots=True)
class _Row:
    """A line as it was read."""

    key: str
    etag: str

    @property
    def unchanged(self) -> dict[str, Any]:
        return {"etag": self.etag, "match_condition": MatchConditions.IfNotModified}


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

    async def add(self, revocation: Revocation) -> None:
        """Add the record's state to the next summary mail. Idempotent. Raises TransientFailure or Blocked."""
        line = SummaryLine.of(revocation)
        await self._upsert(line.key, {"PartitionKey": _LINE, "Line": msgspec.json.encode(line).decode()})

    async def remove(self, revocation: Revocation) -> None:
        """Take a record that has left the state of its shared incident out of the next mail. Idempotent."""
        filed = revocation.filed
        if filed is None or (filed.state, filed.reason) == (revocation.state, revocation.reason):
            return
        key = line_key(revocation.fingerprint, filed.state, filed.reason)
        with translate_errors("Removing a line of the summary mail"):
            await self.table.delete_entity(_LINE, key)

    async def send(self) -> None:
        """Mail the lines of each kind that was not mailed within the hour, unless another instance is sending.

        Raises TransientFailure or Blocked.
        """
        if not await self._has_lines() or not await self._locked():
            return
        try:
            tally, lines = await self._due()
            if not lines:
                return
            await asyncio.to_thread(self.warm_up)
            worst = [briefing for line in tally.kinds.values() if (briefing := await self._in_full(line)) is not None]
            message = self._message(tally, worst)
            await self.graph().send_mail(self.settings.mail_sender, message, finding_id=_HEADER)
            for kind in tally.kinds:
                await self._upsert(kind, {"PartitionKey": _MAILED, "At": self.store.clock()})
            await self._remove(lines)
        finally:
            await self._unlock()

    def _message(self, tally: Tally, worst: Sequence[Briefing]) -> Message:
        """Return the mail. One urgent finding has the mail that it would have alone."""
        mailbox = self.settings.security_mailbox
        if tally.total == 1 and worst and worst[0].state in _URGENT:
            return compose(worst[0], to=(), security_mailbox=mailbox, console=self.settings.console)
        return compose_summary(tally, security_mailbox=mailbox, worst=worst)

    async def _has_lines(self) -> bool:
        with translate_errors("Reading the summary mail"):
            query = self.table.query_entities(_OF_PARTITION, parameters={"p": _LINE}, results_per_page=1)
            async for _ in query:
                return True
        return False

    async def _due(self) -> tuple[Tally, list[_Row]]:
        """Return what the next mail is about, and the rows of its lines."""
        lately = await self._mailed_lately()
        tally, lines = Tally(), list[_Row]()
        with translate_errors("Reading the summary mail"):
            async for row in self.table.query_entities(_OF_PARTITION, parameters={"p": _LINE}):
                line = msgspec.json.decode(row["Line"], type=SummaryLine)
                if line.kind not in lately:
                    tally.add(line)
                    lines.append(_Row(line.key, str(row.metadata["etag"])))
                if len(lines) == _MOST:
                    break
        return tally, lines

    async def _mailed_lately(self) -> set[str]:
        """Return the kinds that a mail of this hour was about."""
        since = self.store.clock() - _EVERY
        with translate_errors("Reading when the summary mail was sent"):
            rows = self.table.query_entities(_OF_PARTITION, parameters={"p": _MAILED})
            return {row["RowKey"] async for row in rows if row["At"] > since}

    async def _in_full(self, line: SummaryLine) -> Briefing | None:
        """Return the briefing of a line's record, None where it is in another state by now."""
        record = await self.store.revocations.read(line.fingerprint)
        if record is None or (record.state, record.reason) != (line.state, line.reason):
            return None
        return brief(record, now=self.store.clock())

    async def _upsert(self, key: str, columns: dict[str, object]) -> None:
        with translate_errors("Writing the summary mail"):
            await self.table.upsert_entity({"RowKey": key, **columns}, mode=UpdateMode.REPLACE)

    async def _locked(self) -> bool:
        now, holder = self.store.clock(), self.store.new_id()
        lock = {"PartitionKey": _LOCK, "RowKey": _LOCK, "Until": now + _SENDING, "Holder": holder}
        with translate_errors("Locking the summary mail"), suppress(ResourceNotFoundError):
            with suppress(ResourceExistsError):
                await self.table.create_entity(lock)
                return True
            held = await self.table.get_entity(_LOCK, _LOCK)
            if held.get("Holder") == holder:
                return True  # ours: the answer to a first attempt was lost
            if held["Until"] <= now:
                with suppress(ResourceModifiedError):
                    await self.table.update_entity(
                        lock, mode=UpdateMode.REPLACE, **_Row(_LOCK, str(held.metadata["etag"])).unchanged
                    )
                    return True
                held = await self.table.get_entity(_LOCK, _LOCK)
                return bool(held.get("Holder") == holder)
        return False

    async def _remove(self, sent: Sequence[_Row]) -> None:
        """Remove the lines that were sent. One that was written again meanwhile is news, and stays."""
        with translate_errors("Removing sent lines of the summary mail"):
            for start in range(0, len(sent), _BATCH):
                rows = sent[start : start + _BATCH]
                try:
                    await self.table.submit_transaction(
                        [("delete", {"PartitionKey": _LINE, "RowKey": row.key}, row.unchanged) for row in rows]
                    )
                except TableTransactionError as error:
                    if error.status_code not in _GONE_OR_CHANGED:
                        raise
                    # Sent again after a lost answer: a row is gone, and so are all, unless somebody else removed it.
                    for row in rows:
                        with suppress(ResourceModifiedError):
                            await self.table.delete_entity(_LINE, row.key, **row.unchanged)

    async def _unlock(self) -> None:
        with translate_errors("Unlocking the summary mail"):
            await self.table.delete_entity(_LOCK, _LOCK)
