"""The stand-in for incidents of the Defender portal: what an update replaces, and what is refused.

microsoftgraph/microsoft-graph-docs-contrib: api/security-alert-createalert (beta), api/security-incident-update,
resources/security-createalertinput (beta), resources/security-incident.
"""

from typing import Any

import httpx
import pytest

from local.graph.incidents import SINK
from local.tenant.model import Cloud, Incident

PATH = "/v1.0/security/incidents/7"
ALERT = {
    "title": "Leaked key",
    "severity": "high",
    "description": "A key leaked.",
    "category": "CredentialAccess",
    "entityDefinitions": [
        {
            "entityType": "azureResource",
            "entityIdentifier": "resourceId",
            "identifierValue": "/subscriptions/x",
            "role": "impacted",
        }
    ],
}


@pytest.fixture
def incident(cloud: Cloud) -> Incident:
    fields: dict[str, Any] = {"displayName": "Leaked key", "status": "active", "customTags": ["vip"], "comments": []}
    made = Incident("7", SINK, fields)
    cloud.incidents.append(made)
    return made


@pytest.mark.parametrize("left_out", ["title", "severity", "description", "category", "entityDefinitions"])
async def test_alert_without_a_required_property_is_refused(
    raw: httpx.AsyncClient, cloud: Cloud, left_out: str
) -> None:
    given = {name: value for name, value in ALERT.items() if name != left_out}
    answer = await raw.post("/beta/security/alerts_v2/createAlert", json={"createAlertInput": given})

    assert (answer.status_code, cloud.incidents) == (400, [])


async def test_update_replaces_the_tags_and_leaves_what_it_does_not_name(
    raw: httpx.AsyncClient, incident: Incident
) -> None:
    await raw.patch(PATH, json={"status": "resolved", "assignedTo": "analyst@contoso.com"})
    answer = (await raw.patch(PATH, json={"customTags": ["sasquash"]})).json()

    assert (answer["customTags"], answer["status"], answer["assignedTo"]) == (
        ["sasquash"],
        "resolved",
        "analyst@contoso.com",
    )


@pytest.mark.parametrize(
    "body",
    [
        {"status": "awaitingAction"},
        {"status": "redirected"},
        {"status": "Closed"},
        {"classification": "positive"},
        {"determination": "leak"},
        {"customTags": "vip"},
        {"customTags": [7]},
        {"assignedTo": 7},
        {"displayName": "Another name"},
    ],
)
async def test_update_with_a_value_that_a_client_cannot_set_is_refused(
    raw: httpx.AsyncClient, incident: Incident, body: dict[str, object]
) -> None:
    before = dict(incident.fields)

    assert (await raw.patch(PATH, json=body)).status_code == 400
    assert incident.fields == before
