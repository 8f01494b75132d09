"""SAS expiration block action: the account's SAS expiration policy with Block. A person can undo it.

Azure then refuses every SAS that is valid for longer than the policy's period, or that has no start, those that apps
sign tomorrow included; Shared Key requests go on. It revokes nothing: the leak works again once somebody changes the
policy, so the record stays open until the key is regenerated.
ARM: Storage Accounts - Update (2026-09-01), SasPolicy. ARM has no ETag for an account.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import override

from azure.mgmt.storage.models import StorageAccount

from shared.actions import sas_expiration_policy as policies
from shared.actions.action import Executed, Job, services_of, signer
from shared.actions.blocking import BlockingAction
from shared.actions.sas_expiration_check import ExpirationCheck
from shared.actions.sas_expiration_policy import Policy
from shared.actions.sas_expiration_spec import SasExpirationBlockSpec, period_of
from shared.cloud.accounts import AccountRef, sas_policy_of
from shared.domain.account import AccountFacts, AccountKey, SasPolicy
from shared.domain.execution import Execution, LockedDown, Outcome, Verification, VerificationToken
from shared.domain.revocation import Revocation
from shared.domain.target import ActionKind
from shared.errors import Blocked, WrongState
from shared.sas import Service

_UPDATE_TIMEOUT = 20.0  # seconds; with the tries before it within persistence.accounts.EXECUTION_TIME


@dataclass(frozen=True)
class SasExpirationBlockAction(BlockingAction):
    """Sets SAS expiration policies, and undoes it. `keys` lists key1 and key2."""

    spec = SasExpirationBlockSpec()

    check: ExpirationCheck
    keys: Callable[[AccountFacts], Awaitable[Mapping[str, AccountKey]]]

    @override
    async def mint(self, job: Job) -> tuple[VerificationToken, ...]:
        """Return a SAS without a start for each service that the leak is for."""
        return self.check.mint(job.account, services_of(job.record, job.account), key=job.signer.value)

    @override
    def way_back(self, job: Job) -> LockedDown | None:
        """Return the present policy; an earlier attempt's stands. Raises Blocked where it can't be recorded."""
        return job.record.lockdown or LockedDown(
            job.plan.target,
            self.clock(),
            policies.text_of(policies.current(job.account)),
            action=ActionKind.SAS_EXPIRATION_BLOCK,
        )

    @override
    async def execute(self, job: Job, tokens: tuple[VerificationToken, ...]) -> Executed:
        """Set the policy, never to a longer period. A lost answer is reconciled by a read."""
        account, locked, period = job.account, job.record.lockdown, period_of(job.plan.target)
        if locked is None:
            raise ValueError("this action needs its way back")
        if locked.action is not ActionKind.SAS_EXPIRATION_BLOCK:
            raise Blocked(f"The record is of a {locked.name} ({locked.kind}), which has to be undone first.")
        if locked.ineffective_at is not None:
            raise Blocked(f"Azure did not enforce the SAS expiration policy of {account.name} before.")
        standing = self._standing(account, locked, job.plan.target)
        if standing is not None:
            return standing
        current = policies.current(account)
        wanted, correlation_id = policies.blocking(current, period), self.new_id()
        doing = f"Setting the SAS expiration policy of {account.name}"
        accepted = await self.check.before(tokens)
        answer, confirmed_by = await self.changed(
            account,
            _properties(wanted),
            correlation_id,
            doing=doing,
            within=_UPDATE_TIMEOUT,
            is_in_force=lambda found: policies.is_in_force(sas_policy_of(found), period),
        )
        after = sas_policy_of(answer)
        if not policies.is_in_force(after, period):
            raise Blocked(f"{doing}: ARM answered, but it is not in force. Check for an Azure policy.")
        execution = self.execution(job.plan.target, confirmed_by=confirmed_by, correlation_id=correlation_id)
        kept = replace(execution, verification_tokens=_without_secrets(tokens, accepted))
        return Executed(kept, _locked(locked, account, after))

    @override
    def standing(self, account: AccountFacts, locked: LockedDown) -> Executed | None:
        """Return the execution if the policy is in force already, perhaps by an earlier attempt."""
        return self._standing(account, locked, locked.kind)

    @override
    def may_have_run(self, locked: LockedDown) -> bool:
        """Whether a way back is this action's, and Azure has enforced it, and nobody has undone it."""
        return super().may_have_run(locked) and locked.ineffective_at is None and locked.undone_at is None

    def _standing(self, account: AccountFacts, locked: LockedDown, target: str) -> Executed | None:
        """Return the execution if the policy is in force already, perhaps by an earlier attempt."""
        if not policies.is_in_force(account.sas_policy, period_of(target)):
            return None
        unchanged = policies.is_same(policies.current(account), policies.read(locked.before))
        notes = (f"{account.name} had such a policy already: nothing was changed.",) if unchanged else ()
        execution = self.execution(target, confirmed_by="listing", correlation_id=None, notes=notes)
        return Executed(execution, replace(locked, after=policies.text_of(policies.current(account)), undone_at=None))

    @override
    async def verify(self, execution: Execution, account: AccountFacts, record: Revocation) -> Verification:
        """Return whether the policy is in force by ARM, and whether Azure Storage enforces it."""
        found, keys = await self.read(account), await self.keys(account)
        policy, period = sas_policy_of(found), period_of(execution.target)
        undone = self._undone(policy, period, account.name)
        if undone is not None:
            return Verification(Outcome.STILL_ALIVE, self.clock(), (undone,))
        as_is = replace(account, sas_policy=policy)
        longest = self.spec.title(execution.target)
        return await self.check.verify(
            as_is,
            services_of(record, account),
            key=signer(keys, record.key_name).value,
            since=execution.at,
            accepted_before=[token.service for token in execution.verification_tokens if token.accepted_before],
            shown=f"ARM: {account.name} refuses SAS that are valid for longer than {longest} or have no start.",
        )

    @override
    async def undone_by_others(self, execution: Execution, account: AccountFacts) -> str | None:
        """Return that the account's policy is no longer in force, if it is not."""
        return self._undone(account.sas_policy, period_of(execution.target), account.name)

    def _undone(self, policy: SasPolicy | None, period: timedelta, name: str) -> str | None:
        if policies.is_in_force(policy, period):
            return None
        return f"The SAS expiration policy of {name} was changed since: it does not block the leaked credential."

    @override
    async def undo(self, locked: LockedDown, account: AccountRef | AccountFacts) -> LockedDown:
        """Put the earlier policy back, unless somebody changed it since. May be done twice.

        Where there was none, the policy stays with the action Log, which refuses nothing. Raises WrongState where
        somebody changed it; TransientFailure or Blocked.
        """
        before = policies.read(locked.before)
        after = policies.read(locked.after) if locked.after else policies.blocking(before, period_of(locked.kind))
        if locked.undone_at is not None or after is None or policies.is_same(before, after):
            return replace(locked, undone_at=locked.undone_at or self.clock())
        wanted = policies.put_back(before, after)
        current = _raw(await self.read(account))
        if not any(policies.is_same(current, fine) for fine in (before, wanted)):
            if not policies.is_same(current, after):
                raise WrongState(
                    f"The SAS expiration policy of {account.name} was changed since, so it was not put back. Check "
                    "it, and change it by hand if that is right (az storage account update)."
                )
            await self._put_back(wanted, account)
        return replace(locked, undone_at=self.clock())

    async def _put_back(self, wanted: Policy, account: AccountRef | AccountFacts) -> None:
        doing = f"Putting the SAS expiration policy of {account.name} back"
        answer = await self.update(account, _properties(wanted), self.new_id(), doing=doing, within=_UPDATE_TIMEOUT)
        if not policies.is_same(_raw(answer), wanted):
            raise Blocked(f"{doing}: ARM answered, but it is not what it was. Check for an Azure policy.")


def _properties(policy: Policy) -> dict[str, object]:
    return {"sasPolicy": dict(policy)}


def _raw(account: StorageAccount) -> Policy | None:
    policy = (account.as_dict().get("properties") or {}).get("sasPolicy")
    return policy if isinstance(policy, Mapping) else None


def _locked(locked: LockedDown, account: AccountFacts, after: SasPolicy | None) -> LockedDown:
    """Return the way back from here: what somebody changed between two attempts is theirs."""
    known = replace(account, sas_policy=after)
    return replace(
        locked,
        before=policies.text_of(policies.current(account)),
        after=policies.text_of(policies.current(known)),
    )


def _without_secrets(
    tokens: Iterable[VerificationToken], accepted: Iterable[Service]
) -> tuple[VerificationToken, ...]:
    """Return what was tried before, without what could be used: the key that signed it is still valid."""
    known = frozenset(accepted)
    return tuple(replace(token, query="", accepted_before=token.service in known) for token in tokens)
