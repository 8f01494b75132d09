"""A lockdown is run once, and settled by reading after a lost answer."""

import json
from typing import Any

import pytest

from local.tenant.model import Account
from shared.actions.lockdown import LockdownAction
from shared.cloud.accounts import Accounts
from shared.domain.execution import Execution
from shared.domain.target import ActionKind, Lockdown
from shared.errors import Blocked, TransientFailure
from tests.support.arm_transport import Wire, answering
from tests.support.lockdowns import (
    ALREADY,
    CORRELATION_ID,
    REF,
    RULES,
    SUBNET,
    before,
    execute,
    is_open,
    lock,
    settled,
)
from tests.support.samples import NOW

both = pytest.mark.parametrize("kind", list(Lockdown))


@both
async def test_account_is_locked(
    action: LockdownAction, accounts: Accounts, account: Account, kind: Lockdown
) -> None:
    await lock(action, accounts, kind)

    assert not is_open(account, kind)


@both
async def test_one_lockdown_is_not_the_other(
    action: LockdownAction, accounts: Accounts, account: Account, kind: Lockdown
) -> None:
    await lock(action, accounts, kind)

    assert [is_open(account, other) for other in Lockdown if other is not kind] == [True]


async def test_closed_network_keeps_its_rules(action: LockdownAction, accounts: Accounts, account: Account) -> None:
    await lock(action, accounts, Lockdown.NETWORK)

    after = json.loads((await accounts.facts(REF)).network_rules)
    assert [after[name] for name in ("bypass", "ipRules", "resourceAccessRules")] == [
        RULES[name] for name in ("bypass", "ipRules", "resourceAccessRules")
    ]
    assert [rule["id"] for rule in after["virtualNetworkRules"]] == [SUBNET]


async def test_what_a_lockdown_is_not_about_is_not_sent(
    action: LockdownAction, accounts: Accounts, wire: Wire
) -> None:
    await lock(action, accounts, Lockdown.SHARED_KEY)
    await lock(action, accounts, Lockdown.NETWORK)

    sent = [json.loads(body) for method, _, body in wire.sent if method == "PATCH"]
    assert [list(body["properties"]) for body in sent] == [["allowSharedKeyAccess"], ["networkAcls"]]


@both
async def test_execution_records_what_was_done(action: LockdownAction, accounts: Accounts, kind: Lockdown) -> None:
    execution, locked = await lock(action, accounts, kind)

    assert execution == Execution(ActionKind.LOCKDOWN, kind, NOW, "", "", "answer", CORRELATION_ID)
    assert (locked.kind, locked.undone_at) == (kind, None)
    assert locked.before != locked.after


@both
async def test_correlation_id_of_the_record_is_sent_to_arm(
    action: LockdownAction, accounts: Accounts, wire: Wire, kind: Lockdown
) -> None:
    await lock(action, accounts, kind)

    [request] = wire.calls
    assert request.headers["x-ms-correlation-request-id"] == CORRELATION_ID


@pytest.mark.parametrize(
    ("kind", "properties"), [*ALREADY.items(), (Lockdown.NETWORK, {"publicNetworkAccess": "Disabled"})]
)
async def test_what_is_locked_already_is_left_as_it_is(
    *,
    action: LockdownAction,
    accounts: Accounts,
    account: Account,
    wire: Wire,
    kind: Lockdown,
    properties: dict[str, Any],
) -> None:
    account.properties |= properties

    execution, locked = await lock(action, accounts, kind)

    assert wire.calls == []
    assert locked.before == locked.after
    assert (execution.confirmed_by, execution.correlation_id) == ("listing", None)
    assert execution.notes == ("robustmodels was locked already: nothing was changed.",)


@both
async def test_lockdown_whose_answer_was_lost_is_settled_by_reading(
    action: LockdownAction, accounts: Accounts, wire: Wire, kind: Lockdown
) -> None:
    wire.instead, wire.after = answering(503), True
    recorded = before(action, await accounts.facts(REF), kind)

    execution, locked = await execute(action, await accounts.facts(REF), recorded)

    assert len(wire.calls) == 1
    assert (execution.confirmed_by, execution.notes, locked.before) == ("listing", (), recorded.before)
    assert locked.after not in ("", locked.before)


@both
async def test_lockdown_whose_answer_was_lost_and_that_can_t_be_read_may_have_happened(
    action: LockdownAction, accounts: Accounts, wire: Wire, kind: Lockdown
) -> None:
    facts = await accounts.facts(REF)
    recorded = before(action, facts, kind)
    wire.instead, wire.after, wire.on = answering(503), True, ""

    with pytest.raises(TransientFailure) as failed:
        await execute(action, facts, recorded)

    assert not failed.value.had_no_effect


@both
async def test_lockdown_of_which_no_answer_came_is_found_standing(
    action: LockdownAction, accounts: Accounts, kind: Lockdown
) -> None:
    facts = await accounts.facts(REF)
    recorded = before(action, facts, kind)
    assert await settled(action, facts, recorded) is None
    _, locked = await execute(action, facts, recorded)

    standing = await settled(action, await accounts.facts(REF), recorded)

    assert standing is not None
    assert (standing.execution.confirmed_by, standing.lockdown) == ("listing", locked)


async def test_way_back_of_a_lockdown_that_never_happened_is_read_again(
    action: LockdownAction, accounts: Accounts, account: Account
) -> None:
    earlier = before(action, await accounts.facts(REF), Lockdown.NETWORK)
    account.properties["networkAcls"]["ipRules"] = []

    _, locked = await execute(action, await accounts.facts(REF), earlier)

    assert json.loads(locked.before)["networkAcls"]["ipRules"] == []


async def test_way_back_from_one_lockdown_is_not_taken_for_another_s(
    action: LockdownAction, accounts: Accounts, wire: Wire
) -> None:
    facts = await accounts.facts(REF)

    with pytest.raises(Blocked, match="another lockdown"):
        await execute(action, facts, before(action, facts, Lockdown.SHARED_KEY), Lockdown.NETWORK)

    assert wire.calls == []
