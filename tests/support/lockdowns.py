"""Lockdowns of the sample account: what they are run on, and short ways to run, settle and undo them."""

from dataclasses import replace
from typing import Any

from local.tenant.model import Account
from shared.actions.action import Executed, Interrupted
from shared.actions.lockdown import LockdownAction
from shared.cloud.accounts import AccountRef, Accounts
from shared.domain.account import AccountFacts
from shared.domain.execution import Execution, LockedDown, Plan
from shared.domain.target import ActionKind, Lockdown
from shared.persistence.account_rows import Attributed, Intent
from tests.support import samples
from tests.support.jobs import job
from tests.support.samples import ACCOUNT, ACCOUNT_ID, NOW, SUBSCRIPTION

CORRELATION_ID = "11111111-2222-4333-8444-555555555555"
PATCH = "PATCH https://management.azure.com"
REF = AccountRef(ACCOUNT_ID, ACCOUNT, SUBSCRIPTION, "research", frozenset())
SUBNET = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/v/subnets/build"
)
INSTANCE = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/x/providers/Microsoft.Synapse/workspaces/w"
RULES: dict[str, Any] = {
    "bypass": "Logging, Metrics",
    "defaultAction": "Allow",
    "ipRules": [{"value": "203.0.113.0/24", "action": "Allow"}, {"value": "198.51.100.7", "action": "Allow"}],
    "virtualNetworkRules": [{"id": SUBNET, "action": "Allow", "state": "Succeeded"}],
    "resourceAccessRules": [{"tenantId": samples.ENVIRONMENT["SASQUASH_TENANT_ID"], "resourceId": INSTANCE}],
}
ALREADY = {
    Lockdown.SHARED_KEY: {"allowSharedKeyAccess": False},
    Lockdown.NETWORK: {"networkAcls": RULES | {"defaultAction": "Deny"}},
}


def plan(kind: Lockdown) -> Plan:
    return replace(samples.plan(), action=ActionKind.LOCKDOWN, target=kind, version="")


def is_open(account: Account, kind: Lockdown) -> bool:
    if kind is Lockdown.SHARED_KEY:
        return account.properties["allowSharedKeyAccess"] is not False
    return bool(account.properties["networkAcls"]["defaultAction"] == "Allow")


def before(action: LockdownAction, facts: AccountFacts, kind: Lockdown) -> LockedDown:
    way_back = action.way_back(job(plan(kind), facts))
    assert way_back is not None
    return way_back


async def execute(
    action: LockdownAction, facts: AccountFacts, locked: LockedDown, kind: Lockdown | None = None
) -> tuple[Execution, LockedDown]:
    record = samples.revocation(lockdown=locked)
    executed = await action.execute(job(plan(kind or locked.kind), facts, record=record), ())
    assert executed.lockdown is not None
    return executed.execution, executed.lockdown


async def settled(action: LockdownAction, facts: AccountFacts, locked: LockedDown) -> Executed | None:
    """What the account shows to the next holder of the lock, if the lock names the lockdown, and if it does not."""
    record = samples.revocation(lockdown=locked)
    noted = Attributed(record.fingerprint, ActionKind.LOCKDOWN, locked.kind, "")
    intent = Intent("1", record.fingerprint, NOW, NOW)
    left = Interrupted(predecessor=intent, account=facts, keys={}, rotations=(), noted=(record,), others=())
    unnoted = action.settle_unnoted(replace(left, noted=(), others=(record,)))
    executed = await action.settle(noted, left)
    assert (unnoted.executed if unnoted is not None else None) == executed
    return executed


async def lock(action: LockdownAction, accounts: Accounts, kind: Lockdown) -> tuple[Execution, LockedDown]:
    facts = await accounts.facts(REF)
    return await execute(action, facts, before(action, facts, kind))
