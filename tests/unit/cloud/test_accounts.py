"""What ARM's answer says of an account, in process; tests/integration finds accounts in the local cloud."""

import json
from datetime import timedelta
from typing import Any

import pytest
from azure.mgmt.storage.aio import StorageManagementClient
from azure.mgmt.storage.models import StorageAccount

from local.arm import service
from local.entra.service import Entra
from local.tenant import identities
from local.tenant.model import Account, Cloud
from shared.cloud.accounts import Access, AccountRef, Accounts
from shared.domain.account import AccountFacts, SasPolicy
from tests.support.asgi import Credential, Transport
from tests.support.samples import ACCOUNT, ACCOUNT_ID, NOW, SUBSCRIPTION
from tests.support.subscriptions import only_subscription

RULES = {
    "resourceAccessRules": [{"tenantId": "t", "resourceId": "r"}],
    "virtualNetworkRules": [{"id": "/subnet", "action": "Allow", "state": "Succeeded"}],
    "ipRules": [{"value": "203.0.113.0/24", "action": "Allow"}],
    "defaultAction": "Allow",
    "bypass": "AzureServices, Metrics",
}


async def facts(*, tags: dict[str, str] | None = None, **properties: Any) -> AccountFacts:
    account = Account(name=ACCOUNT, resource_group="research", tags=tags or {})
    account.properties |= properties
    cloud = Cloud(accounts={ACCOUNT: account}, identities=identities.directory())
    entra = Entra(cloud)
    transport = Transport(service.app(cloud, entra))
    credential = Credential(entra, cloud.identities["responder"])
    async with StorageManagementClient(credential, SUBSCRIPTION, transport=transport) as client:
        accounts = Accounts(
            lambda _: client, subscriptions=only_subscription(client), tag_names=("Owner",), clock=lambda: NOW
        )
        return await accounts.facts(AccountRef(ACCOUNT_ID, ACCOUNT, SUBSCRIPTION, "research", frozenset()))


def access(**properties: object) -> Access:
    return Access.of(StorageAccount({"location": "westeurope", "properties": properties}))


@pytest.mark.parametrize(("said", "allowed"), [(True, True), (False, False), (None, True)])
async def test_shared_key_access_is_allowed_unless_arm_says_no(said: bool | None, allowed: bool) -> None:
    assert (await facts(allowSharedKeyAccess=said)).shared_key_access is allowed


@pytest.mark.parametrize("said", ["Enabled", "Disabled", "SecuredByPerimeter", "SomethingNew"])
async def test_public_network_access_is_what_arm_says(said: str) -> None:
    assert (await facts(publicNetworkAccess=said)).public_network_access == said


def test_an_account_of_which_arm_says_nothing_is_open() -> None:
    assert access() == Access(shared_key=True, public_network="Enabled", network_rules="{}")
    assert Access.of(StorageAccount({"location": "westeurope"})) == access()


async def test_network_rules_are_kept_whole() -> None:
    assert json.loads((await facts(networkAcls=RULES)).network_rules) == RULES


def test_network_rules_read_the_same_however_arm_orders_them() -> None:
    turned = dict(reversed(RULES.items()))

    assert list(turned) != list(RULES)
    assert access(networkAcls=turned) == access(networkAcls=RULES)


@pytest.mark.parametrize(("rules", "kept"), [(100, True), (200, False)])
async def test_more_network_rules_than_a_record_can_hold_are_left_out(rules: int, kept: bool) -> None:
    many = [{"value": f"203.0.113.{number}", "action": "Allow"} for number in range(rules)]
    found = await facts(networkAcls=RULES | {"ipRules": many})

    assert bool(found.network_rules) is kept
    assert len(found.network_rules) <= 6000


@pytest.mark.parametrize(
    ("policy", "found"),
    [
        (
            {"sasExpirationPeriod": "1.12:05:06", "expirationAction": "Block"},
            SasPolicy(timedelta(days=1, hours=12, minutes=5, seconds=6), blocks=True),
        ),
        (
            {"sasExpirationPeriod": "0.00:20:00", "expirationAction": "Log"},
            SasPolicy(timedelta(minutes=20), blocks=False),
        ),
        ({"sasExpirationPeriod": "08:00:00", "expirationAction": "Log"}, SasPolicy(timedelta(hours=8), blocks=False)),
        ({"sasExpirationPeriod": "a week", "expirationAction": "Block"}, SasPolicy(None, blocks=True)),
        ({"sasExpirationPeriod": 7, "expirationAction": "SomethingNew"}, SasPolicy(None, blocks=False)),
        (
            {
                "sasExpirationPeriod": "7.00:00:00",
                "expirationAction": "Log",
                "requireUserBoundUserDelegationSas": True,
                "requireUserBoundUserDelegationSasAction": "Block",
            },
            SasPolicy(timedelta(days=7), blocks=False, blocks_unbound=True),
        ),
        (
            {
                "sasExpirationPeriod": "7.00:00:00",
                "expirationAction": "Log",
                "requireUserBoundUserDelegationSas": False,
                "requireUserBoundUserDelegationSasAction": "Block",
            },
            SasPolicy(timedelta(days=7), blocks=False),
        ),
        (None, None),
    ],
)
async def test_sas_expiration_policy_is_read_from_arm(policy: dict[str, Any] | None, found: SasPolicy | None) -> None:
    assert (await facts(sasPolicy=policy)).sas_policy == found


async def test_account_without_a_sas_expiration_policy_has_none() -> None:
    assert (await facts()).sas_policy is None


async def test_of_the_tags_only_those_that_count_are_kept() -> None:
    ours = {"owner": "ada@contoso.com", "Sasquash-Mode": "observe", "sasquash-key-vault-format": "key"}

    assert (await facts(tags=ours | {"team": "x", "sasquash-padding": "x" * 256})).tags == ours
