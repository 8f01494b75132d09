"""Records of the app's own failures: they are in an incident and a mail, so that no loss goes unnoticed."""

import hashlib
from dataclasses import replace

from shared.containment.verdicts import conclude
from shared.domain.finding import Finding
from shared.domain.pending_steps import unannounced
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.persistence.store import Store

_SOURCE = "sasquash"
_REASONS = frozenset({Reason.UNDELIVERED, Reason.UNREAD, Reason.CRASHED, Reason.TAMPERED})


def is_failure_record(record: Revocation) -> bool:
    """Whether it was written here: the source alone does not say so, since an event may name any."""
    return record.reason in _REASONS and record.finding.source == _SOURCE and record.finding.credential is None


class FailureRecords:
    """Writes such records."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def write(self, kind: str, subject: str, *, reason: Reason, detail: str) -> None:
        """Write the record about `subject`, once. Raises the errors of the store."""
        await self._write(kind, subject, reason=reason, detail=detail)

    async def note(self, kind: str, subject: str, *, reason: Reason, detail: str) -> Revocation:
        """Write the record about `subject`, or what is new about it; return it. Raises the errors of the store."""
        before = await self._write(kind, subject, reason=reason, detail=detail)
        wanted = before.end(reason, now=before.changes[-1].at, detail=detail).detail

        def noted(current: Revocation) -> Revocation | None:
            return replace(current, detail=wanted) if current.detail != wanted else None

        changed = await self._store.revocations.change(before.fingerprint, noted, what=detail)
        return changed or await self._store.revocations.read(before.fingerprint) or before

    async def _write(self, kind: str, subject: str, *, reason: Reason, detail: str) -> Revocation:
        """Write the record unless it stands; return it as it was before."""
        fingerprint = hashlib.sha256(f"{kind}|{subject}".encode(errors="surrogatepass")).hexdigest()
        finding = Finding(fingerprint, None, _SOURCE, None, self._store.clock())
        record, _ = await self._store.revocations.claim_readable(finding)
        if record.state is State.RECEIVED:
            await conclude(self._store, record.end(reason, now=self._store.clock(), detail=detail))
        elif unannounced(record):
            await self._store.queues.follow_up(record.fingerprint)
        return record
