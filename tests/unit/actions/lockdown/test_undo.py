"""A lockdown is undone to what was there before, unless somebody changed it since."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from local.tenant.model import Account
from shared.actions.lockdown import LockdownAction
from shared.cloud.accounts import Accounts
from shared.domain.account import AccountFacts
from shared.domain.target import Lockdown
from shared.errors import AccountGone, Blocked, SasquashError, Throttled, TransientFailure, WrongState
from tests.support.arm_transport import Wire, answering
from tests.support.lockdowns import ALREADY, REF, RULES, before, is_open, lock
from tests.support.samples import NOW

both = pytest.mark.parametrize("kind", list(Lockdown))


@both
async def test_undoing_restores_what_was(
    action: LockdownAction, accounts: Accounts, account: Account, kind: Lockdown
) -> None:
    was = await accounts.facts(REF)
    _, locked = await lock(action, accounts, kind)

    undone = await action.undo(locked, REF)

    assert undone == replace(locked, undone_at=NOW)
    assert without_state(await accounts.facts(REF)) == without_state(was)
    assert is_open(account, kind)


def without_state(facts: AccountFacts) -> AccountFacts:
    """The state of a virtual network's rule is set by Azure; the local ARM has none."""
    return replace(facts, network_rules=facts.network_rules.replace(',"state":"Succeeded"', ""))


@both
async def test_undoing_takes_the_account_as_a_record_has_it_too(
    action: LockdownAction, accounts: Accounts, account: Account, kind: Lockdown
) -> None:
    facts = await accounts.facts(REF)
    _, locked = await lock(action, accounts, kind)

    await action.undo(locked, facts)

    assert is_open(account, kind)


@both
async def test_undoing_twice_changes_nothing_more(
    action: LockdownAction, accounts: Accounts, account: Account, wire: Wire, kind: Lockdown
) -> None:
    _, locked = await lock(action, accounts, kind)
    undone = await action.undo(locked, REF)
    account.properties |= ALREADY[kind]

    assert await action.undo(undone, REF) == undone
    assert len(wire.calls) == 2
    assert not is_open(account, kind)


@both
async def test_undoing_whose_answer_was_lost_is_found_done(
    action: LockdownAction, accounts: Accounts, wire: Wire, kind: Lockdown
) -> None:
    _, locked = await lock(action, accounts, kind)
    wire.instead, wire.after = answering(500), True
    with pytest.raises(TransientFailure):
        await action.undo(locked, REF)

    undone = await action.undo(locked, REF)

    assert undone.undone_at == NOW
    assert len(wire.calls) == 2


@both
async def test_what_had_been_locked_before_stays_locked(
    action: LockdownAction, accounts: Accounts, account: Account, wire: Wire, kind: Lockdown
) -> None:
    account.properties |= ALREADY[kind]
    _, locked = await lock(action, accounts, kind)

    undone = await action.undo(locked, REF)

    assert undone.undone_at == NOW
    assert not is_open(account, kind)
    assert wire.calls == []


@both
async def test_where_a_lockdown_changed_nothing_there_is_nothing_to_undo(
    action: LockdownAction, accounts: Accounts, account: Account, wire: Wire, kind: Lockdown
) -> None:
    """The person who had locked it may have opened it by now."""
    account.properties |= ALREADY[kind]
    _, locked = await lock(action, accounts, kind)
    account.properties |= {"allowSharedKeyAccess": True, "networkAcls": RULES}

    assert (await action.undo(locked, REF)).undone_at == NOW
    assert wire.calls == []


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"publicNetworkAccess": "Disabled"}, "publicNetworkAccess"),
        ({"networkAcls": RULES | {"defaultAction": "Deny", "ipRules": []}}, "networkAcls.ipRules"),
        (
            {"networkAcls": RULES | {"defaultAction": "Deny", "bypass": "None", "virtualNetworkRules": []}},
            "networkAcls.bypass and networkAcls.virtualNetworkRules",
        ),
    ],
)
async def test_what_somebody_changed_since_is_named_and_not_undone(
    *, action: LockdownAction, accounts: Accounts, account: Account, wire: Wire, changed: dict[str, Any], named: str
) -> None:
    _, locked = await lock(action, accounts, Lockdown.NETWORK)
    account.properties |= changed

    with pytest.raises(WrongState, match=f"^{named} of robustmodels changed since the lockdown"):
        await action.undo(locked, REF)

    assert len(wire.calls) == 1
    assert account.properties | changed == account.properties


