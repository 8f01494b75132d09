"""Recognizes a report that is repeated within seconds, so that a flood of repeats costs no remote call.

Scanners repeat themselves by the thousand. What one has just reported is durable and being contained: its repeat adds
nothing to the record, and reopens none so soon (`decision.duplicates`). In the memory of one process, which never
takes for a repeat what it did not record itself.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
from cachetools import LRUCache, TLRUCache

from shared.domain.finding import Reported

_MOST = 20_000  # the least recently used is evicted first
_ANY_TIME = datetime.min.replace(tzinfo=UTC)


class DedupCache:
    """Remembers what this process has just made durable."""

    def __init__(self, *, clock: Callable[[], datetime]) -> None:
        self._until = TLRUCache[bytes, float](
            _MOST, ttu=lambda _report, until, _now: until, timer=lambda: clock().timestamp()
        )
        self._written = LRUCache[str, bool](_MOST)

    def is_one(self, reported: Reported) -> bool:
        """Whether the same was reported by the same source at the same place, is durable, and says nothing new."""
        return _same(reported) in self._until

    def durable(self, reported: Reported, *, until: datetime) -> None:
        """Note that a report is durable, and until when its repeats change nothing."""
        self._until[_same(reported)] = until.timestamp()
        self._written[reported.finding.fingerprint] = True

    def has_record(self, fingerprint: str) -> bool:
        """Whether this process has recorded the leak before, from any source."""
        return fingerprint in self._written


def _same(reported: Reported) -> bytes:
    """Return what two reports have in common that say the same, whenever they say it.

    One that brings the token says more than one that does not: a user delegation SAS can be asked only with it.
    """
    said = msgspec.json.encode(replace(reported.finding, detected_at=_ANY_TIME))
    return hashlib.sha256(said + (b"+" if reported.token is not None else b"-")).digest()
