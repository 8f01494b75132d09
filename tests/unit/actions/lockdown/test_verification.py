"""Whether a lockdown is in effect."""

import pytest

from local.tenant.model import Account
from shared.actions.lockdown import LockdownAction
from shared.cloud.accounts import Accounts
from shared.domain.execution import Outcome
from shared.domain.target import Lockdown
from tests.support import samples
from tests.support.lockdowns import RULES, lock
from tests.support.samples import NOW

both = pytest.mark.parametrize("kind", list(Lockdown))


@both
async def test_lockdown_that_stands_is_proven_by_arm_only(
    action: LockdownAction, accounts: Accounts, kind: Lockdown
) -> None:
    execution, locked = await lock(action, accounts, kind)

    verification = await action.verify(execution, samples.account(), samples.revocation(lockdown=locked))

    assert (verification.outcome, verification.at) == (Outcome.ARM_ONLY, NOW)
    assert verification.evidence[0].startswith("ARM:")
    assert "It revokes nothing" in verification.evidence[-1]


@both
async def test_lockdown_that_somebody_has_undone_keeps_nothing_out(
    action: LockdownAction, accounts: Accounts, account: Account, kind: Lockdown
) -> None:
    execution, locked = await lock(action, accounts, kind)
    account.properties |= {"allowSharedKeyAccess": True, "networkAcls": RULES}

    verification = await action.verify(execution, samples.account(), samples.revocation(lockdown=locked))

    assert verification.outcome is Outcome.STILL_ALIVE
    assert "Somebody has changed it since" in verification.evidence[0]


async def test_rules_that_changed_under_a_lockdown_are_named(
    action: LockdownAction, accounts: Accounts, account: Account
) -> None:
    execution, locked = await lock(action, accounts, Lockdown.NETWORK)
    account.properties["networkAcls"] = account.properties["networkAcls"] | {"bypass": "None", "ipRules": []}

    verification = await action.verify(execution, samples.account(), samples.revocation(lockdown=locked))

    assert verification.outcome is Outcome.ARM_ONLY
    assert verification.evidence[1].startswith("networkAcls.bypass and networkAcls.ipRules changed since")