async def test_rules_that_are_only_listed_in_another_order_have_not_changed(
    action: LockdownAction, accounts: Accounts, account: Account
) -> None:
    _, locked = await lock(action, accounts, Lockdown.NETWORK)
    rules = account.properties["networkAcls"]
    account.properties["networkAcls"] = dict(reversed(rules.items())) | {"ipRules": rules["ipRules"][::-1]}

    assert (await action.undo(locked, REF)).undone_at == NOW


async def test_empty_list_of_rules_says_no_more_than_none(
    action: LockdownAction, accounts: Accounts, account: Account
) -> None:
    _, locked = await lock(action, accounts, Lockdown.NETWORK)
    account.properties["networkAcls"]["ipv6Rules"] = []

    assert (await action.undo(locked, REF)).undone_at == NOW


async def test_state_of_a_virtual_network_s_rule_is_no_change(
    action: LockdownAction, accounts: Accounts, account: Account
) -> None:
    _, locked = await lock(action, accounts, Lockdown.NETWORK)
    for rule in account.properties["networkAcls"]["virtualNetworkRules"]:
        rule["state"] = "NetworkSourceDeleted"

    assert (await action.undo(locked, REF)).undone_at == NOW


@both
async def test_lockdown_that_no_answer_confirmed_can_be_undone(
    action: LockdownAction, accounts: Accounts, account: Account, kind: Lockdown
) -> None:
    """The app stopped between the call and the record."""
    recorded = before(action, await accounts.facts(REF), kind)
    await lock(action, accounts, kind)

    assert (await action.undo(recorded, REF)).undone_at == NOW
    assert is_open(account, kind)


@both
async def test_lockdown_that_no_answer_confirmed_leaves_locked_what_had_been(
    action: LockdownAction, accounts: Accounts, account: Account, wire: Wire, kind: Lockdown
) -> None:
    account.properties |= ALREADY[kind]
    recorded = before(action, await accounts.facts(REF), kind)

    assert (await action.undo(recorded, REF)).undone_at == NOW
    assert wire.calls == []


@both
async def test_undoing_that_does_not_take_needs_a_person(
    action: LockdownAction, accounts: Accounts, wire: Wire, kind: Lockdown
) -> None:
    _, locked = await lock(action, accounts, kind)
    properties = {"allowSharedKeyAccess": False, "networkAcls": RULES | {"defaultAction": "Deny"}}
    wire.instead = answering(200, {"location": "westeurope", "properties": properties})

    with pytest.raises(Blocked, match=r"allowSharedKeyAccess|networkAcls\.defaultAction"):
        await action.undo(locked, REF)


@both
async def test_lock_that_came_after_the_lockdown_is_named(
    action: LockdownAction, accounts: Accounts, account: Account, kind: Lockdown
) -> None:
    _, locked = await lock(action, accounts, kind)
    account.locks.append("ReadOnly")

    with pytest.raises(Blocked, match="a ReadOnly lock forbids it"):
        await action.undo(locked, REF)


@pytest.mark.parametrize(
    ("status", "kind"), [(403, Blocked), (404, AccountGone), (500, TransientFailure), (429, Throttled)]
)
async def test_account_that_can_t_be_read_is_not_undone(
    action: LockdownAction, accounts: Accounts, wire: Wire, status: int, kind: type[SasquashError]
) -> None:
    _, locked = await lock(action, accounts, Lockdown.SHARED_KEY)
    wire.instead, wire.on = answering(status, Retry_After="0"), "GET "

    with pytest.raises(kind):
        await action.undo(replace(locked, at=NOW - timedelta(hours=1)), REF)
