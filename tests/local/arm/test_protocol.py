"""Locks, rights, tokens, and requests that ARM refuses."""

import json
import re
from datetime import timedelta

import pytest
from azure.mgmt.storage.aio import StorageManagementClient

from local.arm import service
from local.entra.service import Entra
from local.tenant.model import SUBSCRIPTION_ID, Account, Cloud, Identity
from tests.support.arm_requests import (
    ACCOUNT,
    ACCOUNTS,
    API,
    OTHER_SUBSCRIPTION,
    arm_client,
    error_code,
)
from tests.support.asgi import client


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/listKeys", None),
        ("POST", "/regenerateKey", {"keyName": "key1"}),
        ("PATCH", "", {"tags": {}}),
    ],
)
async def test_read_only_lock_blocks_all_but_reading(
    *, tenant: Cloud, entra: Entra, account: Account, method: str, path: str, body: object
) -> None:
    account.locks.append("ReadOnly")
    before = dict(account.keys)
    async with arm_client(tenant, entra) as http:
        refused = await http.request(method, f"{ACCOUNT}{path}?{API}", json=body)
        read = await http.get(f"{ACCOUNT}?{API}")
    assert (refused.status_code, error_code(refused), read.status_code) == (409, "ScopeLocked", 200)
    assert account.keys == before


async def test_lock_against_deleting_does_not_block_regenerating(
    storage: StorageManagementClient, account: Account
) -> None:
    account.locks.append("CanNotDelete")
    await storage.storage_accounts.regenerate_key("models", "robustmodels", {"keyName": "key1"})
    assert len(account.rotations) == 1


async def test_missing_right_is_named_with_its_scope(tenant: Cloud, entra: Entra, account: Account) -> None:
    async with arm_client(tenant, entra, "reader") as http:
        response = await http.post(f"{ACCOUNT}/regenerateKey?{API}", json={"keyName": "key1"})
    message = response.json()["error"]["message"]
    assert (response.status_code, error_code(response)) == (403, "AuthorizationFailed")
    assert "perform action 'Microsoft.Storage/storageAccounts/regenerateKey/action'" in message
    assert f"over scope '{account.id}'" in message
    assert account.rotations == []


async def test_reading_does_not_give_the_right_to_list_keys(tenant: Cloud, entra: Entra) -> None:
    tenant.identities["auditor"] = Identity(
        name="auditor",
        object_id="11111111-1111-1111-1111-111111111111",
        client_id="22222222-2222-2222-2222-222222222222",
        rights=frozenset({"Microsoft.Storage/storageAccounts/read"}),
    )
    async with arm_client(tenant, entra, "auditor") as http:
        read = await http.get(f"{ACCOUNT}?{API}")
        keys = await http.post(f"{ACCOUNT}/listKeys?{API}")
    assert (read.status_code, keys.status_code) == (200, 403)


async def test_update_requires_the_right_to_write(tenant: Cloud, entra: Entra) -> None:
    async with arm_client(tenant, entra, "reader") as http:
        response = await http.patch(f"{ACCOUNT}?{API}", json={"tags": {}})
    assert response.status_code == 403


async def test_request_without_a_token_is_refused(tenant: Cloud, entra: Entra) -> None:
    async with client(service.app(tenant, entra), "management.azure.com") as http:
        response = await http.get(f"{ACCOUNT}?{API}")
    assert (response.status_code, error_code(response)) == (401, "AuthenticationFailed")
    assert response.headers["www-authenticate"].startswith("Bearer authorization_uri=")


@pytest.mark.parametrize(
    ("audience", "lifetime", "expected"),
    [
        ("https://storage.azure.com", timedelta(hours=1), "InvalidAuthenticationTokenAudience"),
        ("https://management.azure.com", timedelta(seconds=-1), "ExpiredAuthenticationToken"),
    ],
)
async def test_token_must_be_for_arm_and_unexpired(
    tenant: Cloud, entra: Entra, audience: str, lifetime: timedelta, expected: str
) -> None:
    token = entra.mint(tenant.identities["developer"], audience=audience, lifetime=lifetime)
    async with client(service.app(tenant, entra), "management.azure.com", token=token) as http:
        response = await http.get(f"{ACCOUNT}?{API}")
    assert (response.status_code, error_code(response)) == (401, expected)


@pytest.mark.parametrize(
    ("method", "url", "status", "expected"),
    [
        ("GET", ACCOUNT, 400, "MissingApiVersionParameter"),
        ("GET", f"{ACCOUNT}?api-version=latest", 400, "InvalidApiVersionParameter"),
        ("GET", f"{ACCOUNT}?api-version=1999-01-01", 400, "NoRegisteredProviderFound"),
        ("GET", f"{ACCOUNT}?{API}&expand=all", 400, "InvalidParameter"),
        ("GET", f"{ACCOUNT}?{API}&$expand=all", 400, "InvalidValuesForRequestParameters"),
        ("POST", f"{ACCOUNT}/listKeys?{API}&$expand=all", 400, "InvalidValuesForRequestParameters"),
        ("GET", f"{ACCOUNTS}?{API}&$skiptoken=%2A", 400, "InvalidSkipToken"),
        ("GET", f"{ACCOUNT}/listKeys?{API}", 405, "MethodNotAllowed"),
        ("DELETE", f"{ACCOUNT}?{API}", 405, "MethodNotAllowed"),
        ("POST", f"{ACCOUNT}/failover?{API}", 404, "InvalidResourceType"),
        ("GET", ACCOUNTS.replace(SUBSCRIPTION_ID, "mine") + f"?{API}", 400, "InvalidSubscriptionId"),
        (
            "GET",
            ACCOUNTS.replace(SUBSCRIPTION_ID, OTHER_SUBSCRIPTION) + f"?{API}",
            404,
            "SubscriptionNotFound",
        ),
    ],
)
async def test_invalid_request_is_refused(
    *, tenant: Cloud, entra: Entra, method: str, url: str, status: int, expected: str
) -> None:
    async with arm_client(tenant, entra) as http:
        response = await http.request(method, url)
    assert (response.status_code, error_code(response)) == (status, expected)


