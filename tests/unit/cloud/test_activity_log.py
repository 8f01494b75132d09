"""Events of the activity log, as Azure documents them and as a caller may have made them.

Sources: Azure/azure-rest-api-specs, Microsoft.Insights 2015-04-01, activityLogs_API.json (`$filter`, EventData,
nextLink; `$select` has no `caller`); MicrosoftDocs/azure-monitor-docs, "Azure Activity Log event schema",
Administrative category, whose sample event EVENT is.
"""

import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pytest

from shared.cloud import activity_log
from shared.cloud.activity_log import Activity, ActivityLog
from tests.support import samples
from tests.support.samples import ACCOUNT_ID, NOW, SUBSCRIPTION

OPERATION = "Microsoft.Storage/storageAccounts/regenerateKey/action"
ID = "04e575f8-48d0-4c43-a8b3-78c4eb01d287"
EVENT: dict[str, Any] = {
    "caller": "rob@contoso.com",
    "claims": {
        "appid": "00001111-aaaa-2222-bbbb-3333cccc4444",
        "name": "Rob Robertson",
        "http://schemas.microsoft.com/identity/claims/objectidentifier": "f409edeb-4d29-44b5-9763-ee9348ad91bb",
    },
    "correlationId": "aaaa0000-bb11-2222-33cc-444444dddddd",
    "eventTimestamp": "2018-01-29T20:42:31.3810679Z",
    "httpRequest": {"clientIpAddress": "203.0.113.7"},
    "operationId": ID,
    "operationName": {"value": OPERATION, "localizedValue": OPERATION},
    "status": {"value": "Succeeded", "localizedValue": "Succeeded"},
    "properties": {"statusCode": "OK", "responseBody": "", "requestbody": ""},
}
START = EVENT | {"status": {"value": "Started"}, "properties": {"requestbody": '{"keyName":"key1"}'}}


class Pages:
    """ARM's list, a page each."""

    def __init__(self, *pages: Sequence[dict[str, Any]]) -> None:
        self.given = pages
        self.read = 0
        self.path = ""

    async def pages(self, subscription: str, path: str, *, doing: str) -> AsyncIterator[Sequence[dict[str, Any]]]:
        assert (subscription, doing) == (SUBSCRIPTION, "Reading the activity log of robustmodels")
        self.path = path
        for page in self.given:
            self.read += 1
            yield page


async def read(*pages: Sequence[dict[str, Any]]) -> Activity:
    return await ActivityLog(Pages(*pages)).of(samples.account(), ACCOUNT_ID, since=NOW)  # type: ignore[arg-type]


async def test_event_has_the_fields_of_the_schema() -> None:
    [event] = (await read([EVENT])).events

    assert event.at == datetime(2018, 1, 29, 20, 42, 31, 381067, tzinfo=UTC)
    assert (event.operation, event.succeeded, event.caller) == (OPERATION, True, "rob@contoso.com")
    assert event.object_id == "f409edeb-4d29-44b5-9763-ee9348ad91bb"
    assert event.application == "00001111-aaaa-2222-bbbb-3333cccc4444"
    assert event.correlation_id == "aaaa0000-bb11-2222-33cc-444444dddddd"
    assert (event.address, event.request) == ("203.0.113.7", None)


async def test_success_has_the_request_of_the_start_of_its_operation() -> None:
    """The start and the success are events of their own; the query of "Alert on privileged Azure role assignments"
    reads `requestbody` of the start."""
    other = START | {"operationId": ID.replace("04", "05"), "properties": {"requestbody": '{"keyName":"key2"}'}}

    log = await read([EVENT], [other, START])

    assert [event.request for event in log.succeeded(OPERATION.upper())] == [{"keyName": "key1"}]


async def test_events_without_an_operation_id_share_no_request() -> None:
    log = await read([EVENT | {"operationId": ""}, START | {"operationId": None}])

    assert [event.request for event in log.succeeded(OPERATION)] == [None]


@pytest.mark.parametrize("until", [None, NOW + timedelta(hours=1, microseconds=1)])
async def test_query_is_one_of_the_documented_patterns(until: datetime | None) -> None:
    """`le` is left out where the time has no end: "it also requires at least the start date/time"."""
    pages = Pages([])

    await ActivityLog(pages).of(samples.account(), ACCOUNT_ID, since=NOW, until=until)  # type: ignore[arg-type]

    end = " and eventTimestamp le '2026-11-21T11:00:01Z'" if until else ""
    assert unquote(pages.path) == (
        f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Insights/eventtypes/management/values"
        f"?api-version=2015-04-01&$filter=eventTimestamp ge '2026-11-21T10:00:00Z'{end}"
        f" and resourceUri eq '{ACCOUNT_ID}'"
    )
    assert " " not in pages.path


HOSTILE: tuple[dict[str, Any], ...] = (
    {},
    {"caller": 7, "claims": "x", "operationName": None, "status": [], "properties": "", "httpRequest": 1},
    {"claims": {"appid": ["x"]}, "eventTimestamp": "yesterday", "correlationId": "x' or 1"},
    {"eventTimestamp": 5, "properties": {"requestbody": "[" * 40_000}},
    {"properties": {"requestbody": '"key1"'}},
    {"properties": {"requestbody": json.dumps({"keyName": "x" * 70_000})}},
)


@pytest.mark.parametrize("row", HOSTILE)
async def test_event_of_another_form_is_read_without_what_it_lacks(row: dict[str, Any]) -> None:
    [event] = (await read([row])).events

    assert (event.succeeded, event.at, event.correlation_id, event.request) == (False, None, "", None)


async def test_texts_of_a_caller_are_harmless() -> None:
    caller = "see https://evil.example/x\u202e\n`curl`" + "x" * 500

    [event] = (await read([EVENT | {"caller": caller}])).events

    assert event.caller.startswith("see hxxps://evil.example/x 'curl'")
    assert len(event.caller) == 200


async def test_time_without_a_zone_is_utc() -> None:
    [event] = (await read([EVENT | {"eventTimestamp": "2018-01-29T20:42:31"}])).events

    assert event.at == datetime(2018, 1, 29, 20, 42, 31, tzinfo=UTC)


async def test_long_log_is_read_to_a_limit_and_is_said_to_be_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity_log, "_MOST_EVENTS", 2)
    log = await read([EVENT], [EVENT], [EVENT])
    assert (len(log.events), log.complete) == (2, False)

    monkeypatch.setattr(activity_log, "_MOST_PAGES", 2)
    log = await read([], [EVENT], [])
    assert (len(log.events), log.complete) == (1, False)
    assert (await read([EVENT], [])).complete
