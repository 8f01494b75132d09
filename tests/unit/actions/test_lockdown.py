"""The lockdown action, through the real management client, against the local ARM in process."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import ClientOSError
from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError
from azure.mgmt.storage.aio import StorageManagementClient
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.types import ASGIApp

from local.arm import service
from local.entra.service import Entra
from local.tenant import identities
from local.tenant.model import Account, Cloud
from shared.actions import lockdown
from shared.actions.action import Executed, Interrupted
from shared.actions.lockdown import LockdownAction, LockdownSpec
from shared.cloud.accounts import AccountRef, Accounts
from shared.domain.account import AccountFacts
from shared.domain.revocation import Execution, LockedDown, Outcome, Plan
from shared.domain.target import ActionKind, Lockdown
from shared.errors import AccountGone, Blocked, SasquashError, Throttled, TransientFailure, WrongState
from shared.persistence.accounts import Attributed, Intent
from tests.support import samples
from tests.support.arm_transport import NO_CONNECTION, Wire, answering
from tests.support.asgi import Credential
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
both = pytest.mark.parametrize("kind", list(Lockdown))


@pytest.fixture(scope="module")
def entra_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def account() -> Account:
    made = Account(name=ACCOUNT, resource_group="research")
    made.properties["networkAcls"] = json.loads(json.dumps(RULES))
    return made


@pytest.fixture
def cloud(account: Account) -> Cloud:
    return Cloud(accounts={ACCOUNT: account}, identities=identities.directory())


@pytest.fixture
def entra(cloud: Cloud, entra_key: rsa.RSAPrivateKey) -> Entra:
    return Entra(cloud, key=entra_key)


@pytest.fixture
def wire(cloud: Cloud, entra: Entra) -> Wire:
    return Wire(service.app(cloud, entra), on=PATCH)


@pytest.fixture
async def client(wire: Wire, cloud: Cloud, entra: Entra) -> AsyncIterator[StorageManagementClient]:
    credential = Credential(entra, cloud.identities["responder"])
    async with StorageManagementClient(
        credential, SUBSCRIPTION, transport=wire, retry_total=2, retry_backoff_factor=0
    ) as made:
        yield made


@pytest.fixture
def action(client: StorageManagementClient) -> LockdownAction:
    return LockdownAction(lambda _: client, clock=lambda: NOW, new_id=lambda: CORRELATION_ID)


@pytest.fixture
def accounts(client: StorageManagementClient) -> Accounts:
    return Accounts(lambda _: client, subscriptions=(SUBSCRIPTION,), tag_names=(), clock=lambda: NOW)


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


# impact


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


# before


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


# execute


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


ALREADY = {
    Lockdown.SHARED_KEY: {"allowSharedKeyAccess": False},
    Lockdown.NETWORK: {"networkAcls": RULES | {"defaultAction": "Deny"}},
}


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


@both
async def test_lockdown_that_does_not_take_needs_a_person(
    action: LockdownAction, accounts: Accounts, wire: Wire, kind: Lockdown
) -> None:
    wire.instead = answering(200, {"location": "westeurope", "properties": {"networkAcls": RULES}})

    with pytest.raises(Blocked, match="still open"):
        await lock(action, accounts, kind)


@pytest.mark.parametrize(
    ("instead", "error"),
    [
        (answering(408), TransientFailure),
        (answering(429, Retry_After="0"), Throttled),
        (answering(500), TransientFailure),
        (answering(503, Retry_After="0"), TransientFailure),
        (answering(409, {"error": {"code": "StorageAccountOperationInProgress"}}), TransientFailure),
        (ServiceRequestError("reset", error=ClientOSError(104, "reset")), TransientFailure),
        (ServiceRequestError("refused", error=NO_CONNECTION), TransientFailure),
        (ServiceResponseError("cut"), TransientFailure),
    ],
    ids=["408", "429", "500", "503", "in progress", "reset", "refused", "cut"],
)
@both
async def test_call_that_fails_in_passing_is_sent_once(
    *,
    action: LockdownAction,
    accounts: Accounts,
    wire: Wire,
    kind: Lockdown,
    instead: ASGIApp | AzureError,
    error: type[TransientFailure],
) -> None:
    wire.instead = instead

    with pytest.raises(TransientFailure) as failed:
        await lock(action, accounts, kind)

    assert len(wire.calls) == 1
    assert type(failed.value) is error
    assert failed.value.had_no_effect, "reading shows that it did not"


async def test_call_that_is_never_answered_is_sent_once(
    action: LockdownAction, accounts: Accounts, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lockdown, "_UPDATE_TIMEOUT", 0.05)
    wire.instead = asyncio.Event()

    with pytest.raises(TransientFailure, match="got no answer within"):
        await lock(action, accounts, Lockdown.SHARED_KEY)

    assert len(wire.calls) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirect_is_not_followed(action: LockdownAction, accounts: Accounts, wire: Wire, status: int) -> None:
    wire.instead = answering(status, location="https://management.azure.com/elsewhere")

    with pytest.raises(Blocked):
        await lock(action, accounts, Lockdown.SHARED_KEY)

    assert len(wire.calls) == 1


@pytest.mark.parametrize(
    ("status", "code", "what_to_do"),
    [
        (403, "AuthorizationFailed", r"lacks the right"),
        (403, "RequestDisallowedByPolicy", r"exempt the account"),
        (400, "InvalidValuesForRequestParameters", r"Check it in Azure"),
    ],
)
@both
async def test_refusal_says_what_to_do(
    *, action: LockdownAction, accounts: Accounts, wire: Wire, kind: Lockdown, status: int, code: str, what_to_do: str
) -> None:
    wire.instead = answering(status, {"error": {"code": code, "message": "m"}})

    with pytest.raises(Blocked, match=f"Locking robustmodels down.*{code}.*{what_to_do}"):
        await lock(action, accounts, kind)


@both
async def test_read_only_lock_is_named(
    action: LockdownAction, accounts: Accounts, account: Account, kind: Lockdown
) -> None:
    account.locks.append("ReadOnly")

    with pytest.raises(Blocked, match="a ReadOnly lock forbids it"):
        await lock(action, accounts, kind)


async def test_missing_account_has_its_own_error(action: LockdownAction, accounts: Accounts, cloud: Cloud) -> None:
    facts = await accounts.facts(REF)
    del cloud.accounts[ACCOUNT]

    with pytest.raises(AccountGone):
        await execute(action, facts, before(action, facts, Lockdown.NETWORK))


# prove


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


# undo


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
