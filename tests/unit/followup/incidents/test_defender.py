"""Incidents of the Defender portal keep what people set. Through the stand-in of Microsoft Graph.

learn.microsoft.com/graph/api/security-incident-update: "Existing properties that aren't included in the request body
maintain their previous values"; `customTags` is one property.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy

from local.entra.service import Entra
from local.graph import service
from local.graph.incidents import SINK
from local.tenant import identities
from local.tenant.model import Cloud, Incident
from shared.cloud.http import Rest
from shared.followup.incidents.defender import DefenderIncidents
from tests.support.asgi import Credential, Transport
from tests.support.briefings import briefing

FALSE_POSITIVE = {"status": "resolved", "classification": "falsePositive", "determination": "securityTesting"}


@dataclass
class Place:
    cloud: Cloud
    incidents: DefenderIncidents

    @property
    def fields(self) -> dict[str, Any]:
        [incident] = self.cloud.incidents
        return incident.fields

    async def follow(self, *states: str) -> None:
        for state in states:
            await self.incidents.update(self.cloud.incidents[0].item_id, briefing(state=state))


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    cloud = Cloud(identities=identities.directory(), users=identities.users())
    entra = Entra(cloud)
    wire = Transport(service.app(cloud, entra))
    policy = AsyncBearerTokenCredentialPolicy(
        Credential(entra, cloud.identities["responder"]), "https://graph.microsoft.com/.default"
    )
    incidents = DefenderIncidents(Rest("https://graph.microsoft.com", wire, authentication=policy))
    await incidents.file(briefing(state="contained"))
    yield Place(cloud, incidents)
    await wire.close()


async def test_tags_of_people_stay_and_ours_follow_the_state(place: Place) -> None:
    place.fields["customTags"].append("vip")
    await place.follow("proven")

    assert place.fields["customTags"] == ["sasquash", "proven", "vip"]


async def test_assignment_stays(place: Place) -> None:
    place.fields["assignedTo"] = "analyst@contoso.com"
    await place.follow("proven", "closed")

    assert place.fields["assignedTo"] == "analyst@contoso.com"


async def test_incident_is_resolved_as_a_true_positive(place: Place) -> None:
    await place.follow("closed")

    assert {name: place.fields[name] for name in FALSE_POSITIVE} == {
        "status": "resolved",
        "classification": "truePositive",
        "determination": "other",
    }


@pytest.mark.parametrize("state", ["proven", "closed"])
async def test_resolution_of_a_person_stays(place: Place, state: str) -> None:
    place.fields.update(FALSE_POSITIVE)
    await place.follow(state)

    assert {name: place.fields[name] for name in FALSE_POSITIVE} == FALSE_POSITIVE


@pytest.mark.parametrize("state", ["failed", "awaiting_approval", "unresolved"])
async def test_incident_that_a_person_resolved_is_active_when_it_needs_one(place: Place, state: str) -> None:
    """resources/security-incident: "Only Microsoft 365 Defender experts can set this status" (awaitingAction)."""
    place.fields.update(FALSE_POSITIVE)
    await place.follow(state)

    assert (place.fields["status"], place.fields["customTags"][1]) == ("active", state)


async def test_status_is_recognized_as_the_examples_of_graph_write_it(place: Place) -> None:
    place.fields.update(FALSE_POSITIVE | {"status": "Resolved"})
    await place.follow("proven")

    assert place.fields["status"] == "Resolved"


async def test_incident_that_ours_was_merged_into_gets_tag_and_comment_and_keeps_its_status(place: Place) -> None:
    """resources/security-incident: "The target incident ID appears in the redirectIncidentId property"."""
    other = {"displayName": "Ransomware", "status": "inProgress", "customTags": ["vip"], "comments": []}
    place.cloud.incidents.append(Incident("999", SINK, other))
    place.cloud.incidents[0].fields |= {"status": "redirected", "redirectIncidentId": "999"}
    await place.follow("closed")

    assert (other["status"], other["customTags"], len(other["comments"])) == (
        "inProgress",
        ["sasquash", "closed", "vip"],
        1,
    )


async def test_incident_is_found_among_many_others(place: Place) -> None:
    """Its id is unknown where the answer was lost, or where it was filed in another system in between."""
    await place.follow("contained")
    others = [
        Incident(str(1000 + number), SINK, {**place.fields, "displayName": "Phishing"}) for number in range(120)
    ]
    place.cloud.incidents += others

    assert await place.incidents.file(briefing(state="proven")) == place.cloud.incidents[0].item_id


async def test_incident_that_was_merged_twice_is_followed_to_the_last_one(place: Place) -> None:
    last = {"displayName": "Ransomware", "status": "active", "customTags": [], "comments": []}
    between = {"displayName": "Theft", "status": "redirected", "redirectIncidentId": "999", "customTags": []}
    place.cloud.incidents += [Incident("998", SINK, between), Incident("999", SINK, last)]
    place.cloud.incidents[0].fields |= {"status": "redirected", "redirectIncidentId": "998"}
    await place.follow("proven")

    assert (last["customTags"], len(last["comments"])) == (["sasquash", "proven"], 1)


async def test_incident_that_we_resolved_is_opened_again(place: Place) -> None:
    await place.follow("dismissed", "contained")

    assert place.fields["status"] == "inProgress"
