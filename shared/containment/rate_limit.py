"""Limits how much of one source is processed at once: a flood from one must not delay the reports of the others.

A token bucket for each source. In the memory of one process: a quota is per instance.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from cachetools import LRUCache

_MOST_SOURCES = 1000  # their names come from outside; the one that was silent longest is evicted first
_LONGEST_NAME = 200  # characters that count
_HOUR = 3600.0
_LONGEST_DEBT = 900.0  # seconds; nothing is put off for longer, so a flood that is over costs nobody more


@dataclass(slots=True)
class _Bucket:
    left: float
    at: datetime


class RateLimit:
    """Counts what each source brings. `an_hour` is how much it may, at once or spread."""

    def __init__(self, *, an_hour: int, clock: Callable[[], datetime]) -> None:
        self._an_hour = an_hour
        self._clock = clock
        self._buckets = LRUCache[str, _Bucket](_MOST_SOURCES)

    def take(self, source: str, amount: int) -> float:
        """Count `amount` of `source` if it is within the quota; else return in how many seconds it will be.

        More than an hour's worth is accepted where the source has been silent for that long.
        """
        bucket = self._bucket(source)
        wanted = min(float(amount), float(self._an_hour))
        if bucket.left >= wanted:
            bucket.left -= amount
            return 0.0
        return (wanted - bucket.left) / self._a_second

    def over_by(self, source: str) -> float:
        """Count one of `source`; return in how many seconds it would be within the quota, 0 if it is.

        At most a quarter of an hour.
        """
        bucket = self._bucket(source)
        bucket.left = max(bucket.left - 1.0, -_LONGEST_DEBT * self._a_second)
        return max(-bucket.left / self._a_second, 0.0)

    @property
    def _a_second(self) -> float:
        return self._an_hour / _HOUR

    def _bucket(self, source: str) -> _Bucket:
        """Return a source's bucket as full as it is by now."""
        now, source = self._clock(), source[:_LONGEST_NAME]
        bucket = self._buckets.get(source) or _Bucket(float(self._an_hour), now)
        self._buckets[source] = bucket
        passed = max((now - bucket.at).total_seconds(), 0.0)
        bucket.left = min(bucket.left + passed * self._a_second, float(self._an_hour))
        bucket.at = now
        return bucket
