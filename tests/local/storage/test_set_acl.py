"""Get and Set ACL of containers, queues and tables: the SDKs and raw requests, with Azurite."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
import pytest
from azure.core.credentials import AzureNamedKeyCredential
from azure.data.tables import TableAccessPolicy
from azure.storage.blob import (
    AccountSasPermissions,
    ResourceTypes,
    generate_account_sas,
)
from azure.storage.blob.aio import ContainerClient
from starlette.datastructures import Headers

from local.cloud.cloud import LocalCloud
from local.storage import shared_key
from local.tenant.model import Account, new_storage_key
from tests.support.cloud_clients import browser
from tests.support.storage_clients import Clients, Token, refused

RESOURCES = {"blob": "/models?restype=container&comp=acl", "queue": "/models?comp=acl", "table": "/models?comp=acl"}
RAW = (
    '<?xml version="1.0" encoding="utf-8"?><SignedIdentifiers>'
    "<SignedIdentifier><Id>z</Id><AccessPolicy><Start>2020-01-01T00:00:00.1234567Z</Start>"
    "<Expiry>2051-01-01</Expiry><Permission>r</Permission></AccessPolicy></SignedIdentifier>"
    "<SignedIdentifier><Id>a &amp; ü</Id></SignedIdentifier>"
    "<SignedIdentifier><Id>m</Id><AccessPolicy></AccessPolicy></SignedIdentifier>"
    "<SignedIdentifier><Id>n</Id><AccessPolicy><Permission>ra</Permission></AccessPolicy></SignedIdentifier>"
    "</SignedIdentifiers>"
)


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


class Acl:
    """Get and Set ACL of the resource "models" of one service, as raw requests signed with a key."""

    def __init__(self, http: httpx.AsyncClient, account: Account, service: str) -> None:
        self._http = http
        self._account = account
        self._service = service

    async def get(self, **headers: str) -> httpx.Response:
        return await self._send("GET", b"", headers)

    async def set(self, body: str, **headers: str) -> httpx.Response:
        return await self._send("PUT", body.encode(), headers)

    async def _send(self, method: str, body: bytes, extra: dict[str, str]) -> httpx.Response:
        path, _, query = RESOURCES[self._service].partition("?")
        sent = {
            "x-ms-date": datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT"),
            "x-ms-version": "2019-02-02" if self._service == "table" else "2021-12-02",
            "content-type": "application/xml",
            "content-length": str(len(body)),
            **{name.replace("_", "-"): value for name, value in extra.items()},
        }
        sent["authorization"] = shared_key.authorization(
            service=self._service,
            method=method,
            account=self._account.name,
            path=path,
            query=query,
            headers=Headers(sent),
            key=self._account.keys["key2"],
        )
        url = f"https://{self._account.name}.{self._service}.core.windows.net{path}?{query}"
        return await self._http.request(method, url, headers=sent, content=body)


@pytest.fixture(params=["blob", "queue", "table"])
async def service(request: pytest.FixtureRequest, clients: Clients, account: Account) -> str:
    """A service in which `account` has a container, queue or table "models"."""
    await make(request.param, clients, account)
    return str(request.param)


async def make(service: str, clients: Clients, account: Account) -> None:
    key = account.keys["key1"]
    if service == "blob":
        await (await clients.blob(account, key)).create_container("models")
    elif service == "queue":
        await (await clients.queue(account, key)).create_queue("models")
    else:
        tables = await clients.table(account, AzureNamedKeyCredential(account.name, key))
        await tables.create_table("models")


async def drop(service: str, clients: Clients, account: Account) -> None:
    key = account.keys["key1"]
    if service == "blob":
        await (await clients.blob(account, key)).delete_container("models")
    elif service == "queue":
        await (await clients.queue(account, key)).delete_queue("models")
    else:
        tables = await clients.table(account, AzureNamedKeyCredential(account.name, key))
        await tables.delete_table("models")


@pytest.fixture
async def acl(cloud: LocalCloud, account: Account, container: ContainerClient) -> AsyncIterator[Acl]:
    async with browser(cloud) as http:
        yield Acl(http, account, "blob")


@pytest.fixture
async def container(clients: Clients, account: Account) -> ContainerClient:
    return await (await clients.blob(account, account.keys["key1"])).create_container("models")


# The document


async def test_identifiers_are_returned_as_written(cloud: LocalCloud, account: Account, service: str) -> None:
    async with browser(cloud) as http:
        acl = Acl(http, account, service)
        assert (await acl.set(RAW)).status_code in (200, 204)
        answer = await acl.get()
    assert (answer.status_code, answer.content.decode("utf-8-sig")) == (200, RAW)


async def test_change_replaces_all_previous_policies(cloud: LocalCloud, account: Account, service: str) -> None:
    async with browser(cloud) as http:
        acl = Acl(http, account, service)
        await acl.set(RAW)
        await acl.set("<SignedIdentifiers/>")
        assert b"<SignedIdentifier>" not in (await acl.get()).content


async def test_refused_document_changes_nothing(cloud: LocalCloud, account: Account, service: str) -> None:
    six = "".join(f"<SignedIdentifier><Id>{number}</Id></SignedIdentifier>" for number in range(6))
    async with browser(cloud) as http:
        acl = Acl(http, account, service)
        await acl.set(RAW)
        answer = await acl.set(f"<SignedIdentifiers>{six}</SignedIdentifiers>")
        assert (answer.status_code, "InvalidXmlDocument" in answer.text) == (400, True)
        assert (await acl.get()).content.decode("utf-8-sig") == RAW


async def test_deleting_a_resource_deletes_its_policies(
    clients: Clients, cloud: LocalCloud, account: Account, service: str
) -> None:
    async with browser(cloud) as http:
        acl = Acl(http, account, service)
        await acl.set(RAW)
        await drop(service, clients, account)
        await make(service, clients, account)
        assert b"<SignedIdentifier>" not in (await acl.get()).content


@pytest.mark.filterwarnings("ignore:Testing an element:DeprecationWarning")  # the SDK's, on a table's error in XML
async def test_resource_that_is_not_there_has_no_policies(clients: Clients, account: Account) -> None:
    blob = (await clients.blob(account, account.keys["key1"])).get_container_client("none")
    queue = (await clients.queue(account, account.keys["key1"])).get_queue_client("none")
    tables = await clients.table(account, AzureNamedKeyCredential(account.name, account.keys["key1"]))
    assert await refused(blob.get_container_access_policy) == (404, "ContainerNotFound")
    assert await refused(queue.get_queue_access_policy) == (404, "QueueNotFound")
    table = tables.get_table_client("none")
    assert await refused(table.get_table_access_policy) == (404, "TableNotFound")
    assert not account.policies


async def test_names_of_tables_are_case_insensitive(clients: Clients, account: Account) -> None:
    tables = await clients.table(account, AzureNamedKeyCredential(account.name, account.keys["key1"]))
    await tables.create_table("Models")
    policy = TableAccessPolicy(permission="r", expiry=soon())
    await tables.get_table_client("models").set_table_access_policy({"partners": policy})
    assert set(await tables.get_table_client("MODELS").get_table_access_policy()) == {"partners"}


async def test_container_without_a_public_level_becomes_private(container: ContainerClient) -> None:
    await container.set_container_access_policy({}, public_access="blob")
    assert (await container.get_container_access_policy())["public_access"] == "blob"
    await container.set_container_access_policy({})
    assert (await container.get_container_access_policy())["public_access"] is None


async def test_change_of_policies_moves_the_etag(container: ContainerClient) -> None:
    before = await container.get_container_properties()
    await container.set_container_access_policy({})
    after = await container.get_container_properties()
    assert after.etag != before.etag
    assert after.last_modified >= before.last_modified


@pytest.mark.parametrize(
    ("condition", "seconds", "status"),
    [
        ("if_unmodified_since", 0, 200),
        ("if_unmodified_since", -1, 412),
        ("if_modified_since", 0, 412),
        ("if_modified_since", -1, 200),
    ],
)
async def test_condition_on_last_modified_is_applied(
    acl: Acl, container: ContainerClient, condition: str, seconds: int, status: int
) -> None:
    before = await acl.get()
    when = (await container.get_container_properties()).last_modified + timedelta(seconds=seconds)
    answer = await acl.set(RAW, **{condition: when.strftime("%a, %d %b %Y %H:%M:%S GMT")})
    assert answer.status_code == status
    assert ((await acl.get()).content == before.content) is (status == 412)


async def test_date_header_is_the_time_of_the_response(
    acl: Acl, container: ContainerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    modified = (await container.get_container_properties()).last_modified
    monkeypatch.setattr("local.storage.forwarding.now", lambda: modified + timedelta(hours=1))
    headers = (await acl.get()).headers
    assert parsedate_to_datetime(headers["last-modified"]) == modified
    assert parsedate_to_datetime(headers["date"]) == modified + timedelta(hours=1)


async def test_lease_blocks_only_requests_with_another_lease_id(container: ContainerClient) -> None:
    lease = await container.acquire_lease()
    await container.set_container_access_policy({})
    await container.set_container_access_policy({}, lease=lease)
    other = "00000000-0000-4000-8000-000000000000"
    status, _ = await refused(lambda: container.set_container_access_policy({}, lease=other))
    assert status in (409, 412)


# Authorization


async def test_wrong_key_sets_no_policy(clients: Clients, account: Account, container: ContainerClient) -> None:
    wrong = (await clients.blob(account, new_storage_key())).get_container_client("models")
    assert await refused(lambda: wrong.set_container_access_policy({})) == (403, "AuthenticationFailed")
    assert await refused(wrong.get_container_access_policy) == (403, "AuthenticationFailed")


async def test_sas_cannot_read_or_set_policies(
    clients: Clients, account: Account, container: ContainerClient
) -> None:
    permission = AccountSasPermissions(read=True, write=True, list=True, delete=True)
    levels = ResourceTypes(service=True, container=True, object=True)
    token = generate_account_sas(account.name, account.keys["key1"], levels, permission, soon())
    holder = (await clients.blob(account, token)).get_container_client("models")
    assert await refused(lambda: holder.set_container_access_policy({})) == (403, "AuthorizationFailure")
    assert await refused(holder.get_container_access_policy) == (403, "AuthorizationFailure")


async def test_token_cannot_read_or_set_policies(clients: Clients, cloud: LocalCloud, account: Account) -> None:
    blob = await clients.blob(account, Token(cloud, "developer"))
    container = await blob.create_container("models")
    assert await refused(container.get_container_access_policy) == (403, "AuthorizationPermissionMismatch")
