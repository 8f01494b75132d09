"""Contains a leak whose record this version can't read: under a record that stands in for it (decision 55).

A report must not be lost because of a row, and a leak that waits for containment must not wait for the next version.
If the leak was dealt with already, its signature shows that, and nothing is revoked twice. Only one thing can't be
found out again: that people rejected its plan. Then a person decides anew.
"""

import logging
from dataclasses import dataclass

from shared.containment.verdicts import conclude
from shared.domain.finding import Finding
from shared.domain.stand_in import fingerprint_of, stand_in
from shared.domain.states import Reason, State
from shared.persistence.store import Store

_log = logging.getLogger(__name__)

_REJECTED = (
    "The leak was reported again. Its own record can't be read by this version, and people had rejected its plan, so "
    "nothing was done. If that no longer holds, retry this record, and it is decided on again."
)


@dataclass(frozen=True, slots=True)
class StandIns:
    """Finds what is to be contained in place of a leak whose record can't be read."""

    store: Store

    async def of_report(self, finding: Finding) -> Finding | None:
        """Return the finding to contain for one that was reported; None where only a person may decide.

        That one is notified. Raises the errors of the store; UnreadableRow where the record that stands in can't be
        read either.
        """
        _log.warning("Contained under a record that stands in: %s can't be read.", finding.fingerprint[:12])
        await self.store.accounts.remove_waiting(finding)
        remnant = await self.store.revocations.left_of(finding.fingerprint)
        instead = stand_in(finding)
        if remnant.reason != Reason.REJECTED:
            return instead
        record, _ = await self.store.revocations.claim(instead)
        if record.state is State.RECEIVED:
            await conclude(self.store, record.end(Reason.CRASHED, now=self.store.clock(), detail=_REJECTED))
        return None

    async def of_record(self, fingerprint: str) -> Finding | None:
        """Return the finding of a record that still waits for containment; None if it does not, or another one does.

        A record that does not even say that is in the readiness, where people see it.
        """
        remnant = await self.store.revocations.left_of(fingerprint)
        finding = remnant.finding
        if remnant.state != State.RECEIVED or finding is None or finding.credential is None:
            return None
        known = await self.store.revocations.readable(fingerprint_of(fingerprint))
        return finding if known is None else None
