"""Responses of recent deliveries: a repeated delivery gets the first response, and is not processed again.

The cache is in the memory of one process. A repetition that it misses is published again, and joins its record.
"""

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta

_KEPT = timedelta(minutes=10)  # a delivery that is repeated after that is processed again
_MOST = 2000


class Deliveries[T]:
    """Keeps responses by source and delivery id."""

    def __init__(self, *, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._known: OrderedDict[tuple[str, str], tuple[datetime, T]] = OrderedDict()

    def answered(self, source: str, delivery: str | None) -> T | None:
        """Return the response of a delivery, None where it is new."""
        known = self._known.get((source, delivery or ""))
        return known[1] if known is not None and known[0] > self._clock() else None

    def note(self, source: str, delivery: str | None, answer: T) -> None:
        """Keep the response of a delivery. One without an id is not kept."""
        if delivery:
            self._known[source, delivery] = self._clock() + _KEPT, answer
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
