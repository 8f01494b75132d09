"""Adds what another report says to the record of a known leak: where it was seen, and with which path.

The path of the first report may be wrong. That of each report is in the record before its event is acknowledged, and
where the record is full, in a message that brings it again.
"""

import logging
from dataclasses import dataclass, replace
from functools import partial

from shared.containment.dedup_cache import DedupCache
from shared.containment.rechecks import Rechecks
from shared.domain.decision.duplicates import ended_unverified, reopened, resumed, says_nothing_until, with_report
from shared.domain.finding import Finding, Reported
from shared.domain.known_paths import MOST, split
from shared.domain.pending_steps import needs_evidence_check, open_alerts, reported_again
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.errors import Conflict, TransientFailure
from shared.persistence.accounts import COOLDOWN
from shared.persistence.queues import Message, backoff
from shared.persistence.revocations import left_out
from shared.persistence.store import Store

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RepeatedReports:
    """Joins reports to records, and remembers in memory what was just reported."""

    store: Store
    dedup: DedupCache
    rechecks: Rechecks

    def has_record(self, fingerprint: str) -> bool:
        """Whether this process knows that a leak has a record."""
        return self.dedup.has_record(fingerprint)

    def durable(self, reported: Reported, joined: Revocation) -> None:
        """Note that a report is in its record, `joined`."""
        self.dedup.durable(reported, until=says_nothing_until(joined, now=self.store.clock()))

    async def rechecked(self, record: Revocation) -> Revocation:
        """Return a decided record whose leak was reported again, `received` if what is there now has changed.

        Raises SasquashError.
        """
        return await self.rechecks.of_report(record)

    async def join(self, known: Revocation, finding: Finding) -> Revocation:
        """Note another report of a known leak; return the record as it is then, `received` if it is to be attributed.

        Raises TransientFailure where a path that the report adds could not be noted: report it again.
        """
        joined = await self._noted(known, finding)
        current = joined or known
        if current.state is State.RECEIVED:
            if len(current.paths.known) > 1:  # the row in which it waits has the paths of the latest report alone
                await self.store.accounts.add_waiting(current.to_weigh)
            return current
        if joined is not None and (open_alerts(joined) or reported_again(joined) or needs_evidence_check(joined)):
            await self.store.queues.follow_up(finding.fingerprint)
        await self.store.accounts.remove_waiting(finding)
        return current

    async def _noted(self, known: Revocation, finding: Finding) -> Revocation | None:
        """Return the record with the report noted, None where it says nothing new."""
        join = partial(with_report, finding=finding, now=self.store.clock())
        if join(known) is None:
            return None
        name, path = known.fingerprint[:12], ", with another path" if known.unknown_paths(finding) else ""
        what = f"Reported again by {finding.source}{path}.{left_out(finding)}"
        if known.paths.dropped > MOST:  # a flood: its paths are tried, but the history does not list them
            what = ""
        try:
            return await self.store.revocations.change(known.fingerprint, join, what=what)
        except Conflict as error:  # many report it at once: the leak is known, and one report more is not missed
            if known.unknown_paths(finding):
                raise TransientFailure(
                    f"Record {name} kept changing, so another path of its leak was not noted. Report it again."
                ) from error
            _log.warning("Not noted that %s was reported again: %s", name, error)
            return None

    async def keep_left_out(
        self, record: Revocation, finding: Finding, *, before: Revocation | None = None, attempt: int = 0
    ) -> None:
        """Keep the paths that the record can't hold in messages: it can once the others were tried.

        `before` is the record before the report.
        """
        delay = max(backoff(attempt), COOLDOWN.total_seconds())
        for part in split(record.unknown_paths(finding, before=before), record.finding.credential):
            await self.store.queues.contain(record.fingerprint, delay=delay, attempt=attempt + 1, left_out=part)

    async def join_left_out(self, known: Revocation, message: Message) -> Revocation:
        """Return the record with the paths of a message, as if they had just been reported."""
        credential = known.finding.credential
        if credential is None:
            return known
        # A person's paths are never left out for a stranger's.
        finding = replace(known.finding, reported_by=None).with_readings(message.left_out.readings(credential))
        join = partial(self._with_left_out, finding=finding)
        what = f"Reported with {len(finding.readings) - 1} more paths."
        joined = await self.store.revocations.change(known.fingerprint, join, what=what) or known
        await self.keep_left_out(joined, finding, attempt=message.attempt)
        return joined

    def _with_left_out(self, current: Revocation, finding: Finding) -> Revocation | None:
        """Return the record with the paths that fit; reopened where none does, so that its paths are tried."""
        now = self.store.clock()
        joined = with_report(current, finding, now=now)
        if joined is not None or not current.unknown_paths(finding) or not ended_unverified(current):
            return joined
        detail = "More paths were reported than could be tried at once: it is evaluated again."
        again = resumed if current.reason is Reason.BLOCKED else reopened
        return again(current, now=now, detail=detail)
