"""The steps that investigate: who used a leak, and what stays exposed after its revocation."""

from dataclasses import dataclass, replace
from typing import ClassVar

from shared.cloud.logs import UsageLogs
from shared.domain.pending_steps import needs_residual_check, usage_due_in
from shared.domain.revocation import Revocation
from shared.domain.usage import Usage
from shared.errors import Blocked
from shared.followup.briefing.build import brief
from shared.followup.briefing.usage import summary
from shared.followup.incidents.sharepoint import Incidents
from shared.followup.investigation.residual_exposure import ResidualExposure
from shared.followup.step import Done
from shared.persistence.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageStep:
    """Queries the storage logs for use of the leak. What is found later goes into the incident, not into a mail."""

    name: ClassVar[str] = "usage"
    leased: ClassVar[bool] = False

    logs: UsageLogs
    incidents: Incidents
    store: Store

    def due_in(self, revocation: Revocation) -> float | None:
        """Due when people are notified, and again when the logs of the revocation are complete."""
        return usage_due_in(revocation, now=self.store.clock())

    async def run(self, revocation: Revocation) -> Done:
        """Query the logs, update the incident, and record the result. Raises SasquashError.

        In this order: once it is recorded, the step is not due any more, and nobody would hear of it.
        """
        if revocation.account is None:
            return Done()
        try:
            usage = await self.logs.of(revocation, revocation.account)
        except Blocked as error:
            usage = Usage(self.store.clock(), unknown=str(error))
        before = revocation.usage
        if before is not None and usage != replace(before, at=usage.at):
            await self._amend(replace(revocation, usage=usage), news=summary(usage))
        changed = await self.store.revocations.change(
            revocation.fingerprint, lambda current: replace(current, usage=usage), what=summary(usage)
        )
        return Done(again=usage_due_in(changed, now=self.store.clock()) if changed is not None else None)

    async def _amend(self, revocation: Revocation, *, news: str) -> None:
        """Update the record's own incident, if there is one."""
        filed, briefing = revocation.filed, brief(revocation, now=self.store.clock())
        if filed is None or filed.shared:
            return
        if filed.sink == self.incidents.name:
            await self.incidents.amend(filed.item_id, briefing, news=news)
        else:  # see IncidentStep; an incident that exists is updated
            await self.incidents.file(briefing)


@dataclass(frozen=True, slots=True)
class ResidualExposureStep:
    """Records what stays exposed although the leak is revoked."""

    name: ClassVar[str] = "residual exposure"
    leased: ClassVar[bool] = False

    exposure: ResidualExposure

    def due_in(self, revocation: Revocation) -> float | None:
        """Due once, after the revocation."""
        return 0 if revocation.account is not None and needs_residual_check(revocation) else None

    async def run(self, revocation: Revocation) -> Done:
        """Check it. Raises TransientFailure."""
        if revocation.account is None:
            return Done()
        remains = await self.exposure.of(revocation, revocation.account)
        return Done(lambda current: replace(current, remains=remains))
