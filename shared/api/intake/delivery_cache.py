"""Responses of recent deliveries: a repeated delivery gets the first response, and is not processed again.

A delivery is the same if its id and its body are: a sender that uses an id twice loses no report.

The cache is in the memory of one process. A repetition that it misses is published again, and joins its record.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta

_KEPT = timedelta(minutes=10)  # a delivery that is repeated after that is processed again
_MOST = 2000


class Deliveries[T]:
    """Keeps responses by source, delivery id and body."""

    def __init__(self, *, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._known: OrderedDict[tuple[str, str, bytes], tuple[datetime, T]] = OrderedDict()

    def answered(self, source: str, delivery: str | None, body: bytes) -> T | None:
        """Return the response of a delivery, None where it is new."""
        known = self._known.get((source, delivery or "", _digest(body)))
        return known[1] if known is not None and known[0] > self._clock() else None

    def note(self, source: str, delivery: str | None, body: bytes, answer: T) -> None:
        """Keep the response of a delivery. One without an id is not kept."""
        if delivery:
            self._known[source, delivery, _digest(body)] = self._clock() + _KEPT, answer
            while len(self._known) > _MOST:
                self._known.popitem(last=False)


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()
