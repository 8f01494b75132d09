import asyncio
import base64
from collections.abc import AsyncIterator

import httpx
import pytest

from local.cloud.cloud import LocalCloud
from local.network.faults import Effect, Fault
from local.network.front import redact
from local.tenant.model import RecordedRequest
from tests.support.cloud_clients import browser
from tests.support.patience import PATIENCE

DISCOVERY = "https://login.microsoftonline.com/contoso.com/.well-known/openid-configuration"


@pytest.fixture
async def client(cloud: LocalCloud) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(cloud) as opened:
        yield opened
    cloud.faults.clear()


def last_request(cloud: LocalCloud) -> RecordedRequest:
    return cloud.model.requests[-1]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("sv=2021&sig=abc%2B%3D&se=1", "sv=2021&sig=REDACTED&se=1"),
        ("%73ig=abc", "%73ig=REDACTED"),
        ("SIG=abc", "SIG=REDACTED"),
        ("%2573ig=abc", "%2573ig=REDACTED"),
        ("url=https%3A%2F%2Fx%3Fsv%3D1%26sig%3Dabc", "url=REDACTED"),
        ("sig%3Dabc", "REDACTED"),
        ("sign=abc&design=1", "sign=abc&design=1"),
        ("", ""),
    ],
)
def test_signatures_are_redacted_however_they_are_encoded(query: str, expected: str) -> None:
    assert redact("/c/b", query) == ("/c/b?" + expected if expected else "/c/b")


def test_signature_in_a_path_is_redacted() -> None:
    assert "abc" not in redact("/c/https%3A%2F%2Fx%3Fsig%3Dabc", "")


async def test_request_reaches_the_stand_in_of_its_host(client: httpx.AsyncClient) -> None:
    assert (await client.get(DISCOVERY)).json()["jwks_uri"].startswith("https://login.microsoftonline.com/")


async def test_known_host_without_stand_in_is_answered_502(client: httpx.AsyncClient) -> None:
    answer = await client.get("https://another.westeurope-1.eventgrid.azure.net/")
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "NoStandIn")


async def test_host_header_decides_and_an_unknown_one_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.get("https://graph.microsoft.com/", headers={"host": "example.com"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "UnknownHost")


async def test_request_is_recorded(cloud: LocalCloud, client: httpx.AsyncClient) -> None:
    await client.get(DISCOVERY)
    recorded = last_request(cloud)
    assert (recorded.method, recorded.url, recorded.status, recorded.identity) == ("GET", DISCOVERY, 200, None)


async def test_identity_is_recorded_by_its_name(cloud: LocalCloud, client: httpx.AsyncClient) -> None:
    token = cloud.entra.mint(cloud.model.identities["reader"], audience="https://graph.microsoft.com")
    await client.get("https://graph.microsoft.com/v1.0/x", headers={"authorization": f"Bearer {token}"})
    assert last_request(cloud).identity == "reader"


ENDLESS = base64.urlsafe_b64encode(b"[" * 40_000).decode()


@pytest.mark.parametrize(
    "token", ["x", "a.b.c", "a.e30.c", "a.bnVsbA.c", pytest.param(f"a.{ENDLESS}.c", id="nested")]
)
async def test_invalid_token_has_no_identity(cloud: LocalCloud, client: httpx.AsyncClient, token: str) -> None:
    answer = await client.get("https://graph.microsoft.com/v1.0/x", headers={"authorization": f"Bearer {token}"})
    assert (answer.status_code, last_request(cloud).identity) == (401, None)


async def test_record_keeps_the_newest_requests_only(
    cloud: LocalCloud, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local.network.front._KEPT_REQUESTS", 3)
    for _ in range(5):
        await client.get(DISCOVERY)
    sequences = [recorded.sequence for recorded in cloud.model.requests]
    assert len(sequences) == 3
    assert sequences == list(range(sequences[0], sequences[0] + 3))


async def test_status_fault_replaces_the_response(cloud: LocalCloud, client: httpx.AsyncClient) -> None:
    cloud.faults.add(Fault(match="openid-configuration", effect=Effect.STATUS, status=429))
    assert (await client.get(DISCOVERY)).status_code == 429


async def test_status_fault_may_have_a_code_of_its_own(cloud: LocalCloud, client: httpx.AsyncClient) -> None:
    denial = "RequestDisallowedByPolicy"
    cloud.faults.add(Fault(match="openid-configuration", effect=Effect.STATUS, status=403, code=denial))
    answer = await client.get(DISCOVERY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, denial)
    assert answer.headers["x-ms-error-code"] == denial


async def test_fault_ends_after_its_times(cloud: LocalCloud, client: httpx.AsyncClient) -> None:
    cloud.faults.add(Fault(match="openid-configuration", effect=Effect.STATUS, status=500))
    await client.get(DISCOVERY)
    assert (await client.get(DISCOVERY)).status_code == 200


async def test_reset_fault_breaks_the_connection(cloud: LocalCloud, client: httpx.AsyncClient) -> None:
    cloud.faults.add(Fault(match="openid-configuration", effect=Effect.RESET))
    with pytest.raises(httpx.NetworkError):
        await client.get(DISCOVERY)
    assert last_request(cloud).status is None


async def test_hang_fault_never_answers(cloud: LocalCloud, client: httpx.AsyncClient) -> None:
    cloud.faults.add(Fault(match="openid-configuration", effect=Effect.HANG))
    with pytest.raises(httpx.ReadTimeout):
        await client.get(DISCOVERY, timeout=httpx.Timeout(PATIENCE, read=1))
    assert last_request(cloud).status is None


async def test_fault_before_keeps_the_request_from_the_service(cloud: LocalCloud, client: httpx.AsyncClient) -> None:
    before = len(cloud.model.events)
    cloud.faults.add(Fault(match="/api/events", effect=Effect.STATUS, status=503))
    assert (await publish(cloud, client)).status_code == 503
    assert len(cloud.model.events) == before


async def test_fault_after_executes_the_request_and_loses_the_response(
    cloud: LocalCloud, client: httpx.AsyncClient
) -> None:
    before = len(cloud.model.events)
    cloud.faults.add(Fault(match="/api/events", effect=Effect.RESET, after=True))
    with pytest.raises(httpx.NetworkError):
        await publish(cloud, client)
    assert len(cloud.model.events) == before + 1


async def test_delay_precedes_the_response(
    cloud: LocalCloud, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await real(0)

    monkeypatch.setattr("local.network.front.asyncio.sleep", sleep)
    cloud.faults.add(Fault(match="openid-configuration", effect=Effect.NONE, delay_ms=1500))
    answer = await client.get(DISCOVERY)
    assert (answer.status_code, 1.5 in slept) == (200, True)


async def publish(cloud: LocalCloud, client: httpx.AsyncClient) -> httpx.Response:
    token = cloud.entra.mint(cloud.model.identities["developer"], audience="https://eventgrid.azure.net")
    event = {"specversion": "1.0", "id": "1", "type": "Test.Happened.v1", "source": "/tests", "data": {}}
    return await client.post(
        "https://sasquash.westeurope-1.eventgrid.azure.net/api/events?api-version=2018-01-01",
        json=event,
        headers={"authorization": f"Bearer {token}", "content-type": "application/cloudevents+json"},
    )
