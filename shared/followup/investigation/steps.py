"""The steps that investigate: who used a leak, who else changed something, and what stays exposed."""

from dataclasses import dataclass, replace
from typing import ClassVar

from shared.actions.registry import ACTION_SPECS
from shared.cloud.accounts import Accounts
from shared.cloud.logs import UsageLogs
from shared.domain.account import AccountFacts
from shared.domain.changed_by import ChangedBy, Log, Unknown
from shared.domain.others_changes import OthersChange, lookup_due_in, others_change
from shared.domain.pending_steps import needs_residual_check, usage_due_in
from shared.domain.revocation import ForeignChange, Revocation
from shared.domain.target import ActionKind, PolicyTarget
from shared.domain.usage import Usage
from shared.errors import Blocked
from shared.followup.briefing.usage import summary
from shared.followup.incidents.amendments import Amendments
from shared.followup.investigation.changed_by import WhoChanged
from shared.followup.investigation.residual_exposure import ResidualExposure
from shared.followup.step import Done
from shared.persistence.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageStep:
    """Queries the storage logs for use of the leak. What is found later goes into the incident, not into a mail."""

    name: ClassVar[str] = "usage"
    leased: ClassVar[bool] = False

    logs: UsageLogs
    amendments: Amendments
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
            await self.amendments.add(replace(revocation, usage=usage), news=summary(usage))
        changed = await self.store.revocations.change(
            revocation.fingerprint, lambda current: replace(current, usage=usage), what=summary(usage)
        )
        return Done(again=usage_due_in(changed, now=self.store.clock()) if changed is not None else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class WhoChangedStep:
    """Reads in the logs who revoked the leak by hand, or put its policy back. Later news go into the incident."""

    name: ClassVar[str] = "who changed it"
    leased: ClassVar[bool] = False

    who: WhoChanged
    accounts: Accounts
    amendments: Amendments
    store: Store

    def due_in(self, revocation: Revocation) -> float | None:
        """Due when people are notified, and again when the logs have it, if they did not at first."""
        return lookup_due_in(revocation, now=self.store.clock())

    async def run(self, revocation: Revocation) -> Done:
        """Read the logs, and record what they say. Raises SasquashError."""
        change, account = others_change(revocation), revocation.account
        if change is None or account is None:
            return Done()
        found = await self._found(change, account)
        what = ACTION_SPECS[change.execution.action].by_others(change.execution.target, undone=change.is_undoing)
        now = self.store.clock()
        known = ForeignChange(change.known, now, found.said(what), found.unknown)
        noted = replace(revocation, changed_by=known)
        if revocation.changed_by is not None and known.unknown is None:
            await self.amendments.add(noted, news=str(known.said))
        again = lookup_due_in(noted, now=now)
        return Done(lambda current: replace(current, changed_by=known), str(known.said), again=again)

    async def _found(self, change: OthersChange, account: AccountFacts) -> ChangedBy:
        try:
            if change.execution.action is ActionKind.ACCOUNT_KEY:
                current, until = await self.accounts.facts(account), self.store.clock()
                return await self.who.of_key(current, change.execution.target, since=change.since, until=until)
            operation = ACTION_SPECS[change.execution.action].undo_operation
            if operation:
                return await self.who.of_operation(account, operation, since=change.since)
            target = PolicyTarget.parse(change.execution.target)
            return await self.who.of_policy(account, target, since=change.since, own=change.own)
        except Blocked as error:
            return ChangedBy.nobody(Log.ACTIVITY, Unknown.NOT_READABLE, detail=str(error))


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
