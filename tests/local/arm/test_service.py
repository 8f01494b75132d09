"""The ARM stand-in, seen by the real management clients and by raw requests."""

import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.resourcegraph.aio import ResourceGraphClient
from azure.mgmt.resourcegraph.models import QueryRequest, QueryRequestOptions
from azure.mgmt.storage.aio import StorageManagementClient
from azure.mgmt.storage.models import StorageAccountUpdateParameters
from cryptography.hazmat.primitives.asymmetric import rsa

from local.arm import service, storage_accounts
from local.entra.service import Entra
from local.tenant import identities
from local.tenant.model import SUBSCRIPTION_ID, Account, Cloud, Identity
from tests.support.asgi import Credential, Transport, client

OTHER_SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
API = "api-version=2026-09-01"
ACCOUNTS = f"/subscriptions/{SUBSCRIPTION_ID}/providers/Microsoft.Storage/storageAccounts"
ACCOUNT = (
    f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/models/providers/Microsoft.Storage/storageAccounts/robustmodels"
)
RESOURCES = "/providers/Microsoft.ResourceGraph/resources?api-version=2021-03-01"

QUERY = """resources
| where type =~ 'microsoft.storage/storageaccounts'
| where name =~ 'robustmodels' or tostring(properties.customDomain.name) =~ 'robustmodels.blob.core.windows.net'
| project id, customDomain = tostring(properties.customDomain.name),
    primaryEndpoints = properties.primaryEndpoints, secondaryEndpoints = properties.secondaryEndpoints"""
QUERY_BY_DOMAIN = QUERY.replace("name =~ 'robustmodels' or ", "", 1)


@pytest.fixture(scope="module")
def entra_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def cloud() -> Cloud:
    account = Account(name="robustmodels", resource_group="models", tags={"sasquash-owner": "a@contoso.com"})
    return Cloud(accounts={"robustmodels": account}, identities=identities.directory())


@pytest.fixture
def account(cloud: Cloud) -> Account:
    return cloud.accounts["robustmodels"]


@pytest.fixture
def entra(cloud: Cloud, entra_key: rsa.RSAPrivateKey) -> Entra:
    return Entra(cloud, key=entra_key)


@pytest.fixture
def transport(cloud: Cloud, entra: Entra) -> Transport:
    return Transport(service.app(cloud, entra))


@pytest.fixture
async def storage(cloud: Cloud, entra: Entra, transport: Transport) -> AsyncIterator[StorageManagementClient]:
    credential = Credential(entra, cloud.identities["responder"])
    async with StorageManagementClient(credential, SUBSCRIPTION_ID, transport=transport, retry_total=0) as made:
        yield made


@pytest.fixture
async def graph(cloud: Cloud, entra: Entra, transport: Transport) -> AsyncIterator[ResourceGraphClient]:
    credential = Credential(entra, cloud.identities["responder"])
    async with ResourceGraphClient(credential, transport=transport, retry_total=0) as made:
        yield made


def raw(cloud: Cloud, entra: Entra, identity: str | Identity = "developer") -> httpx.AsyncClient:
    principal = cloud.identities[identity] if isinstance(identity, str) else identity
    token = entra.mint(principal, audience="https://management.azure.com")
    return client(service.app(cloud, entra), "management.azure.com", token=token)


def code(response: httpx.Response) -> str:
    return str(response.json()["error"]["code"])


# Storage accounts, by azure-mgmt-storage


async def test_an_account_shows_tags_access_settings_and_the_ages_of_its_keys(
    storage: StorageManagementClient, account: Account
) -> None:
    found = await storage.storage_accounts.get_properties("models", "robustmodels")
    assert found.id == account.id
    assert found.tags == {"sasquash-owner": "a@contoso.com"}
    assert found.allow_shared_key_access is True
    assert found.network_rule_set.default_action == "Allow"
    assert abs(found.key_creation_time.key2 - account.key_created["key2"]) < timedelta(milliseconds=1)