@pytest.mark.parametrize(
    ("content", "content_type", "status", "expected"),
    [
        (b'{"keyName": "key1"}', "text/plain", 415, "UnsupportedMediaType"),
        (b"key1", "application/json", 400, "InvalidRequestContent"),
        (b"[" * 100_000, "application/json", 400, "InvalidRequestContent"),
        (b'{"keyName": ' + b"[" * 5_000 + b"]" * 5_000 + b"}", "application/json", 400, "InvalidRequestContent"),
        (b'{"\\ud800": 1}', "application/json", 400, "InvalidRequestContent"),
        (b'["key1"]', "application/json", 400, "InvalidRequestContent"),
        (b'{"keyname": "key1"}', "application/json", 400, "InvalidRequestContent"),
        (b'{"keyName": "key1", "more": 1}', "application/json", 400, "InvalidRequestContent"),
        (b'{"keyName": "key3"}', "application/json", 400, "InvalidValuesForRequestParameters"),
        (b'{"keyName": null}', "application/json", 400, "InvalidValuesForRequestParameters"),
        (b"{}", "application/json", 400, "InvalidValuesForRequestParameters"),
    ],
)
async def test_invalid_regenerate_body_regenerates_nothing(
    *,
    tenant: Cloud,
    entra: Entra,
    account: Account,
    content: bytes,
    content_type: str,
    status: int,
    expected: str,
) -> None:
    async with arm_client(tenant, entra) as http:
        response = await http.post(
            f"{ACCOUNT}/regenerateKey?{API}", content=content, headers={"content-type": content_type}
        )
    assert (response.status_code, error_code(response)) == (status, expected)
    assert account.rotations == []


@pytest.mark.parametrize(
    "body",
    [
        {"properties": {"allowSharedKeyAccess": "false"}},
        {"properties": {"publicNetworkAccess": "Off"}},
        {"properties": {"networkAcls": {"defaultAction": "Block"}}},
        {"properties": {"networkAcls": {"defaultAction": "Deny", "rules": []}}},
        {"properties": {"isHnsEnabled": True}},
        {"properties": []},
        {"tags": {"a": 1}},
        {"tags": {"": "x"}},
        {"tags": {"a": "x" * 257}},
        {"tags": {"a": "\ud800"}},
        {"tags": {"a": "\n"}},
        {"tags": {"a": "1", "A": "2"}},
        {"tags": {"a/b": "x"}},
        {"tags": {str(number): "x" for number in range(51)}},
    ],
)
async def test_invalid_update_changes_nothing(
    tenant: Cloud, entra: Entra, account: Account, body: dict[str, object]
) -> None:
    before = (dict(account.tags), dict(account.properties))
    async with arm_client(tenant, entra) as http:
        # Encoded here, since httpx cannot encode a lone surrogate, which json.dumps escapes.
        content = json.dumps(body | {"tags": body.get("tags", {"new": "1"})})
        headers = {"content-type": "application/json"}
        response = await http.patch(f"{ACCOUNT}?{API}", content=content, headers=headers)
    assert response.status_code == 400
    assert (account.tags, account.properties) == before


async def test_network_access_can_be_disabled(tenant: Cloud, entra: Entra, account: Account) -> None:
    body = {"properties": {"publicNetworkAccess": "Disabled", "networkAcls": {"defaultAction": "Deny"}}}
    async with arm_client(tenant, entra) as http:
        response = await http.patch(f"{ACCOUNT}?{API}", json=body)
    assert response.json()["properties"]["networkAcls"]["defaultAction"] == "Deny"
    assert account.properties["publicNetworkAccess"] == "Disabled"


async def test_every_answer_has_correlation_ids_and_returns_the_clients_own(tenant: Cloud, entra: Entra) -> None:
    sent = "33333333-3333-3333-3333-333333333333"
    async with arm_client(tenant, entra) as http:
        headers = {"x-ms-correlation-request-id": sent}
        echoed = await http.get(f"{ACCOUNT}?{API}", headers=headers)
        refused = await http.get(ACCOUNT)
    assert echoed.headers["x-ms-correlation-request-id"] == sent
    assert echoed.headers["x-ms-request-id"] != sent
    assert re.fullmatch(r"[0-9a-f-]{36}", refused.headers["x-ms-correlation-request-id"])


async def test_subscriptions_are_listed_to_those_who_may_read_them(tenant: Cloud, entra: Entra) -> None:
    listed = {}
    for name in ("developer", "reader"):
        async with arm_client(tenant, entra, name) as http:
            response = await http.get("/subscriptions?api-version=2022-12-01")
        listed[name] = [entry["subscriptionId"] for entry in response.json()["value"]]
    assert listed == {"developer": [SUBSCRIPTION_ID], "reader": []}
