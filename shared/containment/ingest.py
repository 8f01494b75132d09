"""Where an event comes in: what it reports is read, counted against its source's quota, and contained."""

import asyncio
from datetime import timedelta

from shared.containment.dedup_cache import DedupCache
from shared.containment.rate_limit import RateLimit
from shared.containment.service import INLINE_BUDGET, Containment
from shared.containment.verdicts import conclude
from shared.domain import finding as findings
from shared.domain.finding import Report, Reported
from shared.domain.revocation import Reason, State
from shared.errors import MalformedEvent
from shared.persistence.queues import SAFETY_NET
from shared.persistence.store import Store

_AT_ONCE = 16  # findings of one report that are taken in side by side
_LONGEST_WAIT = 15 * 60.0  # seconds, for what is over a source's quota


class Ingest:
    """Takes reports in."""

    def __init__(
        self,
        *,
        raw_allowed: bool,
        store: Store,
        containment: Containment,
        rate_limit: RateLimit,
        dedup: DedupCache,
    ) -> None:
        """`raw_allowed`: whether an event may hold what leaked itself."""
        self._raw_allowed = raw_allowed
        self._store = store
        self._containment = containment
        self._rate_limit = rate_limit
        self._dedup = dedup

    async def receive(self, report: Report) -> None:
        """Take an event in: durable when this returns, and mostly contained. Raises only when it is not durable."""
        now = self._store.clock()
        try:
            found = findings.read(report, raw_allowed=self._raw_allowed, now=now)
        except MalformedEvent as error:
            await self._record_unreadable(report, Reason.MALFORMED, str(error))
            return
        if not found:
            detail = "The reported text holds no Azure Storage credential."
            await self._record_unreadable(report, Reason.INVALID, detail)
            return
        # A few at a time, so that the first is contained before the last of hundreds is recorded.
        places = asyncio.Semaphore(_AT_ONCE)
        until = now + timedelta(seconds=INLINE_BUDGET)

        async def take(reported: Reported) -> None:
            async with places:
                if self._dedup.is_one(reported):
                    return
                over = self._rate_limit.over_by(report.source)
                left = (until - self._store.clock()).total_seconds() if not over else 0.0
                await self._containment.take(reported, patience=left, delay=min(SAFETY_NET + over, _LONGEST_WAIT))

        await asyncio.gather(*(take(reported) for reported in found))

    async def _record_unreadable(self, report: Report, reason: Reason, detail: str) -> None:
        stand_in = findings.unreadable(report, now=self._store.clock())
        revocation, new = await self._store.revocations.claim(stand_in)
        if new or revocation.state is State.RECEIVED:
            await conclude(self._store, revocation.end(reason, now=self._store.clock(), detail=detail))
        else:  # the event came again: perhaps because enqueueing had failed
            await self._store.queues.follow_up(revocation.fingerprint)