async def test_an_account_has_the_endpoints_of_read_access_geo_redundancy(
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


async def test_list_pages_through_many_accounts(storage: StorageManagementClient, cloud: Cloud) -> None:
    for number in range(storage_accounts.PAGE_SIZE + 1):
        cloud.accounts[f"many{number:03}"] = Account(name=f"many{number:03}", resource_group="models")
    names = [found.name async for found in storage.storage_accounts.list()]
    assert names == sorted(cloud.accounts)


async def test_list_by_resource_group_leaves_other_groups_out(storage: StorageManagementClient, cloud: Cloud) -> None:
    cloud.accounts["elsewhere"] = Account(name="elsewhere", resource_group="other")
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


async def test_a_regenerated_key_is_published_before_the_answer(
    storage: StorageManagementClient, cloud: Cloud, account: Account
) -> None:
    published: list[dict[str, str]] = []

    async def publish() -> None:
        published.append(dict(account.keys))

    cloud.publish_keys = publish
    await storage.storage_accounts.regenerate_key("models", "robustmodels", {"keyName": "key1"})
    assert published == [account.keys]


async def test_a_regenerated_kerberos_key_is_no_storage_key(
    storage: StorageManagementClient, account: Account
) -> None:
    before = dict(account.keys)
    await storage.storage_accounts.regenerate_key("models", "robustmodels", {"keyName": "kerb1"})
    assert account.keys == before
    assert set(account.kerberos_keys) == {"kerb1"}


async def test_a_person_can_change_tags_and_access(cloud: Cloud, entra: Entra, account: Account) -> None:
    credential = Credential(entra, cloud.identities["developer"])
    update = StorageAccountUpdateParameters(tags={"a": "b"}, allow_shared_key_access=False)
    async with StorageManagementClient(
        credential, SUBSCRIPTION_ID, transport=Transport(service.app(cloud, entra))
    ) as storage:
        changed = await storage.storage_accounts.update("models", "robustmodels", update)
    assert (changed.tags, changed.allow_shared_key_access) == ({"a": "b"}, False)
    assert account.properties["allowSharedKeyAccess"] is False
    assert account.properties["allowBlobPublicAccess"] is True


async def test_an_unknown_account_is_not_found(storage: StorageManagementClient) -> None:
    with pytest.raises(ResourceNotFoundError) as caught:
        await storage.storage_accounts.get_properties("models", "nosuch")
    assert caught.value.error.code == "ResourceNotFound"


async def test_an_account_is_not_found_in_another_group(storage: StorageManagementClient, cloud: Cloud) -> None:
    cloud.accounts["elsewhere"] = Account(name="elsewhere", resource_group="other")
    with pytest.raises(ResourceNotFoundError) as caught:
        await storage.storage_accounts.get_properties("other", "robustmodels")
    assert caught.value.error.code == "ResourceNotFound"


async def test_an_unknown_group_is_not_found(storage: StorageManagementClient) -> None:
    with pytest.raises(ResourceNotFoundError) as caught:
        await storage.storage_accounts.list_keys("nosuch", "robustmodels")
    assert caught.value.error.code == "ResourceGroupNotFound"


# Locks and rights


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/listKeys", None),
        ("POST", "/regenerateKey", {"keyName": "key1"}),
        ("PATCH", "", {"tags": {}}),
    ],
)
async def test_a_read_only_lock_blocks_all_but_reading(
    *, cloud: Cloud, entra: Entra, account: Account, method: str, path: str, body: object
) -> None:
    account.locks.append("ReadOnly")
    before = dict(account.keys)
    async with raw(cloud, entra) as http:
        refused = await http.request(method, f"{ACCOUNT}{path}?{API}", json=body)
        read = await http.get(f"{ACCOUNT}?{API}")
    assert (refused.status_code, code(refused), read.status_code) == (409, "ScopeLocked", 200)
    assert account.keys == before


async def test_a_lock_against_deleting_does_not_block_regenerating(
    storage: StorageManagementClient, account: Account
) -> None:
    account.locks.append("CanNotDelete")
    await storage.storage_accounts.regenerate_key("models", "robustmodels", {"keyName": "key1"})
    assert len(account.rotations) == 1


