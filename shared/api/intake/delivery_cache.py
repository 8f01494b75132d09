"""Responses of recent deliveries: a repeated delivery gets the first response, and is not processed again.

A delivery is the same if its id and its body are: a sender that uses an id twice loses no report.

The cache is in the memory of one process, and limited by time and by size. A repetition that it misses is published
again, and joins its record.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cachetools import TTLCache

KEPT = timedelta(minutes=10)  # a delivery that is repeated after that is processed again
LARGEST = 8 * 1024 * 1024  # bytes of all responses and ids
_OVERHEAD = 500  # bytes of an entry beside its texts

type _Key = tuple[str, str, bytes]


@dataclass(frozen=True, slots=True)
class Response:
    """What a delivery was answered: JSON, and the status."""

    content: bytes
    status: int


@dataclass(frozen=True, slots=True)
class _Kept:
    response: Response
    size: int


class Deliveries:
    """Keeps responses by source, delivery id and body."""

    def __init__(self, *, clock: Callable[[], datetime]) -> None:
        self._known = TTLCache[_Key, _Kept](
            LARGEST, ttl=KEPT.total_seconds(), timer=lambda: clock().timestamp(), getsizeof=lambda kept: kept.size
        )

    def answered(self, source: str, delivery: str | None, body: bytes) -> Response | None:
        """Return the response of a delivery, None where it is new."""
        kept = self._known.get((source, delivery or "", _digest(body)))
        return kept.response if kept is not None else None

    def note(self, source: str, delivery: str | None, body: bytes, response: Response) -> None:
        """Keep the response of a delivery. One without an id is not kept, nor one that would fill the cache."""
        size = len(response.content) + len(delivery or "") + _OVERHEAD
        if delivery and size <= LARGEST // 4:
            self._known[source, delivery, _digest(body)] = _Kept(response, size)

    @property
    def size(self) -> float:
        """Bytes that are kept, about."""
        return self._known.currsize


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()
