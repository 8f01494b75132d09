"""The stand-in for Sentinel's incidents: what a PUT replaces, and what is refused.

Azure/azure-rest-api-specs, Microsoft.SecurityInsights stable/2025-09-01, Incidents.json.
"""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from local.arm import service
from local.entra.service import Entra
from local.tenant.model import SUBSCRIPTION_ID, Cloud
from tests.support.asgi import client

NAME = "73e01a99-5cd7-4139-a149-9f2736ff2ab5"
PATH = (
    f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/soc/providers/Microsoft.OperationalInsights/workspaces/contoso"
    f"/providers/Microsoft.SecurityInsights/incidents/{NAME}?api-version=2025-09-01"
)
OPEN = {"title": "My incident", "severity": "High", "status": "Active"}
CLOSED = OPEN | {"status": "Closed", "classification": "TruePositive", "classificationReason": "SuspiciousActivity"}
OWNER = {"objectId": "2046feea-040d-4a46-9e2b-91c2941bfa70", "email": "analyst@contoso.com"}


@pytest.fixture
async def arm(tenant: Cloud, entra: Entra) -> AsyncIterator[httpx.AsyncClient]:
    token = entra.mint(tenant.identities["responder"], audience="https://management.azure.com")
    async with client(service.app(tenant, entra), "management.azure.com", token=token) as opened:
        yield opened


async def put(arm: httpx.AsyncClient, properties: object, *, etag: str | None = None) -> httpx.Response:
    body = {"properties": properties} | ({"etag": etag} if etag is not None else {})
    return await arm.put(PATH, json=body)


async def test_put_replaces_the_incident(arm: httpx.AsyncClient) -> None:
    """demisto/content#28920: an update without `owner` made the incident unassigned."""
    made = (await put(arm, OPEN | {"owner": OWNER, "labels": [{"labelName": "vip"}], "description": "x"})).json()
    replaced = (await put(arm, OPEN, etag=made["etag"])).json()["properties"]

    assert (made["properties"]["owner"]["email"], made["properties"]["labels"][0]["labelName"]) == (
        "analyst@contoso.com",
        "vip",
    )
    assert (replaced["owner"]["email"], replaced["labels"]) == (None, [])
    assert "description" not in replaced


@pytest.mark.parametrize("etag", [None, '"0300bf09-0000-0000-0000-5c37296e0000"'])
async def test_another_version_is_a_conflict(arm: httpx.AsyncClient, etag: str | None) -> None:
    """Azure/Azure-Sentinel#909 quotes the answer."""
    await put(arm, OPEN)
    answer = await put(arm, OPEN | {"title": "Another"}, etag=etag)

    assert (answer.status_code, answer.json()["error"]) == (
        409,
        {"code": "Conflict", "message": f"Newer version of resource '{NAME}' exists. Data was not saved"},
    )
    assert (await arm.get(PATH)).json()["properties"]["title"] == "My incident"


@pytest.mark.parametrize("classification", ["TruePositive", "BenignPositive", "FalsePositive"])
async def test_classification_must_have_its_reason(arm: httpx.AsyncClient, classification: str) -> None:
    """demisto/content#34306 quotes the answer."""
    properties = CLOSED | {"classification": classification}
    del properties["classificationReason"]
    answer = await put(arm, properties)

    assert (answer.status_code, answer.json()["error"]) == (
        400,
        {"code": "BadRequest", "message": f"classification '{classification}' must have classificationReason."},
    )


@pytest.mark.parametrize("properties", [CLOSED, OPEN | {"status": "Closed", "classification": "Undetermined"}])
async def test_incident_is_closed_with_its_classification(arm: httpx.AsyncClient, properties: dict[str, Any]) -> None:
    assert (await put(arm, properties)).status_code == 201


@pytest.mark.parametrize(
    "properties",
    [
        None,
        {},
        *({name: value for name, value in OPEN.items() if name != left_out} for left_out in OPEN),
        OPEN | {"title": ""},
        OPEN | {"severity": "Critical"},
        OPEN | {"severity": "high"},
        OPEN | {"status": "Resolved"},
        OPEN | {"status": "Closed"},
        OPEN | {"classification": "TruePositive", "classificationReason": "SuspiciousActivity"},
        CLOSED | {"classification": "Positive"},
        CLOSED | {"classificationReason": "Leak"},
        OPEN | {"incidentNumber": 7},
        OPEN | {"createdTimeUtc": "2026-11-21T09:00:00Z"},
        OPEN | {"additionalData": {}},
        OPEN | {"relatedAnalyticRuleIds": []},
        OPEN | {"labels": ["vip"]},
        OPEN | {"labels": [{"labelName": "vip", "labelType": "User"}]},
        OPEN | {"owner": {"name": "analyst"}},
        OPEN | {"owner": {"objectId": "analyst"}},
        OPEN | {"owner": {"ownerType": "Team"}},
        OPEN | {"firstActivityTimeUtc": "yesterday"},
        OPEN | {"description": "x" * 5001},
        OPEN | {"more": 1},
    ],
)
async def test_what_the_specification_does_not_allow_is_refused(arm: httpx.AsyncClient, properties: object) -> None:
    assert (await put(arm, properties)).status_code == 400
    assert (await arm.get(PATH)).status_code == 404
