"""What all rows of Sasquash's tables have in common: the number of their format, and what becomes of unreadable ones.

Two versions write the same tables during an upgrade, and after one is rolled back. So each row has a column `Schema`
(decision 55), and a row that can't be read is set aside: it is kept as it is, named in the log and in the readiness
(`unreadable_rows`), and stops no other row.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec

from shared.domain.text import Foreign
from shared.errors import UnreadableRow

_log = logging.getLogger(__name__)

SCHEMA = 1
"""The highest number that this version can read. Rows of versions before it have none."""

SCHEMA_COLUMN = "Schema"
UNREADABLE = "Unreadable row: %s"
_UNDECODABLE = (msgspec.MsgspecError, LookupError, TypeError, ValueError, AttributeError, RecursionError)

type Row = Mapping[str, Any]
type SetAside = Callable[[UnreadableRow], Awaitable[None]]
"""Names a row that can't be read. Raises nothing."""


def new_row(partition: str, key: str, **columns: object) -> dict[str, Any]:
    """Return a row of this version's format."""
    return {"PartitionKey": partition, "RowKey": key, SCHEMA_COLUMN: SCHEMA, **columns}


def time_in(row: Row, column: str) -> datetime:
    """Return the time in a column. Raises what `reading` translates."""
    at = row[column]
    if not isinstance(at, datetime):
        raise TypeError("not a time")
    return at


@contextmanager
def reading(table: str, row: Row) -> Iterator[None]:
    """Raise UnreadableRow in place of what decoding this row inside the block raises, and for a newer format."""
    if is_newer(row):
        raise unreadable(table, row)
    try:
        yield
    except _UNDECODABLE:  # without a cause: it may quote a value
        raise unreadable(table, row) from None


def unreadable(table: str, row: Row) -> UnreadableRow:
    """Return the error about a row."""
    partition, key, newer = str(row["PartitionKey"]), str(row["RowKey"]), is_newer(row)
    because = (
        "a newer version of Sasquash wrote it" if newer else "another version of Sasquash wrote it, or it was changed"
    )
    return UnreadableRow(
        f"Row {Foreign(key)} of partition {Foreign(partition)} in table {table} can't be read: {because}. It is kept "
        'as it is. Deploy the newer version again, or see docs/operations.md, "Rolling back".',
        table=table,
        partition=partition,
        key=key,
        is_newer=newer,
    )


def is_newer(row: Row) -> bool:
    """Whether the row says that versions as old as this one can't read it, and must not write it."""
    number = row.get(SCHEMA_COLUMN)  # None, too, if the column was asked for, and there is none
    return number is not None and (not isinstance(number, int) or number > SCHEMA)


async def logged(row: UnreadableRow) -> None:
    """Name a row in the log alone."""
    _log.error(UNREADABLE, row)
