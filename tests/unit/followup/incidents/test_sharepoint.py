"""One incident for a revocation, whatever fails on the way. Through the real Graph adapter and SDK."""

from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from shared.cloud.graph import Graph
from shared.domain.revocation import Owner
from shared.errors import Blocked, TransientFailure
from shared.followup.incidents.sharepoint import SharePointIncidents
from tests.support.briefings import STATES, briefing
from tests.support.fake_graph import LIST, SITE, Credential, FakeGraph, Fault, error


@pytest.fixture
def service() -> FakeGraph:
    return FakeGraph()


@pytest.fixture
async def incidents(service: FakeGraph) -> AsyncIterator[SharePointIncidents]:
    graph = Graph(Credential(), base_url="https://graph.microsoft.com", transport=service.transport)
    yield SharePointIncidents(graph, site=SITE, list_=LIST)
    await graph.close()


async def test_an_incident_holds_the_facts(service: FakeGraph, incidents: SharePointIncidents) -> None:
    item = await incidents.file(briefing())
    assert service.items[item] == {
        "FindingId": "ab" * 32,
        "Title": "Leaked account SAS of storage account robustmodels: verified revoked",
        "Severity": "Critical",
        "Status": "proven",
        "Account": "robustmodels",
        "ResourceId": briefing().account_id,
        "Key": "key2",
        "Source": "github",
        "Owners": "model-owner@contoso.com",
        "DetectedAt": "2026-11-21T02:57:43Z",
        "Summary": (
            "The leaked account SAS of storage account robustmodels is verified revoked. "
            "Everything else that used key2 stopped working. See below how to recover.\n"
            "Anyone could read, write and delete everything in the account until 2051.\n"
            "Action: key2 was regenerated 2.1 s after the event arrived.\n"
            "Verification: A token of our own was accepted before and refused 6 times after.\n"
            "Found at hxxps://github[.]com/contoso/robust-models/blob/4c1be9d/README.md#L14\n"
            "C3ID: Zm9vYmFyYmF6cXV4MTIz\n"
            "Impact: Every SAS and connection string made with key2.\n"
            "Print the new key: az storage account keys list --subscription 3d8f6a52-91c4-4b7e-8f0d-5b2a7c9e1f33 "
            "--resource-group research --account-name robustmodels "
            "--query \"[?keyName=='key2'].value\" --output tsv\n"
            "Open item: Usage is unknown: the account has no logs."
        ),
        "NextStep": "1. Remove it from the README: `git rm README.md`",
    }


async def test_filing_again_updates_the_one_incident(service: FakeGraph, incidents: SharePointIncidents) -> None:
    first = await incidents.file(briefing(state="contained"))
    second = await incidents.file(briefing(state="proven"))
    assert first == second
    assert [item["Status"] for item in service.items.values()] == ["proven"]


@pytest.mark.parametrize("state", STATES)
async def test_an_incident_follows_each_state(service: FakeGraph, incidents: SharePointIncidents, state: str) -> None:
    item = await incidents.file(briefing(state="received"))
    await incidents.update(item, briefing(state=state))
    assert service.items[item]["Status"] == state


def _lost(_request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("connection reset")


@pytest.mark.parametrize(
    "answer", [_lost, lambda _: error(503, "serviceNotAvailable"), lambda _: httpx.Response(201)]
)
async def test_an_incident_whose_answer_was_lost_is_found(
    service: FakeGraph, incidents: SharePointIncidents, answer: Callable[[httpx.Request], httpx.Response]
) -> None:
    service.faults.append(Fault("POST", answer, after=True))
    assert await incidents.file(briefing()) == "1"
    assert (len(service.items), service.count("POST")) == (1, 1)


async def test_another_instance_that_was_first_leaves_one_incident(
    service: FakeGraph, incidents: SharePointIncidents
) -> None:
    await incidents.file(briefing())
    service.faults.append(Fault("GET", lambda _: httpx.Response(200, json={"value": []})))  # before the other's
    assert await incidents.file(briefing()) == "1"
    assert len(service.items) == 1


async def test_a_create_that_did_not_happen_is_reported(service: FakeGraph, incidents: SharePointIncidents) -> None:
    service.faults.append(Fault("POST", lambda _: error(503, "serviceNotAvailable")))
    with pytest.raises(TransientFailure, match="Filing the incident failed: 503"):
        await incidents.file(briefing())
    assert service.count("POST") == 1


async def test_nothing_is_created_when_the_first_search_fails(
    service: FakeGraph, incidents: SharePointIncidents
) -> None:
    service.faults.append(Fault("GET", lambda _: error(403, "accessDenied")))
    with pytest.raises(Blocked):
        await incidents.file(briefing())
    assert service.count("POST") == 0


@pytest.mark.parametrize("fingerprint", ["", "ab" * 31, "AB" * 32, "' or 1 eq 1 or '", "ab" * 32 + "\n"])
async def test_only_a_fingerprint_goes_into_the_filter(
    service: FakeGraph, incidents: SharePointIncidents, fingerprint: str
) -> None:
    with pytest.raises(ValueError, match="64 lower-case hex digits"):
        await incidents.file(briefing(fingerprint=fingerprint))
    assert service.requests == []


async def test_columns_of_one_line_stay_in_their_limit(service: FakeGraph, incidents: SharePointIncidents) -> None:
    long = "x" * 400
    owners = tuple(Owner(f"{'x' * 60}{number}@contoso.com", None, "tag owner") for number in range(5))
    item = await incidents.file(briefing(account=long, key_name=long, source=long, kind=long, owners=owners))
    one_line = {name: text for name, text in service.items[item].items() if name not in ("Summary", "NextStep")}
    assert all(len(text) <= 255 for text in one_line.values())


async def test_a_secret_in_a_field_does_not_reach_the_incident(
    service: FakeGraph, incidents: SharePointIncidents
) -> None:
    signature = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfG="
    leak = f"https://a.blob.core.windows.net/c?sv=2021-08-06&sig={signature}"
    item = await incidents.file(
        briefing(found_at_url=leak, done=leak, proven=leak, grants=leak, source=leak, next_steps=(leak,))
    )
    assert signature not in str(service.items[item])
