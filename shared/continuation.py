"""Where a listing goes on, as text that callers hand back: opaque to them, and believed only if it is one of ours.

Source: REST, "Query timeout and pagination": the headers x-ms-continuation-NextPartitionKey and -NextRowKey.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from shared.errors import InvalidRequest

_LONGEST = 2048

type Position = dict[str, str | None]
"""A continuation token as azure-data-tables gives and takes it: keys PartitionKey and RowKey."""


@dataclass(frozen=True, slots=True)
class _Place:
    partition: str
    row: str | None


def written(position: Mapping[str, str | None]) -> str:
    """Return `position` as URL-safe text."""
    encoded = msgspec.json.encode(_Place(position["PartitionKey"] or "", position["RowKey"]))
    return base64.urlsafe_b64encode(encoded).decode().rstrip("=")


def read(text: str) -> Position:
    """Return what `written` wrote. Raises InvalidRequest for anything else."""
    if len(text) > _LONGEST or not text.isascii():
        raise not_ours()
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        place = msgspec.json.decode(decoded, type=_Place)
    except (binascii.Error, msgspec.DecodeError):
        raise not_ours() from None
    position: Position = {"PartitionKey": place.partition, "RowKey": place.row}
    # The parts end up in a URL's query: whatever they are, they hold nothing that is not plain text.
    plain = all(part.isascii() and part.isprintable() for part in (place.partition, place.row or ""))
    if not plain or written(position) != text:
        raise not_ours()
    return position


def not_ours() -> InvalidRequest:
    """Return the error for a text that names no place to go on from."""
    return InvalidRequest("after: not a place that an earlier page named as the next one")
