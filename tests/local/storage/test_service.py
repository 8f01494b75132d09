"""Azure's clients against the stand-in for storage, with Azurite."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.blob import (
    AccountSasPermissions,
    BlobSasPermissions,
    ResourceTypes,
    generate_account_sas,
    generate_blob_sas,
)
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.fileshare import ShareSasPermissions, generate_share_sas
from azure.storage.fileshare import generate_account_sas as generate_file_account_sas

from local.cloud.cloud import LocalCloud
from local.storage.service import Gate, shorten_visibility
from local.tenant.model import STATE_ACCOUNT, Account, new_storage_key
from tests.support.cloud_clients import browser
from tests.support.storage_clients import Clients, Token

EVERYTHING = ResourceTypes(service=True, container=True, object=True)
FULL = AccountSasPermissions(read=True, write=True, list=True, create=True)
IN_AN_HOUR = timedelta(hours=1)


def account_sas(account: Account, key: str = "key1", *, ends: timedelta = IN_AN_HOUR) -> str:
    expiry = datetime.now(UTC) + ends
    return generate_account_sas(account.name, account.keys[key], EVERYTHING, FULL, expiry)


async def refused(client: BlobServiceClient) -> tuple[int, str | None]:
    """Return status and error code of creating a container with `client`."""
    with pytest.raises(HttpResponseError) as caught:
        await client.get_container_client("models").create_container()
    error = caught.value
    assert error.status_code is not None
    code = error.error_code  # type: ignore[attr-defined]
    return error.status_code, getattr(code, "value", code)


@pytest.mark.parametrize("key", ["key1", "key2"])
async def test_each_key_authorizes_requests(clients: Clients, account: Account, key: str) -> None:
    blob = await clients.blob(account, account.keys[key])
    await blob.create_container("models")
    assert [container.name async for container in blob.list_containers()] == ["models"]


@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")  # the SDK does
async def test_large_blob_is_read_whole_and_in_ranges(clients: Clients, account: Account) -> None:
    blob = await clients.blob(account, account.keys["key1"])
    container = await blob.create_container("models")
    data = os.urandom(9 * 1024 * 1024)
    await container.upload_blob("a b/ü+%.ckpt", data, max_concurrency=3)
    assert await (await container.download_blob("a b/ü+%.ckpt")).readall() == data
    part = await container.download_blob("a b/ü+%.ckpt", offset=5_000_000, length=7)
    assert await part.readall() == data[5_000_000:5_000_007]


async def test_chunked_body_is_streamed(clients: Clients, cloud: LocalCloud, account: Account) -> None:
    container = await (await clients.blob(account, account.keys["key1"])).create_container("models")
    url = f"{container.url}/chunked?{account_sas(account)}"

    async def chunks() -> AsyncIterator[bytes]:
        for letter in (b"a", b"b", b"c"):
            yield letter * 100_000
            await asyncio.sleep(0)

    async with browser(cloud) as client:
        headers = {"x-ms-blob-type": "BlockBlob", "content-length": "300000", "expect": "100-continue"}
        assert (await client.put(url, content=chunks(), headers=headers)).status_code == 201
        assert len((await client.get(url)).content) == 300_000


async def test_head_says_the_length_and_sends_no_body(clients: Clients, cloud: LocalCloud, account: Account) -> None:
    container = await (await clients.blob(account, account.keys["key1"])).create_container("models")
    await container.upload_blob("a", b"12345")
    async with browser(cloud) as client:
        answer = await client.head(f"{container.url}/a?{account_sas(account)}")
    assert (answer.headers["content-length"], answer.content) == ("5", b"")


async def test_account_sas_allows_its_permissions(clients: Clients, account: Account) -> None:
    blob = await clients.blob(account, account_sas(account, "key2"))
    await blob.create_container("models")
    assert [container.name async for container in blob.list_containers()] == ["models"]


async def test_wrong_shared_key_gets_azures_error(clients: Clients, account: Account) -> None:
    assert await refused(await clients.blob(account, new_storage_key())) == (403, "AuthenticationFailed")


async def test_forged_sas_gets_azures_error(clients: Clients, account: Account) -> None:
    forged = generate_account_sas(account.name, new_storage_key(), EVERYTHING, FULL, datetime.now(UTC) + IN_AN_HOUR)
    assert await refused(await clients.blob(account, forged)) == (403, "AuthenticationFailed")


async def test_expired_sas_is_refused_with_its_period(clients: Clients, cloud: LocalCloud, account: Account) -> None:
    token = account_sas(account, ends=-IN_AN_HOUR)
    async with browser(cloud) as client:
        answer = await client.get(f"https://{account.name}.blob.core.windows.net/?comp=list&{token}")
    assert answer.status_code == 403
    assert answer.headers["x-ms-error-code"] == "AuthenticationFailed"
    assert "Signature not valid in the specified time frame: Start [] - Expiry [" in answer.text


async def test_missing_permission_and_invalid_signature_have_different_errors(
    clients: Clients, account: Account
) -> None:
    expiry = datetime.now(UTC) + IN_AN_HOUR
    reading = generate_account_sas(
        account.name, account.keys["key1"], EVERYTHING, AccountSasPermissions(read=True), expiry
    )
    assert await refused(await clients.blob(account, reading)) == (403, "AuthorizationPermissionMismatch")


async def test_regenerated_key_is_refused_at_once_and_the_other_is_not(
    clients: Clients, cloud: LocalCloud, account: Account
) -> None:
    old = await clients.blob(account, account_sas(account, "key2"))
    other = await clients.blob(account, account_sas(account, "key1"))
    await old.create_container("before")
    await cloud.model.regenerate(account, "key2")
    assert await refused(old) == (403, "AuthenticationFailed")
    await other.create_container("after")


async def test_verification_token_gets_404_until_its_key_is_regenerated(
    clients: Clients, cloud: LocalCloud, account: Account
) -> None:
    verification = generate_blob_sas(
        account.name,
        "none",
        "none",
        account_key=account.keys["key1"],
        permission=BlobSasPermissions(read=True),
        expiry=datetime.now(UTC) + IN_AN_HOUR,
    )
    blob = (await clients.blob(account, verification)).get_blob_client("none", "none")
    with pytest.raises(ResourceNotFoundError):
        await blob.get_blob_properties()
    await cloud.model.regenerate(account, "key1")
    with pytest.raises(HttpResponseError) as caught:
        await blob.get_blob_properties()
    assert caught.value.status_code == 403


async def test_secondary_endpoint_reads(clients: Clients, account: Account) -> None:
    await (await clients.blob(account, account.keys["key1"])).create_container("models")
    secondary = await clients.blob(account, account.keys["key1"], secondary=True)
    assert [container.name async for container in secondary.list_containers()] == ["models"]


async def test_secondary_endpoint_does_not_write(clients: Clients, account: Account) -> None:
    secondary = await clients.blob(account, account.keys["key1"], secondary=True)
    assert await refused(secondary) == (403, "InsufficientAccountPermissions")


@pytest.mark.parametrize("kind", ["key", "account SAS", "service SAS"])
async def test_keys_are_refused_without_shared_key_access(
    clients: Clients, cloud: LocalCloud, account: Account, kind: str
) -> None:
    expiry = datetime.now(UTC) + IN_AN_HOUR
    everything = BlobSasPermissions(read=True, write=True)
    credential = {
        "key": account.keys["key1"],
        "account SAS": account_sas(account),
        "service SAS": generate_blob_sas(
            account.name, "models", "x", account_key=account.keys["key1"], permission=everything, expiry=expiry
        ),
    }[kind]
    account.properties["allowSharedKeyAccess"] = False
    assert await refused(await clients.blob(account, credential)) == (403, "KeyBasedAuthenticationNotPermitted")


@pytest.mark.parametrize(
    "properties", [{"publicNetworkAccess": "Disabled"}, {"networkAcls": {"defaultAction": "Deny"}}]
)
async def test_closed_network_gets_azures_error(
    clients: Clients, account: Account, properties: dict[str, Any]
) -> None:
    account.properties |= properties
    assert await refused(await clients.blob(account, account.keys["key1"])) == (403, "AuthorizationFailure")


async def test_public_container_is_read_without_credential(
    clients: Clients, cloud: LocalCloud, account: Account
) -> None:
    container = await (await clients.blob(account, account.keys["key1"])).create_container(
        "models", public_access="blob"
    )
    await container.upload_blob("a", b"12345")
    async with browser(cloud) as client:
        assert (await client.get(f"{container.url}/a")).content == b"12345"


async def test_public_access_is_refused_where_the_account_forbids_it(
    clients: Clients, cloud: LocalCloud, account: Account
) -> None:
    container = await (await clients.blob(account, account.keys["key1"])).create_container(
        "models", public_access="blob"
    )
    account.properties["allowBlobPublicAccess"] = False
    async with browser(cloud) as client:
        answer = await client.get(f"{container.url}/a")
    assert (answer.status_code, answer.headers["x-ms-error-code"]) == (409, "PublicAccessNotPermitted")


@pytest.mark.parametrize(
    ("version", "expected"),
    [("2021-12-02", (401, "NoAuthenticationInformation")), ("", (404, "ResourceNotFound"))],
)
async def test_anonymous_request_to_a_private_container_is_refused(
    clients: Clients, cloud: LocalCloud, account: Account, version: str, expected: tuple[int, str]
) -> None:
    container = await (await clients.blob(account, account.keys["key1"])).create_container("models")
    async with browser(cloud) as client:
        answer = await client.get(f"{container.url}/a", headers={"x-ms-version": version} if version else {})
    assert (answer.status_code, answer.headers["x-ms-error-code"]) == expected


async def test_token_with_the_role_is_accepted(clients: Clients, cloud: LocalCloud) -> None:
    state = cloud.model.accounts[STATE_ACCOUNT]
    queues = await clients.queue(state, Token(cloud, "responder"))
    assert {queue.name async for queue in queues.list_queues()} >= {"contain", "follow-up"}


async def test_token_for_the_account_itself_is_accepted(clients: Clients, cloud: LocalCloud) -> None:
    state = cloud.model.accounts[STATE_ACCOUNT]
    credential = Token(cloud, "responder", f"https://{STATE_ACCOUNT}.queue.core.windows.net")
    queues = await clients.queue(state, credential)
    assert [queue.name async for queue in queues.list_queues()]


async def test_token_without_the_role_is_refused(clients: Clients, cloud: LocalCloud, account: Account) -> None:
    client = await clients.blob(account, Token(cloud, "responder"))
    assert await refused(client) == (403, "AuthorizationPermissionMismatch")


async def test_token_for_another_audience_is_refused(clients: Clients, cloud: LocalCloud, account: Account) -> None:
    client = await clients.blob(account, Token(cloud, "developer", "https://graph.microsoft.com"))
    assert await refused(client) == (401, "InvalidAuthenticationInfo")


async def test_delegation_sas_is_refused_after_revocation_of_the_keys(
    clients: Clients, cloud: LocalCloud, account: Account
) -> None:
    developer = await clients.blob(account, Token(cloud, "developer"))
    container = await developer.create_container("models")
    await container.upload_blob("a", b"12345")
    started, expiry = datetime.now(UTC) - IN_AN_HOUR, datetime.now(UTC) + IN_AN_HOUR
    key = await developer.get_user_delegation_key(started, expiry)
    token = generate_blob_sas(
        account.name,
        "models",
        "a",
        user_delegation_key=key,
        permission=BlobSasPermissions(read=True),
        expiry=expiry,
    )
    blob = (await clients.blob(account, token)).get_blob_client("models", "a")
    assert (await blob.get_blob_properties()).size == 5
    account.delegation_keys_revoked_at = datetime.now(UTC)
    with pytest.raises(HttpResponseError) as caught:
        await blob.get_blob_properties()
    assert caught.value.status_code == 403


async def test_table_rolls_back_a_failed_transaction(clients: Clients, cloud: LocalCloud, account: Account) -> None:
    tables = await clients.table(account, AzureNamedKeyCredential(account.name, account.keys["key1"]))
    table = await tables.create_table("rows")
    row = {"PartitionKey": "p", "RowKey": "1"}
    await table.submit_transaction([("create", row), ("create", row | {"RowKey": "2"})])
    with pytest.raises(HttpResponseError):
        await table.submit_transaction([("create", row | {"RowKey": "3"}), ("create", row)])
    assert [entity["RowKey"] async for entity in table.list_entities()] == ["1", "2"]


async def test_wrong_key_for_a_table_gets_an_odata_error(clients: Clients, account: Account) -> None:
    tables = await clients.table(account, AzureNamedKeyCredential(account.name, new_storage_key()))
    with pytest.raises(HttpResponseError) as caught:
        await tables.create_table("rows")
    error = caught.value
    assert (error.status_code, error.error_code) == (403, "AuthenticationFailed")  # type: ignore[attr-defined]


async def test_file_endpoint_accepts_the_accounts_keys(clients: Clients, account: Account) -> None:
    share = (await clients.file(account, account.keys["key2"])).get_share_client("none")
    with pytest.raises(ResourceNotFoundError) as caught:
        await share.get_share_properties()
    assert "ShareNotFound" in str(caught.value)


async def test_file_endpoint_refuses_another_key(clients: Clients, account: Account) -> None:
    share = (await clients.file(account, new_storage_key())).get_share_client("none")
    with pytest.raises(HttpResponseError) as caught:
        await share.get_share_properties()
    assert caught.value.status_code == 403


@pytest.mark.parametrize("kind", ["account", "share"])
async def test_file_endpoint_accepts_a_valid_sas_and_refuses_a_forged_one(
    clients: Clients, account: Account, kind: str
) -> None:
    expiry = datetime.now(UTC) + IN_AN_HOUR
    statuses = []
    for key in (account.keys["key1"], new_storage_key()):
        if kind == "account":
            token = generate_file_account_sas(account.name, key, "sco", "rl", expiry)
        else:
            token = generate_share_sas(
                account.name, "none", key, permission=ShareSasPermissions(read=True), expiry=expiry
            )
        share = (await clients.file(account, token)).get_share_client("none")
        with pytest.raises(HttpResponseError) as caught:
            await share.get_directory_client("x").get_directory_properties()
        statuses.append(caught.value.status_code)
    assert statuses == [404, 403]


async def test_service_without_stand_in_is_not_implemented(cloud: LocalCloud, account: Account) -> None:
    async with browser(cloud) as client:
        assert (await client.get(f"https://{account.name}.dfs.core.windows.net/")).status_code == 501


@pytest.mark.parametrize("credential", ["key", "token"])
async def test_visibility_timeout_is_divided(
    clients: Clients, cloud: LocalCloud, account: Account, monkeypatch: pytest.MonkeyPatch, credential: str
) -> None:
    monkeypatch.setattr(cloud.model, "time_factor", 1000)
    queues = await clients.queue(account, account.keys["key2"] if credential == "key" else Token(cloud, "developer"))
    queue = await queues.create_queue("jobs")
    await queue.send_message("x", visibility_timeout=45)
    assert [message.content async for message in queue.receive_messages()] == ["x"]


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("POST", "/q/messages", "visibilitytimeout=45", "visibilitytimeout=4"),
        ("POST", "/q/messages", "visibilitytimeout=5", "visibilitytimeout=0"),
        ("POST", "/q/messages", "messagettl=60", "messagettl=60"),
        ("GET", "/q/messages", "visibilitytimeout=5", "visibilitytimeout=1"),
        ("GET", "/q/messages", "numofmessages=8", "numofmessages=8&visibilitytimeout=3"),
        ("GET", "/q/messages", "peekonly=true", "peekonly=true"),
        ("PUT", "/q/messages/1", "popreceipt=a%2B&visibilitytimeout=5", "popreceipt=a%2B&visibilitytimeout=1"),
        ("PUT", "/q/messages/1", "popreceipt=a&visibilitytimeout=0", "popreceipt=a&visibilitytimeout=0"),
        ("GET", "/q", "comp=metadata", "comp=metadata"),
    ],
)
def test_visibility_never_falls_below_what_the_operation_allows(
    method: str, path: str, query: str, expected: str
) -> None:
    assert shorten_visibility(query, method=method, path=path, factor=10) == expected


async def test_closed_gate_keeps_requests_waiting() -> None:
    gate = Gate()
    gate.open()
    async with gate.closed():
        waiting = asyncio.create_task(_pass(gate))
        await asyncio.sleep(0)
        assert not waiting.done()
    await waiting


async def test_gate_closes_after_requests_inside_have_left() -> None:
    gate = Gate()
    gate.open()
    async with gate.passage():
        closing = asyncio.create_task(_close(gate))
        await asyncio.sleep(0)
        assert not closing.done()
    await closing


async def _pass(gate: Gate) -> None:
    async with gate.passage():
        pass


async def _close(gate: Gate) -> None:
    async with gate.closed():
        pass
