"""Which account a key belongs to, by the SHA-256 of the key: a key that leaked without its account is found by it.

Table `states`. Partition = "key~" and the first two characters of the hash, row = the hash: account, name of the key,
and when it was last seen there. The rows of keys that are gone stay for a while: they say whose key it was. Partition
"keys-listed", row = the account's name: when its keys were last listed. A hash of 64 random bytes can't be reversed.
"""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from shared.domain.target import KEY_NAMES
from shared.persistence.own_storage import own_tables
from shared.persistence.rows import new_row, time_in

_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_PARTITION, _LISTED = "key~", "keys-listed"


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key that an account had at `seen_at`."""

    account: str
    name: str
    sha256: str
    seen_at: datetime


class KeyIndex:
    """The only writer and reader of these rows. All raise TransientFailure."""

    def __init__(self, table: TableClient) -> None:
        self._table = table

    async def find(self, sha256: str) -> KnownKey | None:
        """Return the key with this hash; None where no account is known to have had it."""
        with own_tables("Reading the index of keys"):
            try:
                row = await self._table.get_entity(f"{_PARTITION}{sha256[:2]}", sha256)
            except ResourceNotFoundError:
                return None
        account, name, seen_at = row.get("Account"), row.get("Key"), _time(row)
        if not isinstance(account, str) or not _ACCOUNT.fullmatch(account) or name not in KEY_NAMES or not seen_at:
            return None
        return KnownKey(account, str(name), sha256, seen_at)

    async def note(self, account: str, keys: Mapping[str, str], *, at: datetime) -> None:
        """Note the keys of an account, name → hash, as they were listed at that time."""
        with own_tables("Writing the index of keys"):
            for name, sha256 in keys.items():
                row = new_row(f"{_PARTITION}{sha256[:2]}", sha256, Account=account, Key=name, SeenAt=at)
                await self._table.upsert_entity(row, mode=UpdateMode.MERGE)
            await self._table.upsert_entity(new_row(_LISTED, account, SeenAt=at), mode=UpdateMode.MERGE)

    async def listed(self) -> dict[str, datetime]:
        """Return when the keys of each account were last listed, by the account's name."""
        found: dict[str, datetime] = {}
        with own_tables("Reading the index of keys"):
            query = self._table.query_entities("PartitionKey eq @listed", parameters={"listed": _LISTED})
            async for row in query:
                if (at := _time(row)) is not None:
                    found[str(row["RowKey"])] = at
        return found

    async def forget_before(self, time: datetime) -> None:
        """Remove the rows of keys that were not seen since: nobody reports them any more."""
        async for partition, key in self._older_than(time):
            with own_tables("Writing the index of keys"), suppress(ResourceNotFoundError):
                await self._table.delete_entity(partition, key)

    async def _older_than(self, time: datetime) -> AsyncIterator[tuple[str, str]]:
        query = "PartitionKey ge 'key~' and PartitionKey lt 'key~~' and SeenAt lt @time"
        with own_tables("Reading the index of keys"):
            rows = [
                (str(row["PartitionKey"]), str(row["RowKey"]))
                async for row in self._table.query_entities(query, parameters={"time": time})
            ]
        for row in rows:
            yield row


def _time(row: Mapping[str, Any]) -> datetime | None:
    try:
        return datetime.fromtimestamp(time_in(row, "SeenAt").timestamp(), UTC)  # the SDK's is a class of its own
    except (LookupError, TypeError, ValueError):
        return None
