"""File shares and tables in ARM: the management client, in process and together with the data plane."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.core.exceptions import HttpResponseError
from azure.data.tables import generate_table_sas
from azure.data.tables.aio import TableServiceClient
from azure.mgmt.storage.aio import StorageManagementClient
from azure.mgmt.storage.models import (
    AccessPolicy,
    FileShare,
    SignedIdentifier,
    Table,
    TableAccessPolicy,
    TableSignedIdentifier,
)
from azure.storage.blob import ContainerSasPermissions, generate_container_sas
from azure.storage.fileshare import generate_share_sas

from local.arm import service
from local.cloud.cloud import LocalCloud
from local.entra.tokens import Entra
from local.tenant import identities, model
from local.tenant.model import SUBSCRIPTION_ID, Account, Cloud, Identity
from tests.support.asgi import Credential, Transport, client
from tests.support.cloud_clients import options
from tests.support.storage_clients import Clients, Token

ENDS = datetime(2051, 10, 6, 1, 2, 3, tzinfo=UTC)
IN_AN_HOUR = timedelta(hours=1)
WHERE = ("models", "robustmodels")
SHARES = "Microsoft.Storage/storageAccounts/fileServices/shares"
TABLES = "Microsoft.Storage/storageAccounts/tableServices/tables"


class InMemory:
    """Tables without a data plane: (account, name)."""

    def __init__(self) -> None:
        self.made: set[tuple[str, str]] = set()

    async def table_name(self, account: str, name: str) -> str | None:
        return next((made for owner, made in self.made if owner == account and made.lower() == name.lower()), None)

    async def create_table(self, account: str, name: str) -> None:
        self.made.add((account, name))

    async def delete_table(self, account: str, name: str) -> None:
        self.made.remove((account, name))


@pytest.fixture
def account() -> Account:
    return Account(name="robustmodels", resource_group="models")


@pytest.fixture
def tenant(account: Account) -> Cloud:
    return Cloud(accounts={account.name: account}, identities=identities.directory(), tables=InMemory())


@pytest.fixture
async def storage(tenant: Cloud) -> AsyncIterator[StorageManagementClient]:
    entra = Entra(tenant)
    credential = Credential(entra, tenant.identities["responder"])
    transport = Transport(service.app(tenant, entra))
    async with StorageManagementClient(credential, SUBSCRIPTION_ID, transport=transport, retry_total=0) as made:
        yield made


async def refused(call: Any) -> tuple[int, str]:
    with pytest.raises(HttpResponseError) as caught:
        await call
    assert caught.value.status_code is not None
    assert caught.value.error is not None
    return caught.value.status_code, str(caught.value.error.code)


# Shares


async def test_share_is_created_updated_and_shown(storage: StorageManagementClient) -> None:
    made = await storage.file_shares.create(*WHERE, "tools", FileShare())
    assert (made.name, made.signed_identifiers) == ("tools", [])
    policy = AccessPolicy(permission="rl", start_time=ENDS - IN_AN_HOUR, expiry_time=ENDS)
    identifiers = [SignedIdentifier(id="a", access_policy=policy), SignedIdentifier(id="b")]
    await storage.file_shares.update(*WHERE, "tools", FileShare(signed_identifiers=identifiers))
    first, second = (await storage.file_shares.get(*WHERE, "tools")).signed_identifiers
    assert (first.id, first.access_policy.permission, first.access_policy.expiry_time) == ("a", "rl", ENDS)
    assert first.access_policy.start_time == ENDS - IN_AN_HOUR
    assert (second.id, second.access_policy) == ("b", None)


async def test_missing_and_empty_identifiers_differ(storage: StorageManagementClient, account: Account) -> None:
    await storage.file_shares.create(*WHERE, "tools", FileShare(signed_identifiers=[SignedIdentifier(id="a")]))
    await storage.file_shares.update(*WHERE, "tools", FileShare(metadata={"team": "web"}))
    assert account.policies
    assert account.policies["file", "tools"]
    cleared = await storage.file_shares.update(*WHERE, "tools", FileShare(signed_identifiers=[]))
    assert (cleared.signed_identifiers, cleared.metadata) == ([], {"team": "web"})


async def test_existing_share_is_not_created_again(storage: StorageManagementClient, account: Account) -> None:
    await storage.file_shares.create(*WHERE, "tools", FileShare(signed_identifiers=[SignedIdentifier(id="a")]))
    await storage.file_shares.create(*WHERE, "tools", FileShare(signed_identifiers=[]))
    assert account.policies["file", "tools"]


async def test_missing_item_is_not_found(storage: StorageManagementClient) -> None:
    assert await refused(storage.file_shares.get(*WHERE, "none")) == (404, "ShareNotFound")
    assert await refused(storage.file_shares.update(*WHERE, "none", FileShare())) == (404, "ShareNotFound")
    assert await refused(storage.table.get(*WHERE, "none")) == (404, "TableNotFound")
    assert await refused(storage.table.update(*WHERE, "none")) == (404, "TableNotFound")


@pytest.mark.parametrize(
    "identifiers",
    [
        [SignedIdentifier(id=str(number)) for number in range(6)],
        [SignedIdentifier(id="a"), SignedIdentifier(id="a")],
        [SignedIdentifier(id="i" * 65)],
        [SignedIdentifier(id="a", access_policy=AccessPolicy(permission="z"))],
    ],
)
async def test_invalid_policies_of_a_share_are_refused(
    storage: StorageManagementClient, account: Account, identifiers: list[SignedIdentifier]
) -> None:
    await storage.file_shares.create(*WHERE, "tools", FileShare())
    share = FileShare(signed_identifiers=identifiers)
    expected = (400, "InvalidValuesForRequestParameters")
    assert await refused(storage.file_shares.update(*WHERE, "tools", share)) == expected
    assert not account.policies


# Tables


async def test_table_is_created_updated_and_shown(storage: StorageManagementClient) -> None:
    await storage.table.create(*WHERE, "Rows")
    policy = TableAccessPolicy(permission="raud", expiry_time=ENDS)
    identifiers = [TableSignedIdentifier(id="a", access_policy=policy)]
    await storage.table.update(*WHERE, "rows", Table(signed_identifiers=identifiers))
    found = await storage.table.get(*WHERE, "ROWS")
    (identifier,) = found.signed_identifiers
    assert (found.table_name, identifier.id) == ("Rows", "a")
    assert (identifier.access_policy.permission, identifier.access_policy.expiry_time) == ("raud", ENDS)


async def test_policy_of_a_table_requires_permission(tenant: Cloud) -> None:
    entra = Entra(tenant)
    assert tenant.tables is not None
    await tenant.tables.create_table("robustmodels", "Rows")
    token = entra.mint(tenant.identities["responder"], audience="https://management.azure.com")
    path = f"{tenant.accounts['robustmodels'].id}/tableServices/default/tables/Rows?api-version=2026-09-01"
    body = {"properties": {"signedIdentifiers": [{"id": "a", "accessPolicy": {}}]}}
    async with client(service.app(tenant, entra), "management.azure.com", token=token) as http:
        answer = await http.patch(path, json=body)
    assert answer.status_code == 400


async def test_deleting_a_table_deletes_its_policies(tenant: Cloud, account: Account) -> None:
    tenant.identities["responder"] = tenant.identities["developer"]
    entra = Entra(tenant)
    transport = Transport(service.app(tenant, entra))
    credential = Credential(entra, tenant.identities["developer"])
    async with StorageManagementClient(credential, SUBSCRIPTION_ID, transport=transport, retry_total=0) as storage:
        policy = TableAccessPolicy(permission="r")
        identifiers = [TableSignedIdentifier(id="a", access_policy=policy)]
        await storage.table.create(*WHERE, "Rows", Table(signed_identifiers=identifiers))
        await storage.table.delete(*WHERE, "Rows")
    assert not account.policies


# Rights and locks


@pytest.mark.parametrize(
    ("right", "path"), [(SHARES, "fileServices/default/shares"), (TABLES, "tableServices/default/tables")]
)
async def test_reading_and_writing_are_two_rights(tenant: Cloud, account: Account, right: str, path: str) -> None:
    reader = Identity("auditor", "1" * 8, "2" * 8, frozenset({f"{right}/read"}))
    tenant.identities["auditor"] = reader
    entra = Entra(tenant)
    token = entra.mint(reader, audience="https://management.azure.com")
    url = f"{account.id}/{path}/none?api-version=2026-09-01"
    async with client(service.app(tenant, entra), "management.azure.com", token=token) as http:
        read, written = await http.get(url), await http.patch(url, json={})
    assert (read.status_code, written.status_code) == (404, 403)
    assert f"'{right}/write'" in written.json()["error"]["message"]


async def test_read_only_lock_blocks_every_change(storage: StorageManagementClient, account: Account) -> None:
    await storage.file_shares.create(*WHERE, "tools", FileShare())
    account.locks.append("ReadOnly")
    share = FileShare(signed_identifiers=[])
    locked = (409, "ScopeLocked")
    assert await refused(storage.file_shares.update(*WHERE, "tools", share)) == locked
    assert await refused(storage.table.create(*WHERE, "Rows")) == locked
    assert await refused(storage.storage_accounts.revoke_user_delegation_keys(*WHERE)) == locked
    assert (await storage.file_shares.get(*WHERE, "tools")).name == "tools"


async def test_revoking_delegation_keys_records_the_time(storage: StorageManagementClient, account: Account) -> None:
    before = model.now()
    await storage.storage_accounts.revoke_user_delegation_keys(*WHERE)
    assert account.delegation_keys_revoked_at is not None
    assert before <= account.delegation_keys_revoked_at <= model.now()


# Together with the data plane


@pytest.fixture
async def management(cloud: LocalCloud) -> AsyncIterator[StorageManagementClient]:
    credential = Token(cloud, "responder", "https://management.azure.com")
    async with StorageManagementClient(credential, SUBSCRIPTION_ID, **options(cloud)) as made:
        yield made


async def made(cloud: LocalCloud, name: str) -> Account:
    account = Account(name=name, resource_group="models")
    cloud.model.accounts[name] = account
    await cloud.model.keys_changed()
    return account


async def test_share_is_the_same_in_both_planes(
    cloud: LocalCloud, clients: Clients, management: StorageManagementClient
) -> None:
    account = await made(cloud, "sharedplanes")
    await management.file_shares.create("models", account.name, "tools", FileShare())
    token = generate_share_sas(account.name, "tools", account.keys["key1"], policy_id="partners")
    file = (await clients.file(account, token)).get_share_client("tools").get_file_client("a")
    with pytest.raises(HttpResponseError) as caught:
        await file.get_file_properties()
    assert caught.value.status_code == 403
    policy = AccessPolicy(permission="r", expiry_time=ENDS)
    share = FileShare(signed_identifiers=[SignedIdentifier(id="partners", access_policy=policy)])
    await management.file_shares.update("models", account.name, "tools", share)
    with pytest.raises(HttpResponseError) as caught:
        await file.get_file_properties()
    assert caught.value.status_code == 404
    owner = (await clients.file(account, account.keys["key1"])).get_share_client("tools")
    (identifier,) = (await owner.get_share_access_policy())["signed_identifiers"]
    assert identifier.access_policy.expiry == "2051-10-06T01:02:03.0000000Z"


async def test_table_is_the_same_in_both_planes(
    cloud: LocalCloud, clients: Clients, management: StorageManagementClient
) -> None:
    account = await made(cloud, "tableplanes")
    credential = AzureNamedKeyCredential(account.name, account.keys["key1"])
    await management.table.create("models", account.name, "Rows")
    owner = await clients.table(account, credential)
    assert [table.name async for table in owner.list_tables()] == ["Rows"]
    policy = TableAccessPolicy(permission="r", expiry_time=ENDS)
    table = Table(signed_identifiers=[TableSignedIdentifier(id="partners", access_policy=policy)])
    await management.table.update("models", account.name, "Rows", table)
    partner: TableServiceClient = await clients.table(
        account, AzureSasCredential(generate_table_sas(credential, "Rows", policy_id="partners"))
    )
    assert [row async for row in partner.get_table_client("Rows").list_entities()] == []
    await owner.get_table_client("Rows").set_table_access_policy({})
    assert (await management.table.get("models", account.name, "Rows")).signed_identifiers == []


async def test_revoked_keys_are_refused_by_the_data_plane(
    cloud: LocalCloud, clients: Clients, management: StorageManagementClient
) -> None:
    account = await made(cloud, "revokedplanes")
    developer = await clients.blob(account, Token(cloud, "developer"))
    await developer.create_container("models")
    key = await developer.get_user_delegation_key(datetime.now(UTC), datetime.now(UTC) + IN_AN_HOUR)
    token = generate_container_sas(
        account.name, "models", user_delegation_key=key, permission=ContainerSasPermissions(list=True), expiry=ENDS
    )
    partner = (await clients.blob(account, token)).get_container_client("models")
    assert [blob async for blob in partner.list_blobs()] == []
    await management.storage_accounts.revoke_user_delegation_keys("models", account.name)
    with pytest.raises(HttpResponseError) as caught:
        await anext(partner.list_blobs())
    assert caught.value.status_code == 403