async def test_a_missing_right_is_named_with_its_scope(cloud: Cloud, entra: Entra, account: Account) -> None:
    async with raw(cloud, entra, "reader") as http:
        response = await http.post(f"{ACCOUNT}/regenerateKey?{API}", json={"keyName": "key1"})
    message = response.json()["error"]["message"]
    assert (response.status_code, code(response)) == (403, "AuthorizationFailed")
    assert "perform action 'Microsoft.Storage/storageAccounts/regenerateKey/action'" in message
    assert f"over scope '{account.id}'" in message
    assert account.rotations == []


async def test_reading_does_not_give_the_right_to_list_keys(cloud: Cloud, entra: Entra) -> None:
    cloud.identities["auditor"] = Identity(
        name="auditor",
        object_id="11111111-1111-1111-1111-111111111111",
        client_id="22222222-2222-2222-2222-222222222222",
        rights=frozenset({"Microsoft.Storage/storageAccounts/read"}),
    )
    async with raw(cloud, entra, "auditor") as http:
        read = await http.get(f"{ACCOUNT}?{API}")
        keys = await http.post(f"{ACCOUNT}/listKeys?{API}")
    assert (read.status_code, keys.status_code) == (200, 403)


async def test_identity_without_write_permission_may_not_change_an_account(cloud: Cloud, entra: Entra) -> None:
    async with raw(cloud, entra, "reader") as http:
        response = await http.patch(f"{ACCOUNT}?{API}", json={"tags": {}})
    assert response.status_code == 403


async def test_without_a_token_nothing_is_answered(cloud: Cloud, entra: Entra) -> None:
    async with client(service.app(cloud, entra), "management.azure.com") as http:
        response = await http.get(f"{ACCOUNT}?{API}")
    assert (response.status_code, code(response)) == (401, "AuthenticationFailed")
    assert response.headers["www-authenticate"].startswith("Bearer authorization_uri=")


@pytest.mark.parametrize(
    ("audience", "lifetime", "expected"),
    [
        ("https://storage.azure.com", timedelta(hours=1), "InvalidAuthenticationTokenAudience"),
        ("https://management.azure.com", timedelta(seconds=-1), "ExpiredAuthenticationToken"),
    ],
)
async def test_a_token_must_be_for_arm_and_alive(
    cloud: Cloud, entra: Entra, audience: str, lifetime: timedelta, expected: str
) -> None:
    token = entra.mint(cloud.identities["developer"], audience=audience, lifetime=lifetime)
    async with client(service.app(cloud, entra), "management.azure.com", token=token) as http:
        response = await http.get(f"{ACCOUNT}?{API}")
    assert (response.status_code, code(response)) == (401, expected)


# The protocol


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
async def test_a_wrong_request_is_refused(
    *, cloud: Cloud, entra: Entra, method: str, url: str, status: int, expected: str
) -> None:
    async with raw(cloud, entra) as http:
        response = await http.request(method, url)
    assert (response.status_code, code(response)) == (status, expected)


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
async def test_a_wrong_regenerate_body_regenerates_nothing(
    *,
    cloud: Cloud,
    entra: Entra,
    account: Account,
    content: bytes,
    content_type: str,
    status: int,
    expected: str,
) -> None:
    async with raw(cloud, entra) as http:
        response = await http.post(
            f"{ACCOUNT}/regenerateKey?{API}", content=content, headers={"content-type": content_type}
        )
    assert (response.status_code, code(response)) == (status, expected)
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
        {"sku": {"name": "Standard_LRS"}},
    ],
)
async def test_a_wrong_update_changes_nothing(
    cloud: Cloud, entra: Entra, account: Account, body: dict[str, object]
) -> None:
    before = (dict(account.tags), dict(account.properties))
    async with raw(cloud, entra) as http:
        # Not httpx's own encoding: it does not write half a surrogate pair, which json.dumps escapes.
        content = json.dumps(body | {"tags": body.get("tags", {"new": "1"})})
        headers = {"content-type": "application/json"}
        response = await http.patch(f"{ACCOUNT}?{API}", content=content, headers=headers)
    assert response.status_code == 400
    assert (account.tags, account.properties) == before


