"""The stand-in for Application Insights: it accepts what Microsoft's exporter sends, and nothing else."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from local.entra.tokens import ARM, Entra
from local.monitor import insights
from local.monitor.insights import INSTRUMENTATION_KEY
from local.network.hostnames import INSIGHTS_HOST
from local.tenant.model import Cloud
from tests.local.monitor.conftest import Bearer
from tests.support.asgi import client

TRACK = "/v2.1/track"


@pytest.fixture
async def api(cloud: Cloud, entra: Entra) -> AsyncIterator[httpx.AsyncClient]:
    async with client(insights.app(cloud, entra), INSIGHTS_HOST) as opened:
        yield opened


def item(**base: Any) -> dict[str, Any]:
    data = {"ver": 2, "id": "00f067aa0ba902b7", "name": "contained", "duration": "0.00:00:02.000000"} | base
    return {
        "name": "Microsoft.ApplicationInsights.RemoteDependency",
        "time": "2026-11-21T10:00:05.000000Z",
        "iKey": INSTRUMENTATION_KEY,
        "data": {"baseType": "RemoteDependencyData", "baseData": data},
    }


async def test_item_is_kept(api: httpx.AsyncClient, cloud: Cloud, bearer: Bearer) -> None:
    answer = await api.post(TRACK, json=[item()], headers=bearer())

    assert (answer.status_code, answer.json()["itemsAccepted"]) == (200, 1)
    assert cloud.telemetry == [item()]


@pytest.mark.parametrize(
    "broken",
    [
        item() | {"iKey": "00000000-0000-0000-0000-000000000000"},
        item(id=None),
        item(name="x" * 1025),
        {key: value for key, value in item().items() if key != "time"},
        "text",
    ],
    ids=["of another resource", "without an id", "with a long name", "without a time", "no object"],
)
async def test_invalid_item_is_refused_and_the_others_are_kept(
    api: httpx.AsyncClient, cloud: Cloud, bearer: Bearer, broken: Any
) -> None:
    answer = await api.post(TRACK, json=[broken, item()], headers=bearer())

    assert (answer.status_code, answer.json()["errors"][0]["index"]) == (206, 0)
    assert cloud.telemetry == [item()]


@pytest.mark.parametrize("body", [b"{}", b"not JSON"])
async def test_body_that_is_not_an_array_is_refused(api: httpx.AsyncClient, bearer: Bearer, body: bytes) -> None:
    answer = await api.post(TRACK, content=body, headers=bearer())

    assert answer.status_code == 400


async def test_telemetry_requires_the_right(api: httpx.AsyncClient, cloud: Cloud, bearer: Bearer) -> None:
    without = await api.post(TRACK, json=[item()])
    elsewhere = await api.post(TRACK, json=[item()], headers=bearer(audience=ARM))
    reader = await api.post(TRACK, json=[item()], headers=bearer("reader"))

    assert [answer.status_code for answer in (without, elsewhere, reader)] == [401, 401, 403]
    assert cloud.telemetry == []
