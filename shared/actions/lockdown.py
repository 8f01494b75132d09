"""Lockdown action: shared key access off, or access from public networks closed. A person can undo it.

It revokes nothing: a leaked credential is kept out only while the lockdown is in force.
ARM: Storage Accounts - Update (2026-09-01). Microsoft Learn: "Prevent Shared Key authorization for an Azure Storage
account", "Azure Storage firewall rules". ARM has no ETag for an account, so a network rule that somebody changes
between our reading and our writing is lost; what changed before or after that is kept.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import override

from azure.mgmt.storage.models import StorageAccount

from shared.actions import lockdown_settings as settings
from shared.actions.action import Executed, Job
from shared.actions.blocking import BlockingAction
from shared.actions.lockdown_settings import Properties
from shared.cloud.accounts import Access, AccountRef
from shared.domain.account import AccountFacts
from shared.domain.decision.action_spec import NOTIFY, ActionSpec, StateText, Tone
from shared.domain.decision.attribution import Verdict
from shared.domain.decision.snapshot import Snapshot
from shared.domain.execution import Execution, LockedDown, Outcome, Plan, Verification, VerificationToken
from shared.domain.revocation import Revocation
from shared.domain.target import ActionKind, InvalidTarget, Lockdown
from shared.domain.text import Code, Line, RichText
from shared.errors import Blocked, WrongState

_UPDATE_TIMEOUT = 25.0  # seconds; within persistence.accounts.EXECUTION_TIME

_NOT_REVOKED = "It revokes nothing: the leaked credential works again as soon as the lockdown is undone."
_LOCKED = (
    "The account was locked down to keep the {what} out. That revokes nothing: it works again once the lockdown is "
    "undone.{others}"
)
_IMPACT = {
    Lockdown.SHARED_KEY: (
        "Everything that uses a key of {account}, either one: connection strings, Shared Key requests, and every "
        "account SAS and service SAS, on all services.",
        "Function apps, Logic Apps, linked services and mounts that were configured with a key of {account} "
        "(AzureWebJobsStorage and similar).",
        "It does not stop user delegation SAS, nor access with Entra ID: a leaked user delegation SAS still works.",
        _NOT_REVOKED,
    ),
    Lockdown.NETWORK: (
        "Everybody who uses {account} over public networks, with any credential: people, partners, web sites, build "
        "agents, and Azure services that are not trusted services.",
        "It does not stop access by a private endpoint, from a virtual network or an address that the account's "
        "rules allow, as a resource that they name, or as a trusted Azure service: from there the leaked credential "
        "still works.",
        _NOT_REVOKED,
    ),
}
_SHOWN = {
    Lockdown.SHARED_KEY: (
        "ARM: allowSharedKeyAccess of {account} is false, so Azure refuses whatever its keys sign.",
        "ARM: shared key access of {account} is allowed again. Somebody has changed it since the lockdown.",
    ),
    Lockdown.NETWORK: (
        "ARM: the network rules of {account} deny all access that they do not name.",
        "ARM: {account} is open to public networks again. Somebody has changed it since the lockdown.",
    ),
}

_STATES = MappingProxyType(
    {
        ("contained", None): StateText("locked down, not revoked", Tone.PENDING, _LOCKED),
        ("proven", None): StateText("locked down, not revoked", Tone.PENDING, _LOCKED),
        ("closed", None): StateText(
            "closed",
            Tone.DONE,
            "The case of the {what} is closed: reported. It was answered with a lockdown, which revokes nothing.",
        ),
        ("failed", "still_alive"): StateText(
            "FAILED, open again",
            Tone.LIVE,
            "The lockdown that kept the {what} out is NO LONGER IN FORCE. A person has to stop it now.",
        ),
    }
)


class LockdownSpec(ActionSpec):
    """The texts and rules of a lockdown."""

    kind = ActionKind.LOCKDOWN
    state_texts = _STATES
    standing_text = "The account stays locked down until the lockdown is undone."
    still_accepted_text = "Check in the activity log who opened the account again, and revoke the credential itself."

    def check_target(self, target: str) -> None:
        """Return for shared_key and network. Raises InvalidTarget."""
        if target not in list(Lockdown):
            raise InvalidTarget("the target of lockdown is shared_key or network")

    def version(self, snapshot: Snapshot, target: str) -> str:
        """Return the SHA-256 (hex) of how open the account is now."""
        account = snapshot.account
        if target == Lockdown.SHARED_KEY:
            state = f"allowSharedKeyAccess={account.shared_key_access}"
        else:
            state = f"publicNetworkAccess={account.public_network_access}|networkAcls={account.network_rules}"
        return hashlib.sha256(state.encode()).hexdigest()

    def impact(self, account: AccountFacts, target: str) -> tuple[str, ...]:
        """Return who is kept out, and who is not."""
        return tuple(line.format(account=account.name) for line in _IMPACT[Lockdown(target)])

    def steps(self, account: AccountFacts, target: str) -> tuple[str, ...]:
        """Return the steps, first what makes it possible to undo the lockdown."""
        locked = (
            f"Switch shared key access to {account.name} off."
            if target == Lockdown.SHARED_KEY
            else f"Close {account.name} to public networks; its own network rules stay as they are."
        )
        return (
            f"Record the present access settings of {account.name}, so that the lockdown can be undone.",
            locked,
            "Read the settings back from ARM to verify it.",
            NOTIFY,
            "Have the credential itself revoked before a person undoes the lockdown: it works again from then on.",
        )

    @override
    def ends(self, plan: Plan, verdict: Verdict, own_plan: Plan | None) -> bool:
        """Return False: a lockdown revokes nothing."""
        return False

    def done(self, target: str, account: str) -> str:
        """Return what was locked."""
        if target == Lockdown.SHARED_KEY:
            return f"Shared key access of {account} was switched off."
        return f"{account} was closed to public networks."

    def used(self, target: str) -> str:
        """Return the way in that is closed."""
        if target == Lockdown.SHARED_KEY:
            return "the account's keys, or what they signed,"
        return "the account from public networks"

    def if_shared_key_is_off(self, target: str) -> str:
        """Return that there is nothing left to switch off; empty for the lockdown of the network."""
        return "Shared key access to the account is off already." if target == Lockdown.SHARED_KEY else ""

    @override
    def recovery(self, revocation: Revocation, execution: Execution) -> tuple[Line, ...]:
        """Return what to do before the lockdown is undone, and how to undo it."""
        if revocation.lockdown is not None and revocation.lockdown.undone_at is not None:
            return ("The lockdown was undone. Revoke the credential itself, unless that was done: nothing stops it.",)
        return (
            "Revoke the credential itself before the lockdown is undone: until then it is only kept out.",
            RichText.of("To undo it: ", Code(f"POST /api/revocations/{revocation.fingerprint}/undo-lockdown"), "."),
        )


@dataclass(frozen=True)
class LockdownAction(BlockingAction):
    """Locks accounts down, and undoes it."""

    spec = LockdownSpec()

    @override
    def way_back(self, job: Job) -> LockedDown | None:
        """Return the present settings; an earlier attempt's stand. Raises Blocked where they can't be recorded."""
        kind = Lockdown(job.plan.target)
        return job.record.lockdown or LockedDown(
            kind, self.clock(), settings.text_of(settings.current(job.account, kind))
        )

    @override
    async def execute(self, job: Job, tokens: tuple[VerificationToken, ...]) -> Executed:
        """Lock the account down. One that is locked already stays as it is. A lost answer is reconciled by a read."""
        kind, account, locked = Lockdown(job.plan.target), job.account, job.record.lockdown
        if locked is None:
            raise ValueError("a lockdown needs its way back")
        if (locked.action, locked.kind) != (ActionKind.LOCKDOWN, kind):
            raise Blocked(f"The record is of another {locked.name} ({locked.kind}), which has to be undone first.")
        standing = self.standing(account, locked)
        if standing is not None:
            return standing
        current = settings.current(account, kind)
        correlation_id = self.new_id()
        doing = f"Locking {account.name} down ({kind})"
        answer, confirmed_by = await self.changed(
            account,
            settings.change(settings.locked(kind, current)),
            correlation_id,
            doing=doing,
            within=_UPDATE_TIMEOUT,
            is_in_force=lambda found: settings.is_locked(kind, _properties(found, kind)),
        )
        after = _properties(answer, kind)
        if not settings.is_locked(kind, after):
            raise Blocked(f"{doing}: ARM answered, but it is still open. Check for an Azure policy that opens it.")
        execution = self.execution(kind, confirmed_by=confirmed_by, correlation_id=correlation_id)
        return Executed(execution, replace(locked, before=settings.text_of(current), after=settings.text_of(after)))

    @override
    def standing(self, account: AccountFacts, locked: LockedDown) -> Executed | None:
        """Return the execution if `account` is locked already, perhaps by an earlier attempt. Raises Blocked."""
        kind = Lockdown(locked.kind)
        current = settings.current(account, kind)
        if not settings.is_locked(kind, current):
            return None
        unchanged = not settings.differences(current, json.loads(locked.before))
        notes = (f"{account.name} was locked already: nothing was changed.",) if unchanged else ()
        execution = self.execution(kind, confirmed_by="listing", correlation_id=None, notes=notes)
        return Executed(execution, replace(locked, after=settings.text_of(current)))

    @override
    async def verify(self, execution: Execution, account: AccountFacts, record: Revocation) -> Verification:
        """Return whether the lockdown is in force, by ARM. Raises TransientFailure or Blocked."""
        locked = record.lockdown
        if locked is None:
            raise Blocked("The record does not say how the account was before its lockdown. Check it in ARM.")
        kind = Lockdown(execution.target)
        current = _properties(await self.read(account), kind)
        shown, gone = (line.format(account=account.name) for line in _SHOWN[kind])
        if not settings.is_locked(kind, current):
            return Verification(Outcome.STILL_ALIVE, self.clock(), (gone,))
        changed = settings.differences(current, json.loads(locked.after)) if locked.after else ()
        by_hand = (
            (f"{' and '.join(changed)} changed since: the lockdown can only be undone by hand.",) if changed else ()
        )
        return Verification(Outcome.ARM_ONLY, self.clock(), (shown, *by_hand, _NOT_REVOKED))

    @override
    async def undo(self, locked: LockedDown, account: AccountRef | AccountFacts) -> LockedDown:
        """Put back what the lockdown changed; what had been locked before it stays so. May be done twice.

        Raises WrongState where somebody changed the account since; TransientFailure or Blocked.
        """
        kind, before = Lockdown(locked.kind), json.loads(locked.before)
        after = json.loads(locked.after) if locked.after else settings.locked(kind, before)
        if locked.undone_at is not None:
            return locked
        if settings.differences(before, after):
            await self._put_back(kind, before, after, account)
        return replace(locked, undone_at=self.clock())

    async def _put_back(
        self,
        kind: Lockdown,
        before: Properties,
        after: Properties,
        account: AccountRef | AccountFacts,
    ) -> None:
        current = _properties(await self.read(account), kind)
        if not settings.differences(current, before):
            return
        changed = settings.differences(current, after)
        if changed:
            raise WrongState(
                f"{' and '.join(changed)} of {account.name} changed since the lockdown, so it was not undone. "
                "Check the account, and open it by hand if that is right (az storage account update)."
            )
        doing = f"Undoing the lockdown ({kind}) of {account.name}"
        answer = await self.update(
            account, settings.change(before), self.new_id(), doing=doing, within=_UPDATE_TIMEOUT
        )
        left = settings.differences(_properties(answer, kind), before)
        if left:
            raise Blocked(
                f"{doing}: ARM answered, but {' and '.join(left)} is not what it was. Check for an Azure policy."
            )


def _properties(account: StorageAccount, kind: Lockdown) -> Properties:
    return settings.properties_of(kind, Access.of(account))