async def test_the_network_can_be_closed(cloud: Cloud, entra: Entra, account: Account) -> None:
    body = {"properties": {"publicNetworkAccess": "Disabled", "networkAcls": {"defaultAction": "Deny"}}}
    async with raw(cloud, entra) as http:
        response = await http.patch(f"{ACCOUNT}?{API}", json=body)
    assert response.json()["properties"]["networkAcls"]["defaultAction"] == "Deny"
    assert account.properties["publicNetworkAccess"] == "Disabled"


async def test_every_answer_has_correlation_ids_and_returns_the_clients_own(cloud: Cloud, entra: Entra) -> None:
    sent = "33333333-3333-3333-3333-333333333333"
    async with raw(cloud, entra) as http:
        headers = {"x-ms-correlation-request-id": sent}
        echoed = await http.get(f"{ACCOUNT}?{API}", headers=headers)
        refused = await http.get(ACCOUNT)
    assert echoed.headers["x-ms-correlation-request-id"] == sent
    assert echoed.headers["x-ms-request-id"] != sent
    assert re.fullmatch(r"[0-9a-f-]{36}", refused.headers["x-ms-correlation-request-id"])


async def test_subscriptions_are_listed_to_those_who_may_read_them(cloud: Cloud, entra: Entra) -> None:
    listed = {}
    for name in ("developer", "reader"):
        async with raw(cloud, entra, name) as http:
            response = await http.get("/subscriptions?api-version=2022-12-01")
        listed[name] = [entry["subscriptionId"] for entry in response.json()["value"]]
    assert listed == {"developer": [SUBSCRIPTION_ID], "reader": []}


# Resource Graph, by azure-mgmt-resourcegraph


def request(query: str = QUERY, subscriptions: list[str] | None = None) -> QueryRequest:
    return QueryRequest(
        query=query,
        subscriptions=subscriptions or [SUBSCRIPTION_ID],
        options=QueryRequestOptions(result_format="objectArray"),
    )


async def test_the_products_query_finds_an_account_by_name(graph: ResourceGraphClient, account: Account) -> None:
    result = await graph.resources(request())
    assert (result.total_records, result.result_truncated) == (1, "false")
    (row,) = result.data
    assert set(row) == {"id", "customDomain", "primaryEndpoints", "secondaryEndpoints"}
    assert (row["id"], row["customDomain"]) == (account.id, "")
    assert row["secondaryEndpoints"]["queue"] == "https://robustmodels-secondary.queue.core.windows.net/"


async def test_a_query_finds_an_account_by_its_custom_domain(graph: ResourceGraphClient, account: Account) -> None:
    account.properties["customDomain"] = {"name": "Models.Contoso.com"}
    found = await graph.resources(
        request(QUERY_BY_DOMAIN.replace("robustmodels.blob.core.windows.net", "models.contoso.com"))
    )
    assert [row["customDomain"] for row in found.data] == ["Models.Contoso.com"]


async def test_a_query_for_an_unknown_name_finds_nothing(graph: ResourceGraphClient) -> None:
    result = await graph.resources(request(QUERY.replace("robustmodels", "nosuchaccount")))
    assert (result.count, result.data) == (0, [])


async def test_a_query_for_all_accounts_goes_on_where_its_token_says(
    graph: ResourceGraphClient, cloud: Cloud
) -> None:
    for number in range(4):
        cloud.accounts[f"more{number}"] = Account(f"more{number}", "research")
    whole = request(re.sub(r"\| where (name|tostring).*\n", "", QUERY))
    whole.options.top = 3
    names, token = [], None
    for _ in range(9):
        whole.options.skip_token = token
        page = await graph.resources(whole)
        names += [row["id"].rpartition("/")[2] for row in page.data]
        token = page.skip_token
        if token is None:
            break
    assert sorted(names) == sorted(cloud.accounts)


