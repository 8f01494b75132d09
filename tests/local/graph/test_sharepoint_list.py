"""Items of the SharePoint list: created, found, updated, and what is refused."""

from typing import Any

import httpx
import pytest
from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph import GraphServiceClient
from msgraph.generated.models.field_value_set import FieldValueSet
from msgraph.generated.models.list_item import ListItem

from local.tenant.model import SHAREPOINT_LIST, SHAREPOINT_SITE, Cloud, Incident
from tests.support.graph_requests import FIELDS, ITEMS, error_code

# Every request builder of msgraph-sdk defines deprecated classes.
pytestmark = pytest.mark.filterwarnings("ignore:(This class|GetQueryParameters) is deprecated:DeprecationWarning")


def by_finding(finding_id: str) -> RequestConfiguration[Any]:
    from msgraph.generated.sites.item.lists.item.items.items_request_builder import ItemsRequestBuilder

    return RequestConfiguration(
        query_parameters=ItemsRequestBuilder.ItemsRequestBuilderGetQueryParameters(
            expand=["fields"], filter=f"fields/FindingId eq '{finding_id}'"
        )
    )


async def test_sdk_files_finds_and_updates_an_item(sdk: GraphServiceClient, cloud: Cloud) -> None:
    items = sdk.sites.by_site_id(SHAREPOINT_SITE).lists.by_list_id(SHAREPOINT_LIST).items
    created = await items.post(ListItem(fields=FieldValueSet(additional_data=dict(FIELDS))))
    assert created is not None
    assert created.id == "1"
    changes = FieldValueSet(additional_data={"Status": "Proven"})
    await items.by_list_item_id("1").fields.patch(changes)
    found = await items.get(by_finding("f1"))
    assert found is not None
    assert found.value is not None
    assert [item.fields.additional_data["Status"] for item in found.value if item.fields] == ["Proven"]
    assert cloud.incidents[0].fields == FIELDS | {"Status": "Proven"}


async def test_sdk_finds_nothing_where_nothing_was_filed(sdk: GraphServiceClient) -> None:
    items = sdk.sites.by_site_id(SHAREPOINT_SITE).lists.by_list_id(SHAREPOINT_LIST).items
    found = await items.get(by_finding("f1"))
    assert found is not None
    assert found.value == []


async def test_finding_id_is_unique_without_regard_to_case(raw: httpx.AsyncClient, cloud: Cloud) -> None:
    await raw.post(ITEMS, json={"fields": FIELDS})
    response = await raw.post(ITEMS, json={"fields": FIELDS | {"FindingId": "F1"}})
    assert (response.status_code, error_code(response)) == (400, "invalidRequest")
    assert "unique constraints" in response.json()["error"]["message"]
    assert len(cloud.incidents) == 1


async def test_update_cannot_take_anothers_finding_id(raw: httpx.AsyncClient, cloud: Cloud) -> None:
    await raw.post(ITEMS, json={"fields": FIELDS})
    await raw.post(ITEMS, json={"fields": {"FindingId": "f2"}})
    taken = await raw.patch(f"{ITEMS}/2/fields", json={"FindingId": "f1"})
    own = await raw.patch(f"{ITEMS}/2/fields", json={"FindingId": "f2"})
    assert (taken.status_code, own.status_code) == (400, 200)
    assert cloud.incidents[1].fields == {"FindingId": "f2"}


@pytest.mark.parametrize(
    "fields",
    [
        {"Titel": "2026-11-21T10:00:00Z"},
        {"Title": 1},
        {"Title": "x" * 256},
        {"Title": "two\nlines"},
        {"Summary": "x" * 64_000},
        {"DetectedAt": "yesterday"},
        {"DetectedAt": "2026-11-21T10:00:00"},
    ],
)
async def test_invalid_field_is_refused_and_nothing_is_filed(
    raw: httpx.AsyncClient, cloud: Cloud, fields: dict[str, object]
) -> None:
    response = await raw.post(ITEMS, json={"fields": FIELDS | fields})
    assert (response.status_code, error_code(response), cloud.incidents) == (400, "invalidRequest", [])


async def test_every_known_column_can_be_filled(raw: httpx.AsyncClient, cloud: Cloud) -> None:
    fields = FIELDS | {
        "Status": "Contained",
        "Account": "robustmodels",
        "ResourceId": "/subscriptions/" + "x" * 300,
        "Key": "key2",
        "Source": "https://github.com/" + "x" * 300,
        "Owners": "a@contoso.com; b@contoso.com",
        "DetectedAt": "2026-11-21T10:00:00Z",
        "Summary": "one\ntwo",
        "NextStep": "rotate\nconsumers",
    }
    response = await raw.post(ITEMS, json={"fields": fields})
    assert response.status_code == 201
    assert cloud.incidents[0].fields == fields


