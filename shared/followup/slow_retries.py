"""Recognizes copies of a message that is tried again every quarter of an hour: one of them is enough.

A queue passes a message on more than once, and a message is sent again where the answer was lost. While a service is
down for hours, each copy would be tried beside the others, and be copied in turn. In the memory of one process: where
that ends, copies are processed, which does no harm.
"""

from collections.abc import Callable
from datetime import datetime

from cachetools import TTLCache

from shared.persistence.queues import LONGEST_DELAY, Message, backoff

_MOST = 10_000  # records
_TIME = LONGEST_DELAY - 60.0  # seconds: the next attempt is not a copy of this one


class SlowRetries:
    """The records that are being tried, or will be after the longest delay."""

    def __init__(self, *, clock: Callable[[], datetime]) -> None:
        self._under_way = TTLCache[str, bool](_MOST, _TIME, timer=lambda: clock().timestamp())

    def is_copy(self, message: Message) -> bool:
        """Whether another message of its record is under way; else note that this one is."""
        if message.swept or backoff(message.attempt) < LONGEST_DELAY:
            return False
        if message.fingerprint in self._under_way:
            return True
        self._under_way[message.fingerprint] = True
        return False

    def forget(self, message: Message) -> None:
        """Note that the next message of its record is no copy: it comes sooner, or this one comes again."""
        self._under_way.pop(message.fingerprint, None)
