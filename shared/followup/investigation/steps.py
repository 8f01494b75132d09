"""Two steps of the follow-up that only look: who used a leak, and what stays open now that it is dead."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from shared.cloud.logs import UsageLogs
from shared.domain.pending_steps import remains_unseen, usage_in
from shared.domain.revocation import Revocation
from shared.domain.usage import Usage
from shared.errors import Blocked
from shared.followup.briefing.build import brief
from shared.followup.incidents.sharepoint import Incidents
from shared.followup.investigation.residual_exposure import Remaining
from shared.followup.investigation.usage_text import summary
from shared.persistence.revocations import Ledger


class Investigation:
    """Looks, and writes what it saw into the record. Each returns in how many seconds to look again, or None."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        incidents: Callable[[], Incidents],
        usage: UsageLogs,
        remaining: Remaining,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._incidents = incidents
        self._usage = usage
        self._remaining = remaining
        self._clock = clock

    async def look_at_usage(self, revocation: Revocation) -> float | None:
        """Ask the logs what the leak was used for. What is found later on is put into the incident, not mailed.

        Raises TransientFailure.
        """
        left, account = usage_in(revocation, now=self._clock()), revocation.account
        if left is None or left > 0 or account is None:
            return left
        try:
            usage = await self._usage.of(revocation, account)
        except Blocked as error:
            usage = Usage(self._clock(), unknown=str(error))
        changed = await self._ledger.change(
            revocation.fingerprint, lambda current: replace(current, usage=usage), what=summary(usage)
        )
        if changed is None:
            return None
        if changed.filed is not None and revocation.usage is not None:
            await self._incidents().update(changed.filed.item_id, brief(changed, now=self._clock()))
        return usage_in(changed, now=self._clock())

    async def look_at_what_remains(self, revocation: Revocation) -> float | None:
        """Note what stays open although the leak is dead. Raises TransientFailure."""
        account = revocation.account
        if account is None or not remains_unseen(revocation):
            return None
        remains = await self._remaining.of(revocation, account)
        await self._ledger.change(revocation.fingerprint, lambda current: replace(current, remains=remains), what="")
        return None
