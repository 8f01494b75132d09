"""How much of one source is dealt with at once: a flood from one must not hold up what comes from the others.

A bucket a source, which fills up again with time. In the memory of one process: a quota is per instance.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

_MOST_SOURCES = 1000  # their names come from outside; the one that was silent longest is forgotten first
_LONGEST_NAME = 200  # characters that count
_HOUR = 3600.0


@dataclass(slots=True)
class _Bucket:
    left: float
    at: datetime


class Quotas:
    """Counts what each source brings. `an_hour` is how much it may, at once or spread."""

    def __init__(self, *, an_hour: int, clock: Callable[[], datetime]) -> None:
        self._an_hour = an_hour
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def over_by(self, source: str) -> float:
        """Count one of `source`; return in how many seconds it would be within the quota, 0 if it is."""
        now, source = self._clock(), source[:_LONGEST_NAME]
        bucket = self._buckets.pop(source, None) or _Bucket(float(self._an_hour), now)
        self._buckets[source] = bucket
        while len(self._buckets) > _MOST_SOURCES:
            self._buckets.popitem(last=False)
        a_second = self._an_hour / _HOUR
        passed = max((now - bucket.at).total_seconds(), 0.0)
        bucket.left = min(bucket.left + passed * a_second, float(self._an_hour)) - 1.0
        bucket.at = now
        return max(-bucket.left / a_second, 0.0)
