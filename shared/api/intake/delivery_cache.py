"""Which deliveries were dealt with just now: one that comes again is answered as the first time, and costs no more.

In the memory of one process, and short: what slips through is published again, and joined to the record that
is there.
"""

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta

_KEPT = timedelta(minutes=10)  # somebody who has it delivered again after that wants it looked at again
_MOST = 2000


class Deliveries[T]:
    """Remembers an answer by source and delivery id."""

    def __init__(self, *, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._known: OrderedDict[tuple[str, str], tuple[datetime, T]] = OrderedDict()

    def answered(self, source: str, delivery: str | None) -> T | None:
        """Return the answer that a delivery got, None where it is new."""
        known = self._known.get((source, delivery or ""))
        return known[1] if known is not None and known[0] > self._clock() else None

    def note(self, source: str, delivery: str | None, answer: T) -> None:
        """Note what a delivery was answered; one without an id is not known again."""
        if delivery:
            self._known[source, delivery] = self._clock() + _KEPT, answer
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
