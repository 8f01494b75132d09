"""Step leases: only one instance at a time runs a step of a record. A lease is stored in the record and expires."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from shared.domain.revocation import Revocation, StepLease
from shared.errors import SasquashError
from shared.persistence.store import Store

_log = logging.getLogger(__name__)

LEASE_TIME = timedelta(minutes=2)  # longer than any step takes


@dataclass(frozen=True, slots=True)
class StepLeases:
    """Acquires and releases the leases of one instance of the app."""

    store: Store

    async def acquire(
        self, revocation: Revocation, step: str, *, due: Callable[[Revocation], bool]
    ) -> Revocation | None:
        """Return the record with our lease on `step`; None if another instance holds it or has just done the step."""
        now = self.store.clock()
        lease = StepLease(step, now + LEASE_TIME, self.store.new_id())

        def leased(current: Revocation) -> Revocation | None:
            if lease in current.leases:
                return current  # ours: the answer to a first attempt was lost
            is_held = any(held.step == step and held.until > now for held in current.leases)
            if is_held or not due(current):
                return None
            return replace(current, leases=(*without_lease(current, step).leases, lease))

        return await self.store.revocations.change(revocation.fingerprint, leased, what="", known=revocation)

    async def release(self, revocation: Revocation, step: str) -> None:
        """Release the lease of a step that failed. Raises nothing: a lease that stays expires."""
        try:
            await self.store.revocations.change(
                revocation.fingerprint, lambda current: without_lease(current, step), what=""
            )
        except SasquashError as error:
            _log.warning("The lease on step %s is not released and expires instead: %s", step, error)


def without_lease(revocation: Revocation, step: str) -> Revocation:
    """Return the record without a lease on `step`."""
    return replace(revocation, leases=tuple(lease for lease in revocation.leases if lease.step != step))
