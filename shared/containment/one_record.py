"""Sees to it that a secret has one record, whatever addresses its reports give it.

The record of the first report has it. A report for another address has a record of its own, too, since its sender has
the id of that: it says which one decides. The address is tried there.
"""

import logging
from dataclasses import dataclass

from shared.containment.repeated_reports import RepeatedReports
from shared.containment.verdicts import conclude
from shared.domain.finding import Finding
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.errors import TransientFailure
from shared.persistence.secret_index import SecretIndex
from shared.persistence.store import Store

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OneRecord:
    """Joins reports of one secret."""

    store: Store
    secrets: SecretIndex
    repeats: RepeatedReports

    async def of(self, finding: Finding) -> str:
        """Return the fingerprint of the record that a finding's secret has: its own, or an earlier one."""
        return await self.secrets.record_of(finding)

    async def joined(self, record: Revocation, finding: Finding, *, first: str) -> Revocation:
        """Return the record that decides on a leak: `record`, which is its own, or `first`, with the report noted.

        `record` ends as its duplicate then. Raises TransientFailure where an address could not be noted: report it
        again.
        """
        if first == record.fingerprint or not _may_join(record):
            return record
        known = await self.store.revocations.readable(first)
        if known is None or known.reason is Reason.DUPLICATE:
            _log.info("The secret of %s has no other record that can be read.", record.fingerprint[:12])
            await self.secrets.take_over(record.finding)
            return record
        report = finding.read_for(known.finding)
        joined = await self.repeats.join(known, report)
        await self.repeats.keep_left_out(joined, report, before=known)
        if joined.has_new_places(report):
            raise TransientFailure(f"Record {first[:12]} has too many addresses to try now. Report it again.")
        if record.state is State.RECEIVED:
            await conclude(self.store, record.duplicate(first, now=self.store.clock()))
        return joined


def _may_join(record: Revocation) -> bool:
    return record.state is State.RECEIVED or record.reason is Reason.DUPLICATE
