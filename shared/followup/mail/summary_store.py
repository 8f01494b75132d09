"""Collects the lines of the summary mail and sends it: one mail for all unconfirmed findings.

Table `digest`: partition "line", a row for each state of a record; partition "lock", one row while an instance sends.
An instance that crashes between sending and removing the lines sends them a second time.
"""

import asyncio
from collections.abc import Callable, Iterable
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
from azure.data.tables import TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient

from shared.cloud.errors import translate_errors
from shared.cloud.graph import Graph
from shared.domain.revocation import Revocation
from shared.followup.mail.summary import SummaryLine, compose_summary
from shared.settings import Settings

_LINE, _LOCK = "line", "lock"
_SENDING = timedelta(minutes=2)  # longer than sending takes
_MOST = 2000  # lines a mail
_BATCH = 100  # changes in one transaction
_HEADER = "digest"


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
    clock: Callable[[], datetime]

    async def add(self, revocation: Revocation) -> None:
        """Add the record's state to the next summary mail. Idempotent. Raises TransientFailure or Blocked."""
        line = SummaryLine.of(revocation)
        row = {"PartitionKey": _LINE, "RowKey": line.key, "Line": msgspec.json.encode(line).decode()}
        with translate_errors("Adding a line to the summary mail"):
            await self.table.upsert_entity(row, mode=UpdateMode.REPLACE)

    async def send(self) -> None:
        """Send the pending lines, unless another instance is sending. Raises TransientFailure or Blocked."""
        lines = await self._lines()
        if not lines or not await self._locked():
            return
        try:
            await asyncio.to_thread(self.warm_up)
            message = compose_summary(lines, security_mailbox=self.settings.security_mailbox)
            await self.graph().send_mail(self.settings.mail_sender, message, finding_id=_HEADER)
            await self._remove(line.key for line in lines)
        finally:
            await self._unlock()

    async def _lines(self) -> list[SummaryLine]:
        found: list[SummaryLine] = []
        with translate_errors("Reading the summary mail"):
            async for row in self.table.query_entities("PartitionKey eq @line", parameters={"line": _LINE}):
                found.append(msgspec.json.decode(row["Line"], type=SummaryLine))
                if len(found) == _MOST:
                    break
        return sorted(found, key=lambda line: line.at)

    async def _locked(self) -> bool:
        now = self.clock()
        lock = {"PartitionKey": _LOCK, "RowKey": _LOCK, "Until": now + _SENDING}
        with (
            translate_errors("Locking the summary mail"),
            suppress(ResourceModifiedError, ResourceNotFoundError),
        ):
            with suppress(ResourceExistsError):
                await self.table.create_entity(lock)
                return True
            held = await self.table.get_entity(_LOCK, _LOCK)
            if held["Until"] <= now:
                unchanged: dict[str, Any] = {
                    "etag": held.metadata["etag"],
                    "match_condition": MatchConditions.IfNotModified,
                }
                await self.table.update_entity(lock, mode=UpdateMode.REPLACE, **unchanged)
                return True
        return False

    async def _remove(self, keys: Iterable[str]) -> None:
        gone = list(keys)
        with translate_errors("Removing sent lines of the summary mail"):
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
        with translate_errors("Unlocking the summary mail"):
            await self.table.delete_entity(_LOCK, _LOCK)
