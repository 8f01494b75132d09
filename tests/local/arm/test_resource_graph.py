"""Resource Graph, with azure-mgmt-resourcegraph."""

import re

import pytest
from azure.core.exceptions import HttpResponseError
from azure.mgmt.resourcegraph.aio import ResourceGraphClient
from azure.mgmt.resourcegraph.models import QueryRequest, QueryRequestOptions

from local.entra.service import Entra
from local.tenant.model import SUBSCRIPTION_ID, Account, Cloud, Identity
from tests.support.arm_requests import (
    OTHER_SUBSCRIPTION,
    QUERY,
    QUERY_BY_DOMAIN,
    RESOURCES,
    arm_client,
    error_code,
)


def request(query: str = QUERY, subscriptions: list[str] | None = None) -> QueryRequest:
    return QueryRequest(
        query=query,
        subscriptions=subscriptions or [SUBSCRIPTION_ID],
        options=QueryRequestOptions(result_format="objectArray"),
    )


async def test_products_query_finds_an_account_by_name(graph: ResourceGraphClient, account: Account) -> None:
    result = await graph.resources(request())
    assert (result.total_records, result.result_truncated) == (1, "false")
    (row,) = result.data
    assert set(row) == {"id", "customDomain", "primaryEndpoints", "secondaryEndpoints"}
    assert (row["id"], row["customDomain"]) == (account.id, "")
    assert row["secondaryEndpoints"]["queue"] == "https://robustmodels-secondary.queue.core.windows.net/"


async def test_query_finds_an_account_by_its_custom_domain(graph: ResourceGraphClient, account: Account) -> None:
    account.properties["customDomain"] = {"name": "Models.Contoso.com"}
    found = await graph.resources(
        request(QUERY_BY_DOMAIN.replace("robustmodels.blob.core.windows.net", "models.contoso.com"))
    )
    assert [row["customDomain"] for row in found.data] == ["Models.Contoso.com"]


async def test_query_for_several_names_and_domains_finds_each(
    graph: ResourceGraphClient, account: Account, tenant: Cloud
) -> None:
    """learn.microsoft.com/kusto/query/in-operator: `in~` compares with each value, without regard to case."""
    tenant.accounts["byname"] = Account("byname", "research")
    account.properties["customDomain"] = {"name": "Models.Contoso.com"}
    several = QUERY.replace("name =~ 'robustmodels'", "name in~ ('byname', 'nosuchaccount')").replace(
        "=~ 'robustmodels.blob.core.windows.net'", "in~ ('models.contoso.com', 'byname.blob.core.windows.net')"
    )
    found = await graph.resources(request(several))
    assert {row["id"].rpartition("/")[2] for row in found.data} == {"byname", "robustmodels"}


async def test_query_for_an_unknown_name_finds_nothing(graph: ResourceGraphClient) -> None:
    result = await graph.resources(request(QUERY.replace("robustmodels", "nosuchaccount")))
    assert (result.count, result.data) == (0, [])


async def test_query_for_all_accounts_continues_at_its_skip_token(graph: ResourceGraphClient, tenant: Cloud) -> None:
    for number in range(4):
        tenant.accounts[f"more{number}"] = Account(f"more{number}", "research")
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
    assert sorted(names) == sorted(tenant.accounts)


async def test_unknown_skip_token_is_invalid(graph: ResourceGraphClient) -> None:
    elsewhere = request()
    elsewhere.options.skip_token = "bm90aGluZw=="
    with pytest.raises(HttpResponseError) as caught:
        await graph.resources(elsewhere)
    assert [detail.code for detail in caught.value.error.details] == ["InvalidQueryOptions"]


async def test_white_space_in_the_query_is_ignored(graph: ResourceGraphClient) -> None:
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
        QUERY.replace("=~ 'robustmodels' or", "in~ () or"),
        QUERY.replace("=~ 'robustmodels' or", "in~ ('x', 'y) or"),
        QUERY.replace("=~ 'robustmodels' or", "in~ ('x') or true or name in~ ('x') or"),
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


async def test_accounts_that_the_caller_may_not_read_are_not_found(tenant: Cloud, entra: Entra) -> None:
    tenant.identities["searcher"] = Identity(
        name="searcher",
        object_id="11111111-1111-1111-1111-111111111111",
        client_id="22222222-2222-2222-2222-222222222222",
        rights=frozenset({"Microsoft.ResourceGraph/resources/read"}),
    )
    async with arm_client(tenant, entra, "searcher") as http:
        response = await http.post(RESOURCES, json={"query": QUERY, "subscriptions": [SUBSCRIPTION_ID]})
    assert (response.status_code, response.json()["data"]) == (200, [])


async def test_searching_needs_its_own_right(tenant: Cloud, entra: Entra) -> None:
    async with arm_client(tenant, entra, "reader") as http:
        response = await http.post(RESOURCES, json={"query": QUERY, "subscriptions": [SUBSCRIPTION_ID]})
    assert (response.status_code, error_code(response)) == (403, "AccessDenied")


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
async def test_invalid_search_request_is_refused(tenant: Cloud, entra: Entra, body: dict[str, object]) -> None:
    async with arm_client(tenant, entra) as http:
        response = await http.post(RESOURCES, json=body)
    assert (response.status_code, error_code(response)) == (400, "BadRequest")


async def test_query_nested_too_deeply_is_refused(tenant: Cloud, entra: Entra) -> None:
    headers = {"content-type": "application/json"}
    async with arm_client(tenant, entra) as http:
        response = await http.post(RESOURCES, content=b'{"query":' * 20_000, headers=headers)
    assert (response.status_code, error_code(response)) == (400, "InvalidRequestContent")
