"""Storage accounts and their keys, with azure-mgmt-storage."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.mgmt.storage.aio import StorageManagementClient
from azure.mgmt.storage.models import StorageAccountUpdateParameters

from local.arm import service, storage_accounts
from local.entra.service import Entra
from local.tenant.model import SUBSCRIPTION_ID, Account, Cloud
from tests.support.asgi import Credential, Transport, client


async def test_account_shows_tags_access_settings_and_the_ages_of_its_keys(
    storage: StorageManagementClient, account: Account
) -> None:
    found = await storage.storage_accounts.get_properties("models", "robustmodels")
    assert found.id == account.id
    assert found.tags == {"sasquash-owner": "a@contoso.com"}
    assert found.allow_shared_key_access is True
    assert found.network_rule_set.default_action == "Allow"
    assert abs(found.key_creation_time.key2 - account.key_created["key2"]) < timedelta(milliseconds=1)


async def test_account_has_the_endpoints_of_read_access_geo_redundancy(
    storage: StorageManagementClient,
) -> None:
    found = await storage.storage_accounts.get_properties("models", "robustmodels")
    assert found.primary_endpoints.file == "https://robustmodels.file.core.windows.net/"
    assert found.secondary_endpoints.blob == "https://robustmodels-secondary.blob.core.windows.net/"
    assert found.secondary_endpoints.file is None


async def test_geo_replication_is_shown_only_when_expanded(storage: StorageManagementClient) -> None:
    plain = await storage.storage_accounts.get_properties("models", "robustmodels")
    expanded = await storage.storage_accounts.get_properties("models", "robustmodels", expand="geoReplicationStats")
    assert (plain.geo_replication_stats, expanded.geo_replication_stats.status) == (None, "Live")


async def test_ids_are_matched_without_regard_to_case(storage: StorageManagementClient, account: Account) -> None:
    found = await storage.storage_accounts.get_properties("MODELS", "RobustModels")
    assert found.id == account.id


async def test_list_pages_through_many_accounts(storage: StorageManagementClient, tenant: Cloud) -> None:
    for number in range(storage_accounts.PAGE_SIZE + 1):
        tenant.accounts[f"many{number:03}"] = Account(name=f"many{number:03}", resource_group="models")
    names = [found.name async for found in storage.storage_accounts.list()]
    assert names == sorted(tenant.accounts)


async def test_list_by_resource_group_leaves_other_groups_out(
    storage: StorageManagementClient, tenant: Cloud
) -> None:
    tenant.accounts["elsewhere"] = Account(name="elsewhere", resource_group="other")
    names = [found.name async for found in storage.storage_accounts.list_by_resource_group("other")]
    assert names == ["elsewhere"]


async def test_keys_have_values_and_creation_times(storage: StorageManagementClient, account: Account) -> None:
    result = await storage.storage_accounts.list_keys("models", "robustmodels")
    assert {key.key_name: key.value for key in result.keys_property} == account.keys
    assert all(key.permissions.lower() == "full" for key in result.keys_property)
    assert all(datetime.now(UTC) - key.creation_time < timedelta(minutes=1) for key in result.keys_property)


async def test_kerberos_keys_are_listed_where_the_account_has_them_and_they_are_asked_for(
    storage: StorageManagementClient, account: Account
) -> None:
    account.kerberos_keys = {"kerb1": "a2VyYg==", "kerb2": "a2VyYg=="}
    with_kerberos = await storage.storage_accounts.list_keys("models", "robustmodels")
    without = await storage.storage_accounts.list_keys("models", "robustmodels", expand=None)
    assert [key.key_name for key in with_kerberos.keys_property] == ["key1", "key2", "kerb1", "kerb2"]
    assert [key.key_name for key in without.keys_property] == ["key1", "key2"]


async def test_regenerating_a_key_changes_that_key_alone(storage: StorageManagementClient, account: Account) -> None:
    before = dict(account.keys)
    result = await storage.storage_accounts.regenerate_key("models", "robustmodels", {"keyName": "key2"})
    after = {key.key_name: key.value for key in result.keys_property}
    assert after["key1"] == before["key1"]
    assert after["key2"] != before["key2"]
    assert [name for name, _ in account.rotations] == ["key2"]


async def test_regenerated_key_is_published_before_the_answer(
    storage: StorageManagementClient, tenant: Cloud, account: Account
) -> None:
    published: list[dict[str, str]] = []

    async def publish() -> None:
        published.append(dict(account.keys))

    tenant.publish_keys = publish
    await storage.storage_accounts.regenerate_key("models", "robustmodels", {"keyName": "key1"})
    assert published == [account.keys]


async def test_kerberos_key_is_not_accepted_by_storage(storage: StorageManagementClient, account: Account) -> None:
    before = dict(account.keys)
    await storage.storage_accounts.regenerate_key("models", "robustmodels", {"keyName": "kerb1"})
    assert account.keys == before
    assert set(account.kerberos_keys) == {"kerb1"}


async def test_person_can_change_tags_and_access(tenant: Cloud, entra: Entra, account: Account) -> None:
    credential = Credential(entra, tenant.identities["developer"])
    update = StorageAccountUpdateParameters(tags={"a": "b"}, allow_shared_key_access=False)
    async with StorageManagementClient(
        credential, SUBSCRIPTION_ID, transport=Transport(service.app(tenant, entra))
    ) as storage:
        changed = await storage.storage_accounts.update("models", "robustmodels", update)
    assert (changed.tags, changed.allow_shared_key_access) == ({"a": "b"}, False)
    assert account.properties["allowSharedKeyAccess"] is False
    assert account.properties["allowBlobPublicAccess"] is True


@pytest.fixture
async def person(tenant: Cloud, entra: Entra) -> AsyncIterator[httpx.AsyncClient]:
    token = entra.mint(tenant.identities["developer"], audience="https://management.azure.com")
    async with client(service.app(tenant, entra), "management.azure.com", token=token) as opened:
        yield opened


def path(account: Account) -> str:
    return f"{account.id}?api-version=2025-08-01"


async def test_update_accepts_what_the_azure_cli_sends_back(person: httpx.AsyncClient, account: Account) -> None:
    """Azure CLI 2.91, `az storage account update --allow-shared-key-access false`: the body of its PATCH."""
    read = (await person.get(path(account))).json()
    body = {
        "sku": {"name": "Standard_RAGRS"},
        "tags": read["tags"],
        "properties": {
            "accessTier": "Hot",
            "supportsHttpsTrafficOnly": True,
            "encryption": {"keySource": "Microsoft.Storage"},
            "networkAcls": read["properties"]["networkAcls"],
            "allowSharedKeyAccess": False,
        },
    }
    answer = await person.patch(path(account), json=body)

    expected = read["properties"] | {"allowSharedKeyAccess": False}
    assert (answer.status_code, answer.json()) == (200, read | {"properties": expected})


@pytest.mark.parametrize(
    "body",
    [
        {"sku": {"name": "Standard_LRS"}, "kind": "StorageV2", "identity": {"type": "SystemAssigned"}},
        {"properties": {"keyPolicy": {"keyExpirationPeriodInDays": 90}, "minimumTlsVersion": "TLS1_2"}},
    ],
)
async def test_update_changes_what_it_names(
    person: httpx.AsyncClient, account: Account, body: dict[str, Any]
) -> None:
    answer = (await person.patch(path(account), json=body)).json()

    assert answer["properties"] == answer["properties"] | body.get("properties", {})
    assert answer["sku"]["name"] == body.get("sku", {"name": "Standard_RAGRS"})["name"]


async def test_secondary_endpoints_are_those_of_a_readable_secondary(
    person: httpx.AsyncClient, account: Account
) -> None:
    answer = await person.patch(path(account), json={"sku": {"name": "Standard_GRS"}})

    assert "secondaryEndpoints" not in answer.json()["properties"]


@pytest.mark.parametrize(
    "body",
    [
        {"location": "westeurope"},
        {"kind": "BlobStorage"},
        {"sku": "Standard_LRS"},
        {"sku": {}},
        {"sku": {"name": "Standard_XXL"}},
        {"sku": {"name": "Standard_ZRS"}},
        {"sku": {"name": "Premium_LRS"}},
        {"identity": {"type": "Managed"}},
        {"properties": {"accessTier": "Lukewarm"}},
        {"properties": {"supportsHttpsTrafficOnly": "true"}},
        {"properties": {"minimumTlsVersion": "TLS1_3"}},
        {"properties": {"encryption": {"keySource": "Microsoft.Keyvault"}}},
        {"properties": {"keyPolicy": {"keyExpirationPeriodInDays": "90"}}},
        {"properties": {"provisioningState": "Succeeded"}},
    ],
)
async def test_update_with_an_invalid_member_changes_nothing(
    person: httpx.AsyncClient, account: Account, body: dict[str, Any]
) -> None:
    before = (await person.get(path(account))).json()

    assert (await person.patch(path(account), json=body | {"tags": {"a": "b"}})).status_code == 400
    assert (await person.get(path(account))).json() == before


async def test_unknown_account_is_not_found(storage: StorageManagementClient) -> None:
    with pytest.raises(ResourceNotFoundError) as caught:
        await storage.storage_accounts.get_properties("models", "nosuch")
    assert caught.value.error.code == "ResourceNotFound"


async def test_account_is_not_found_in_another_group(storage: StorageManagementClient, tenant: Cloud) -> None:
    tenant.accounts["elsewhere"] = Account(name="elsewhere", resource_group="other")
    with pytest.raises(ResourceNotFoundError) as caught:
        await storage.storage_accounts.get_properties("other", "robustmodels")
    assert caught.value.error.code == "ResourceNotFound"


async def test_unknown_group_is_not_found(storage: StorageManagementClient) -> None:
    with pytest.raises(ResourceNotFoundError) as caught:
        await storage.storage_accounts.list_keys("nosuch", "robustmodels")
    assert caught.value.error.code == "ResourceGroupNotFound"


async def test_keys_that_were_published_last_are_accepted(tenant: Cloud, account: Account) -> None:
    waits = [asyncio.Event(), asyncio.Event()]
    turns = iter(waits)

    async def publish() -> None:
        await next(turns).wait()

    tenant.publish_keys = publish
    first = asyncio.create_task(tenant.keys_changed())
    await asyncio.sleep(0)
    account.regenerate("key1")
    second = asyncio.create_task(tenant.keys_changed())
    await asyncio.sleep(0)
    for wait, task in ((waits[1], second), (waits[0], first)):
        wait.set()
        await task
    assert account.accepted_keys == account.keys


async def test_key_is_accepted_until_the_new_one_is_published(tenant: Cloud, account: Account) -> None:
    await tenant.keys_changed()
    before = dict(account.keys)
    account.regenerate("key1")
    assert account.accepted_keys == before
    await tenant.keys_changed()
    assert account.accepted_keys == account.keys
