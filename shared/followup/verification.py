"""The step that verifies that what was revoked is no longer accepted."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import ClassVar

from shared.actions.registry import Actions
from shared.domain.execution import Outcome, Verification
from shared.domain.pending_steps import awaits_verification, can_be_decided_anew, with_verification
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.followup.step import Done
from shared.persistence.store import Store

_UNTIL_WRITTEN = 5.0  # seconds; the sweep finds a record that took longer
_ARM_LAG = timedelta(minutes=2)  # how long ARM's list of keys may lag behind ARM's own answer


@dataclass(frozen=True, slots=True)
class VerificationStep:
    """Asks Azure whether the revoked credential is still accepted, until the answer is clear."""

    name: ClassVar[str] = "verification"
    leased: ClassVar[bool] = False

    actions: Actions
    store: Store

    def due_in(self, revocation: Revocation) -> float | None:
        """Due once an action was executed."""
        is_due = awaits_verification(revocation) and revocation.execution and revocation.account
        return 0 if is_due else None

    async def run(self, revocation: Revocation) -> Done:
        """Verify once. Raises SasquashError."""
        execution = revocation.execution
        if execution is None:
            return Done()
        verification = await self.actions.verify(revocation)
        waited = self.store.clock() - execution.at
        if verification.outcome is Outcome.PENDING:
            return _pending(revocation, verification, again=min(2.0 + waited.total_seconds() / 4, 30.0))
        if verification.outcome is Outcome.STILL_ALIVE and waited < _ARM_LAG:
            return Done(again=5.0)
        if verification.outcome is Outcome.NOT_ENFORCED and can_be_decided_anew(revocation):
            # Before it is written: should this instance stop then, containment goes on with what was written.
            await self.store.accounts.add_waiting(revocation.to_weigh)
            await self.store.queues.contain(revocation.fingerprint, delay=_UNTIL_WRITTEN)
        return Done(lambda current: with_verification(current, verification), " ".join(verification.evidence))


def _pending(revocation: Revocation, verification: Verification, *, again: float) -> Done:
    """Record what the data plane answers meanwhile: for people, and for when the verification tokens have expired."""
    known = revocation.verification
    if known is not None and known.evidence == verification.evidence:
        return Done(again=again)

    def change(current: Revocation) -> Revocation | None:
        return replace(current, verification=verification) if current.state is State.CONTAINED else None

    return Done(change, again=again)
