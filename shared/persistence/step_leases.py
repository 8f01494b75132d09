"""Who is at a step that must not be done by two at once: claims in the record, which end by themselves."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.revocation import Claim, Revocation
from shared.errors import SasquashError
from shared.persistence.revocations import Ledger

_log = logging.getLogger(__name__)

CLAIM_TIME = timedelta(minutes=2)  # longer than any step takes


class Claims:
    """Takes steps for one worker, and gives them back."""

    def __init__(self, ledger: Ledger, *, clock: Callable[[], datetime], new_id: Callable[[], str]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._new_id = new_id

    async def take(
        self, revocation: Revocation, step: str, *, due: Callable[[Revocation], bool]
    ) -> Revocation | None:
        """Take a step for ourselves; None when another worker has it, or has just done it."""
        now = self._clock()
        claim = Claim(step, now + CLAIM_TIME, self._new_id())

        def take(current: Revocation) -> Revocation | None:
            if claim in current.claims:
                return current  # ours: the answer to a first attempt was lost
            taken = any(held.step == step and held.until > now for held in current.claims)
            if taken or not due(current):
                return None
            return replace(unclaimed(current, step), claims=(*unclaimed(current, step).claims, claim))

        return await self._ledger.change(revocation.fingerprint, take, what="", known=revocation)

    async def give_back(self, revocation: Revocation, step: str) -> None:
        """Give a step back that was not done."""
        try:
            await self._ledger.change(revocation.fingerprint, lambda current: unclaimed(current, step), what="")
        except SasquashError as error:
            # The claim ends by itself; the failure that brought us here is the one to report.
            _log.warning("The claim on step %s stays until it ends: %s", step, error)


def unclaimed(revocation: Revocation, step: str) -> Revocation:
    """Return the record without any claim on `step`."""
    return replace(revocation, claims=tuple(claim for claim in revocation.claims if claim.step != step))
