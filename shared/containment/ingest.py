"""Where an event comes in: what it reports is read, counted against the quotas, and contained."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import IntEnum

from shared.containment.admission import Admission
from shared.containment.dedup_cache import DedupCache
from shared.containment.lookup import AccountLookup
from shared.containment.service import INLINE_BUDGET, Containment
from shared.containment.verdicts import conclude
from shared.domain import report as findings
from shared.domain.finding import Reported
from shared.domain.report import Report
from shared.domain.states import Reason, State
from shared.errors import MalformedEvent
from shared.persistence.queues import SAFETY_NET
from shared.persistence.store import Store

_AT_ONCE = 16  # findings of one report that are taken in side by side
_LONGEST_WAIT = 15 * 60.0  # seconds, for what is over a quota


class Urgency(IntEnum):
    """In which order reports that have waited for long are taken in, the first ones first."""

    KNOWN_ACCOUNT = 0  # a leak of an account that is monitored
    LEAK = 1
    NO_LEAK = 2  # evidence, or what can't be read


class Ingest:
    """Takes reports in."""

    def __init__(
        self,
        *,
        raw_allowed: bool,
        store: Store,
        containment: Containment,
        lookup: AccountLookup,
        admission: Admission,
        dedup: DedupCache,
    ) -> None:
        """`raw_allowed`: whether an event may hold what leaked itself."""
        self._raw_allowed = raw_allowed
        self._store = store
        self._containment = containment
        self._lookup = lookup
        self._admission = admission
        self._dedup = dedup

    @property
    def clock(self) -> Callable[[], datetime]:
        """The time in UTC."""
        return self._store.clock

    def urgency(self, report: Report) -> Urgency:
        """Return how urgent a report is, by what it says."""
        try:
            found = findings.read(report, raw_allowed=self._raw_allowed, now=self._store.clock())
        except MalformedEvent:
            return Urgency.NO_LEAK
        leaks = [each.finding for each in found if each.finding.credential is not None]
        if any(self._lookup.known_name(leak) is not None for leak in leaks):
            return Urgency.KNOWN_ACCOUNT
        return Urgency.LEAK if leaks else Urgency.NO_LEAK

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
                account = self._lookup.known_name(reported.finding)
                over = self._admission.over_by(source=report.source, account=account)
                left = (until - self._store.clock()).total_seconds() if not over else 0.0
                await self._containment.take(reported, patience=left, delay=min(SAFETY_NET + over, _LONGEST_WAIT))

        await asyncio.gather(*(take(reported) for reported in found))

    async def _record_unreadable(self, report: Report, reason: Reason, detail: str) -> None:
        stand_in = findings.unreadable(report, now=self._store.clock())
        revocation, new = await self._store.revocations.claim_readable(stand_in)
        if new or revocation.state is State.RECEIVED:
            await conclude(self._store, revocation.end(reason, now=self._store.clock(), detail=detail))
        else:  # the event came again: perhaps because enqueueing had failed
            await self._store.queues.follow_up(revocation.fingerprint)