@pytest.mark.parametrize("body", [{}, {"fields": "x"}, {"fields": {}, "name": "x"}])
async def test_new_item_accepts_only_fields(raw: httpx.AsyncClient, body: dict[str, object]) -> None:
    response = await raw.post(ITEMS, json=body)
    assert (response.status_code, error_code(response)) == (400, "invalidRequest")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("$filter=fields/Status eq 'x'", "invalidRequest"),
        ("$filter=fields/Nosuch eq 'x'", "invalidRequest"),
        ("$filter=FindingId eq 'x'", "BadRequest"),
        ("$filter=fields/FindingId eq 'x' or fields/FindingId eq 'y'", "BadRequest"),
        ("$filter=fields/FindingId eq 'it's'", "BadRequest"),
        ("$orderby=fields/FindingId", "BadRequest"),
        ("$expand=columns", "BadRequest"),
        ("$top=0", "BadRequest"),
        ("$top=many", "BadRequest"),
    ],
)
async def test_invalid_list_query_is_refused(raw: httpx.AsyncClient, query: str, expected: str) -> None:
    await raw.post(ITEMS, json={"fields": FIELDS})
    response = await raw.get(f"{ITEMS}?{query}")
    assert (response.status_code, error_code(response)) == (400, expected)


async def test_refusal_names_the_column_without_index(raw: httpx.AsyncClient) -> None:
    response = await raw.get(f"{ITEMS}?$filter=fields/Status eq 'Contained'")
    assert "'Status' cannot be referenced in filter or orderby as it is not indexed" in response.text


async def test_quote_in_a_filter_is_doubled(raw: httpx.AsyncClient) -> None:
    await raw.post(ITEMS, json={"fields": {"FindingId": "it's"}})
    found = await raw.get(f"{ITEMS}?$filter=fields/FindingId eq 'it''s'")
    assert len(found.json()["value"]) == 1


async def test_fields_are_shown_only_when_expanded(raw: httpx.AsyncClient) -> None:
    await raw.post(ITEMS, json={"fields": FIELDS})
    plain = (await raw.get(ITEMS)).json()["value"][0]
    expanded = (await raw.get(f"{ITEMS}?$expand=fields($select=Title)")).json()["value"][0]
    assert "fields" not in plain
    assert {n for n in expanded["fields"] if not n.startswith("@")} == {"Title"}


async def test_long_list_has_pages(raw: httpx.AsyncClient) -> None:
    for number in range(5):
        await raw.post(ITEMS, json={"fields": {"FindingId": f"f{number}"}})
    seen: list[str] = []
    url = f"{ITEMS}?$top=2"
    while url:
        page = (await raw.get(url)).json()
        seen += [item["id"] for item in page["value"]]
        url = page.get("@odata.nextLink", "")
    assert seen == ["1", "2", "3", "4", "5"]


async def test_one_item_is_read_with_its_fields(raw: httpx.AsyncClient) -> None:
    await raw.post(ITEMS, json={"fields": FIELDS})
    found = await raw.get(f"{ITEMS}/1")
    missing = await raw.get(f"{ITEMS}/2")
    assert found.json()["fields"]["FindingId"] == "f1"
    assert (missing.status_code, error_code(missing)) == (404, "itemNotFound")


async def test_null_clears_a_field(raw: httpx.AsyncClient) -> None:
    await raw.post(ITEMS, json={"fields": FIELDS})
    response = await raw.patch(f"{ITEMS}/1/fields", json={"Severity": None})
    assert "Severity" not in response.json()


async def test_update_with_an_old_etag_is_refused(raw: httpx.AsyncClient, cloud: Cloud) -> None:
    etag = (await raw.post(ITEMS, json={"fields": FIELDS})).json()["eTag"]
    url, headers = f"{ITEMS}/1/fields", {"if-match": etag}
    first = await raw.patch(url, json={"Status": "Proven"}, headers=headers)
    second = await raw.patch(url, json={"Status": "Closed"}, headers=headers)
    assert (first.status_code, second.status_code) == (200, 412)
    assert cloud.incidents[0].fields["Status"] == "Proven"


async def test_items_of_other_sinks_are_not_in_the_list(raw: httpx.AsyncClient, cloud: Cloud) -> None:
    cloud.incidents.append(Incident(item_id="sentinel-1", sink="sentinel", fields={"FindingId": "f1"}))
    created = await raw.post(ITEMS, json={"fields": FIELDS})
    assert (created.status_code, created.json()["id"]) == (201, "1")


@pytest.mark.parametrize(
    "path",
    [
        ITEMS.replace(SHAREPOINT_SITE, "contoso.sharepoint.com,other,site"),
        ITEMS.replace(SHAREPOINT_LIST, "Incidents"),
    ],
)
async def test_no_other_site_or_list_is_there(raw: httpx.AsyncClient, path: str) -> None:
    response = await raw.get(path)
    assert (response.status_code, error_code(response)) == (404, "itemNotFound")
