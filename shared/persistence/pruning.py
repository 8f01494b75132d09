"""Removes a record with all that belongs to it, and leaves the hash of the last line of each of its chains.

The record goes in one transaction with the rows that are left, if it is as it was read: a leak that is reported at
that moment has either changed the record, which stays, or finds none and gets a new one. The lines go after that, up
to the last one of the record that is gone: a new record's lines stand behind them. A run that was interrupted goes on
from the outbox (REST: "Performing entity group transactions").
"""

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient

from shared.domain.revocation import Revocation
from shared.persistence import history_rows
from shared.persistence.accounts import AccountTable
from shared.persistence.history_rows import HistoryRows, Pruned, Stored
from shared.persistence.outbox import Outbox
from shared.persistence.own_storage import own_tables
from shared.persistence.revocation_entity import partition_of
from shared.persistence.secret_index import SecretIndex
from shared.persistence.state_index import StateIndex

_AT_ONCE = 100  # changes of a transaction, the most that Table Storage takes


class Pruning:
    """Removes records. All raise TransientFailure; what was begun is in the outbox then."""

    def __init__(
        self, table: TableClient, *, index: StateIndex, secrets: SecretIndex, accounts: AccountTable, outbox: Outbox
    ) -> None:
        self._table = table
        self._rows = HistoryRows(table)
        self._index = index
        self._secrets = secrets
        self._accounts = accounts
        self._outbox = outbox

    async def remove(self, stored: Stored, *, now: datetime) -> bool:
        """Remove a record as it was read; return False where somebody has changed it meanwhile."""
        record = stored.record
        if record is None:
            return False
        await self._outbox.begin_pruning(record.fingerprint)
        if record.execution is not None and record.account is not None:  # it counted for a day
            await self._accounts.forget_rotation(record.account.name, record.execution)
        owns_secret = not record.duplicate_of  # else it is another record's
        if owns_secret:  # before the record, without which nothing would name this row any more
            await self._secrets.forget(record.finding)
        removed = await self._replace(record, _left(record, stored, now=now))
        if removed:
            await self._index.forget(record.fingerprint, record.changes[-1])
        elif owns_secret:
            await self._secrets.take_over(record.finding)
        await self.finish(record.fingerprint)
        return removed

    async def finish(self, fingerprint: str) -> None:
        """Remove what is left of records of this leak that are gone. Idempotent.

        Where a row can't be read, it may be another record's: nothing is removed until a version can read it.
        """
        stored = await self._rows.stored(fingerprint)
        if stored.unreadable:
            return
        through = max((pruned.through for pruned in stored.pruned), default="")
        keys = [line.key for line in stored.lines if line.key <= through]
        for start in range(0, len(keys), _AT_ONCE):
            await self._delete(keys[start : start + _AT_ONCE])
        if stored.record is None:
            for key in history_rows.beside(fingerprint):
                await self._delete([key])
            await self._outbox.forget(fingerprint)
        await self._outbox.end_pruning(fingerprint)

    async def _replace(self, record: Revocation, left: Iterable[Pruned]) -> bool:
        """Put what is left in place of the record, if nobody has changed it.

        It is gone, too, where the answer to a first attempt was lost.
        """
        partition = partition_of(record.fingerprint)
        guard: dict[str, Any] = {"etag": record.etag, "match_condition": MatchConditions.IfNotModified}
        key = {"PartitionKey": partition, "RowKey": record.fingerprint}
        rows = [history_rows.pruned_row(record.fingerprint, one) for one in left]
        with own_tables(f"Removing record {record.fingerprint[:12]}"):
            try:
                await self._table.submit_transaction(
                    [("delete", key, guard), *(("upsert", row, {"mode": UpdateMode.MERGE}) for row in rows)]
                )
            except TableTransactionError as error:
                if error.status_code == HTTPStatus.NOT_FOUND:
                    return True
                if error.status_code in (HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED):
                    return False
                raise
        return True

    async def _delete(self, keys: list[str]) -> None:
        """Delete rows of one leak. Some may be gone: then one by one."""
        rows: list[dict[str, str]] = [{"PartitionKey": partition_of(key), "RowKey": key} for key in keys]
        with own_tables(f"Removing rows of record {keys[0][:12]}"):
            if len(rows) > 1:
                with suppress(TableTransactionError):
                    await self._table.submit_transaction([("delete", row) for row in rows])
                    return
            for row in rows:
                with suppress(ResourceNotFoundError):
                    await self._table.delete_entity(row["PartitionKey"], row["RowKey"])


def _left(record: Revocation, stored: Stored, *, now: datetime) -> tuple[Pruned, ...]:
    """Return what is left of each chain: without it, the chain's lines in the copy seem to be erased."""
    through = stored.lines[-1].key if stored.lines else f"{record.fingerprint}~{now.astimezone(UTC):%Y%m%dT%H%M%S%f}"
    last = {entry.link.chain: entry.link for entry in stored.entries if entry.link is not None}
    ends = [(link.chain, link.line, link.sha256) for link in last.values()] or [("", 0, "")]
    return tuple(Pruned(now, *end, through, record.received_at) for end in ends)
