"""SAS that refer to a stored access policy: the SDKs, with Azurite."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.data.tables import TableAccessPolicy, generate_table_sas
from azure.storage.blob import (
    AccessPolicy,
    generate_blob_sas,
    generate_container_sas,
)
from azure.storage.blob.aio import BlobServiceClient, ContainerClient
from azure.storage.queue import AccessPolicy as QueueAccessPolicy
from azure.storage.queue import generate_queue_sas

from local.tenant.model import Account, new_storage_key
from tests.support.storage_clients import Clients, refused

IN_AN_HOUR = timedelta(hours=1)


def soon() -> datetime:
    return datetime.now(UTC) + IN_AN_HOUR


@pytest.fixture
async def container(clients: Clients, account: Account) -> ContainerClient:
    return await (await clients.blob(account, account.keys["key1"])).create_container("models")


async def holder(clients: Clients, account: Account, **fields: Any) -> ContainerClient:
    """Return a client with a SAS of the policy "partners" on the container; `fields` are set in the SAS."""
    token = generate_container_sas(
        account.name, "models", account_key=account.keys["key2"], policy_id="partners", **fields
    )
    return (await clients.blob(account, token)).get_container_client("models")


async def read(container: ContainerClient) -> bytes:
    return bytes(await (await container.download_blob("a")).readall())


@pytest.mark.parametrize(
    ("policy", "fields"),
    [
        ({"permission": "r", "expiry": IN_AN_HOUR}, {}),
        ({"permission": "r"}, {"expiry": IN_AN_HOUR}),
        ({"expiry": IN_AN_HOUR}, {"permission": "r"}),
        ({}, {"expiry": IN_AN_HOUR, "permission": "r"}),
        ({"permission": "r", "expiry": IN_AN_HOUR, "start": -IN_AN_HOUR}, {}),
    ],
)
async def test_sas_and_policy_are_accepted_together(
    clients: Clients, account: Account, container: ContainerClient, policy: dict[str, Any], fields: dict[str, Any]
) -> None:
    await container.upload_blob("a", b"12345")
    await container.set_container_access_policy({"partners": AccessPolicy(**moments(policy))})
    assert await read(await holder(clients, account, **moments(fields))) == b"12345"


@pytest.mark.parametrize(
    ("policy", "fields"),
    [
        ({"permission": "r", "expiry": -IN_AN_HOUR}, {}),
        ({"permission": "r", "expiry": 2 * IN_AN_HOUR, "start": IN_AN_HOUR}, {}),
        ({"permission": "r", "expiry": IN_AN_HOUR}, {"permission": "r"}),
        ({"permission": "r", "expiry": IN_AN_HOUR}, {"expiry": IN_AN_HOUR}),
        ({"permission": "r"}, {}),
        ({"expiry": IN_AN_HOUR}, {}),
    ],
)
async def test_contradicting_sas_and_policy_are_refused(
    clients: Clients, account: Account, container: ContainerClient, policy: dict[str, Any], fields: dict[str, Any]
) -> None:
    await container.upload_blob("a", b"12345")
    await container.set_container_access_policy({"partners": AccessPolicy(**moments(policy))})
    partner = await holder(clients, account, **moments(fields))
    assert await refused(lambda: read(partner)) == (403, "AuthenticationFailed")


async def test_sas_is_refused_without_its_policy(
    clients: Clients, account: Account, container: ContainerClient
) -> None:
    await container.upload_blob("a", b"12345")
    live = AccessPolicy(permission="r", expiry=soon())
    partner = await holder(clients, account)
    assert await refused(lambda: read(partner)) == (403, "AuthenticationFailed")
    await container.set_container_access_policy({"partners": live})
    assert await read(partner) == b"12345"
    await container.set_container_access_policy({"others": live})
    assert await refused(lambda: read(partner)) == (403, "AuthenticationFailed")
    await container.set_container_access_policy({"partners": live})
    assert await read(partner) == b"12345"


async def test_policy_grants_no_more_than_it_says(
    clients: Clients, account: Account, container: ContainerClient
) -> None:
    await container.set_container_access_policy({"partners": AccessPolicy(permission="r", expiry=soon())})
    partner = await holder(clients, account)
    assert await refused(lambda: partner.upload_blob("a", b"x")) == (403, "AuthorizationPermissionMismatch")
    status, code = await refused(lambda: read(partner))
    assert (status, code) == (404, "BlobNotFound")


async def test_forged_token_of_a_policy_is_refused(
    clients: Clients, account: Account, container: ContainerClient
) -> None:
    await container.set_container_access_policy({"partners": AccessPolicy(permission="r", expiry=soon())})
    token = generate_container_sas(account.name, "models", account_key=new_storage_key(), policy_id="partners")
    partner = (await clients.blob(account, token)).get_container_client("models")
    assert await refused(lambda: read(partner)) == (403, "AuthenticationFailed")


async def test_sas_of_a_blob_covers_no_other_blob(
    clients: Clients, account: Account, container: ContainerClient
) -> None:
    await container.upload_blob("b", b"12345")
    await container.set_container_access_policy({"partners": AccessPolicy(permission="r", expiry=soon())})
    token = generate_blob_sas(
        account.name, "models", "a b/ü+", account_key=account.keys["key1"], policy_id="partners"
    )
    partner = (await clients.blob(account, token)).get_container_client("models")
    assert (await refused(lambda: partner.get_blob_client("a b/ü+").download_blob()))[0] == 404
    assert await refused(partner.get_blob_client("b").download_blob) == (403, "AuthenticationFailed")


async def test_policy_of_the_secondary_is_the_primarys(
    clients: Clients, account: Account, container: ContainerClient
) -> None:
    await container.upload_blob("a", b"12345")
    await container.set_container_access_policy({"partners": AccessPolicy(permission="r", expiry=soon())})
    token = generate_container_sas(account.name, "models", account_key=account.keys["key1"], policy_id="partners")
    secondary: BlobServiceClient = await clients.blob(account, token, secondary=True)
    assert await read(secondary.get_container_client("models")) == b"12345"


async def test_policy_of_a_queue_governs_its_tokens(clients: Clients, account: Account) -> None:
    queue = await (await clients.queue(account, account.keys["key1"])).create_queue("jobs")
    await queue.send_message("x")
    token = generate_queue_sas(account.name, "jobs", account.keys["key1"], policy_id="partners")
    partner = (await clients.queue(account, token)).get_queue_client("jobs")
    assert await refused(partner.peek_messages) == (403, "AuthenticationFailed")
    await queue.set_queue_access_policy({"partners": QueueAccessPolicy(permission="r", expiry=soon())})
    assert [message.content for message in await partner.peek_messages()] == ["x"]
    assert await refused(lambda: partner.send_message("y")) == (403, "AuthorizationPermissionMismatch")


async def test_policy_of_a_table_governs_its_tokens(clients: Clients, account: Account) -> None:
    credential = AzureNamedKeyCredential(account.name, account.keys["key1"])
    tables = await clients.table(account, credential)
    table = await tables.create_table("Rows")
    await tables.create_table("Others")
    token = AzureSasCredential(generate_table_sas(credential, "Rows", policy_id="partners"))
    partner = await clients.table(account, token)
    entity = {"PartitionKey": "p", "RowKey": "1"}
    rows = partner.get_table_client("Rows")
    assert await refused(lambda: rows.get_entity("p", "1")) == (403, "AuthenticationFailed")
    await table.set_table_access_policy({"partners": TableAccessPolicy(permission="r", expiry=soon())})
    assert await refused(lambda: rows.get_entity("p", "1")) == (404, "ResourceNotFound")
    assert await refused(lambda: rows.upsert_entity(entity)) == (403, "AuthorizationPermissionMismatch")
    others = partner.get_table_client("Others")
    assert await refused(lambda: others.get_entity("p", "1")) == (403, "AuthenticationFailed")


def moments(fields: dict[str, Any]) -> dict[str, Any]:
    """Return `fields` with every time span added to the current time."""
    return {
        name: datetime.now(UTC) + value if isinstance(value, timedelta) else value for name, value in fields.items()
    }
