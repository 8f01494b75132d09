"""Impact of a lockdown, and the settings that are recorded so that it can be undone."""

import json
from dataclasses import replace

import pytest

from shared.actions.lockdown import LockdownAction, LockdownSpec
from shared.cloud.accounts import Accounts
from shared.domain.target import Lockdown
from shared.errors import Blocked
from tests.support import samples
from tests.support.lockdowns import REF, RULES, SUBNET, before
from tests.support.samples import ACCOUNT

both = pytest.mark.parametrize("kind", list(Lockdown))


@both
def test_impact_names_the_account(kind: Lockdown) -> None:
    lines = LockdownSpec().impact(samples.account(), kind)

    assert ACCOUNT in lines[0]
    assert not any("{" in line for line in lines)


@both
def test_impact_says_that_a_lockdown_revokes_nothing(kind: Lockdown) -> None:
    assert any(
        "works again as soon as the lockdown is undone" in line
        for line in LockdownSpec().impact(samples.account(), kind)
    )


def test_impact_says_that_a_key_lockdown_does_not_stop_user_delegation_sas() -> None:
    lines = LockdownSpec().impact(samples.account(), Lockdown.SHARED_KEY)

    assert any(line.startswith("It does not stop user delegation SAS") for line in lines)


def test_impact_names_the_ways_that_a_network_lockdown_leaves_open() -> None:
    [line] = [
        line
        for line in LockdownSpec().impact(samples.account(), Lockdown.NETWORK)
        if line.startswith("It does not stop")
    ]

    assert all(way in line for way in ("private endpoint", "virtual network", "address", "trusted Azure service"))


async def test_way_back_is_what_arm_said_before(action: LockdownAction, accounts: Accounts) -> None:
    facts = await accounts.facts(REF)
    keys, network = (before(action, facts, kind) for kind in Lockdown)

    assert (json.loads(keys.before), keys.after, keys.undone_at) == ({"allowSharedKeyAccess": True}, "", None)
    assert json.loads(network.before)["publicNetworkAccess"] == "Enabled"
    assert json.loads(network.before)["networkAcls"] == RULES | {
        "virtualNetworkRules": [{"id": SUBNET, "action": "Allow"}]
    }


def test_network_rules_that_could_not_be_put_back_are_left_alone(action: LockdownAction) -> None:
    unknown = replace(samples.account(), network_rules="")

    with pytest.raises(Blocked, match="by hand"):
        before(action, unknown, Lockdown.NETWORK)


def test_account_without_network_rules_is_one_that_lets_everybody_in(action: LockdownAction) -> None:
    locked = before(action, replace(samples.account(), network_rules="{}"), Lockdown.NETWORK)

    assert json.loads(locked.before)["networkAcls"] == {"defaultAction": "Allow"}