async def test_a_place_that_no_answer_gave_is_invalid(graph: ResourceGraphClient) -> None:
    elsewhere = request()
    elsewhere.options.skip_token = "bm90aGluZw=="
    with pytest.raises(HttpResponseError) as caught:
        await graph.resources(elsewhere)
    assert [detail.code for detail in caught.value.error.details] == ["InvalidQueryOptions"]


async def test_white_space_in_the_query_does_not_matter(graph: ResourceGraphClient) -> None:
    result = await graph.resources(request(" ".join(QUERY.split())))
    assert result.count == 1


@pytest.mark.parametrize(
    "query",
    [
        "resources",
        QUERY.replace("project id", "project subscriptionId"),
        QUERY + " | take 1",
        QUERY.replace("where type", "wheretype"),
        QUERY.replace("'robustmodels' or", "'RobustModels' or"),
        QUERY.replace("'robustmodels' or", "'ab' or"),
        QUERY.replace("'robustmodels' or", "'x' or 1 == 1 or name =~ 'x' or"),
        QUERY.replace("robustmodels.blob", "robust_models.blob"),
    ],
)
async def test_any_other_query_is_invalid(graph: ResourceGraphClient, query: str) -> None:
    with pytest.raises(HttpResponseError) as caught:
        await graph.resources(request(query))
    assert (caught.value.status_code, caught.value.error.code) == (400, "BadRequest")
    assert [detail.code for detail in caught.value.error.details] == ["InvalidQuery"]


@pytest.mark.parametrize(
    ("subscription", "expected"),
    [
        (OTHER_SUBSCRIPTION, "NoValidSubscriptionsInQueryRequest"),
        ("mine", "SubscriptionsContainInvalidGuids"),
    ],
)
async def test_only_our_own_subscription_can_be_searched(
    graph: ResourceGraphClient, subscription: str, expected: str
) -> None:
    with pytest.raises(HttpResponseError) as caught:
        await graph.resources(request(subscriptions=[subscription]))
    assert [detail.code for detail in caught.value.error.details] == [expected]


async def test_accounts_that_the_caller_may_not_read_are_not_found(cloud: Cloud, entra: Entra) -> None:
    cloud.identities["searcher"] = Identity(
        name="searcher",
        object_id="11111111-1111-1111-1111-111111111111",
        client_id="22222222-2222-2222-2222-222222222222",
        rights=frozenset({"Microsoft.ResourceGraph/resources/read"}),
    )
    async with raw(cloud, entra, "searcher") as http:
        response = await http.post(RESOURCES, json={"query": QUERY, "subscriptions": [SUBSCRIPTION_ID]})
    assert (response.status_code, response.json()["data"]) == (200, [])


async def test_searching_needs_its_own_right(cloud: Cloud, entra: Entra) -> None:
    async with raw(cloud, entra, "reader") as http:
        response = await http.post(RESOURCES, json={"query": QUERY, "subscriptions": [SUBSCRIPTION_ID]})
    assert (response.status_code, code(response)) == (403, "AccessDenied")


@pytest.mark.parametrize(
    "body",
    [
        {"subscriptions": [SUBSCRIPTION_ID]},
        {"query": QUERY, "scope": "tenant"},
        {"query": QUERY, "options": {"resultFormat": "table"}},
        {"query": QUERY, "options": {"$top": 0}},
        {"query": QUERY, "options": {"$skipToken": "x"}},
        {"query": QUERY, "options": []},
        {"query": QUERY, "subscriptions": SUBSCRIPTION_ID},
    ],
)
async def test_a_wrong_search_request_is_refused(cloud: Cloud, entra: Entra, body: dict[str, object]) -> None:
    async with raw(cloud, entra) as http:
        response = await http.post(RESOURCES, json=body)
    assert (response.status_code, code(response)) == (400, "BadRequest")


async def test_a_query_that_is_nested_without_end_is_refused(cloud: Cloud, entra: Entra) -> None:
    headers = {"content-type": "application/json"}
    async with raw(cloud, entra) as http:
        response = await http.post(RESOURCES, content=b'{"query":' * 20_000, headers=headers)
    assert (response.status_code, code(response)) == (400, "InvalidRequestContent")
