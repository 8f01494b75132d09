"""Incidents in Sentinel keep what people set. Through the stand-in of Azure Resource Manager."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.mgmt.storage.aio import StorageManagementClient

from local.arm import sentinel, service
from local.entra.service import Entra
from local.tenant import identities
from local.tenant.model import SUBSCRIPTION_ID, Cloud, Incident
from shared.errors import TransientFailure
from shared.followup.incidents.sentinel import SentinelIncidents
from tests.support.asgi import Credential, Transport
from tests.support.briefings import briefing

WORKSPACE = (
    f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/soc/providers/Microsoft.OperationalInsights/workspaces/contoso"
)
OWNER = {
    "objectId": "2046feea-040d-4a46-9e2b-91c2941bfa70",
    "email": "analyst@contoso.com",
    "assignedTo": "An analyst",
    "userPrincipalName": "analyst@contoso.com",
    "ownerType": "User",
}
FALSE_POSITIVE = {
    "status": "Closed",
    "classification": "FalsePositive",
    "classificationReason": "InaccurateData",
    "classificationComment": "A test key.",
}


class InterruptedTransport(Transport):
    """Runs `before_put` between our GET and our PUT."""

    before_put: Callable[[], None] = staticmethod(lambda: None)

    async def send(self, request: HttpRequest, **kwargs: Any) -> AsyncHttpResponse:
        if request.method == "PUT":
            self.before_put()
        return await super().send(request, **kwargs)


@dataclass
class Place:
    cloud: Cloud
    transport: InterruptedTransport
    incidents: SentinelIncidents
    names: list[str] = field(default_factory=list)

    @property
    def incident(self) -> Incident:
        [incident] = self.cloud.incidents
        return incident

    @property
    def fields(self) -> dict[str, Any]:
        return self.incident.fields

    def person_sets(self, **changed: object) -> None:
        ours = {name: value for name, value in self.fields.items() if name not in ("FindingId", "etag")}
        sentinel.replace_incident(self.incident, ours | changed)

    async def file(self, state: str = "contained", **changed: Any) -> None:
        await self.incidents.file(briefing(state=state, **changed))


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    cloud = Cloud(identities=identities.directory())
    entra = Entra(cloud)
    transport = InterruptedTransport(service.app(cloud, entra))
    credential = Credential(entra, cloud.identities["responder"])
    async with StorageManagementClient(credential, SUBSCRIPTION_ID, transport=transport, retry_total=0) as client:
        yield Place(cloud, transport, SentinelIncidents(client, workspace=WORKSPACE))


def labels(place: Place) -> list[str]:
    return [label["labelName"] for label in place.fields["labels"]]


async def test_analyst_stays_assigned(place: Place) -> None:
    """demisto/content#28920: a PUT without `owner` makes the incident unassigned."""
    await place.file()
    place.person_sets(owner=OWNER)
    await place.file("proven")

    assert place.fields["owner"] == OWNER


async def test_labels_of_people_stay_and_ours_follow_the_state(place: Place) -> None:
    await place.file()
    place.person_sets(labels=[{"labelName": "sasquash"}, {"labelName": "contained"}, {"labelName": "vip"}])
    await place.file("proven")

    assert labels(place) == ["sasquash", "proven", "vip"]


async def test_severity_and_activity_that_a_person_set_stay(place: Place) -> None:
    await place.file()
    place.person_sets(severity="Low", firstActivityTimeUtc="2026-11-01T00:00:00Z")
    await place.file("proven")

    assert (place.fields["severity"], place.fields["firstActivityTimeUtc"]) == ("Low", "2026-11-01T00:00:00Z")


async def test_news_in_the_state_in_which_a_person_closed_it_leaves_it_closed(place: Place) -> None:
    """Such as use of the leak that the logs show 20 minutes later."""
    await place.file("failed")
    place.person_sets(**FALSE_POSITIVE)
    await place.incidents.amend(place.incident.item_id, briefing(state="failed"), news="It was used.")

    assert {name: place.fields[name] for name in FALSE_POSITIVE} == FALSE_POSITIVE


async def test_new_stays_new_until_it_is_closed(place: Place) -> None:
    await place.file()
    place.person_sets(status="New")
    await place.file("proven")
    assert place.fields["status"] == "New"

    await place.file("closed")
    assert place.fields["status"] == "Closed"


async def test_title_and_description_follow_the_record(place: Place) -> None:
    await place.file()
    before = place.fields["title"], place.fields["description"]
    await place.file("proven")

    assert (place.fields["title"], place.fields["description"]) != before


@pytest.mark.parametrize(
    ("state", "reason", "expected"),
    [
        ("closed", None, ("TruePositive", "SuspiciousActivity")),
        ("dismissed", "covered", ("TruePositive", "SuspiciousActivity")),
        ("dismissed", "expired", ("Undetermined", None)),
    ],
)
async def test_closed_incident_has_its_classification_with_the_reason(
    place: Place, state: str, reason: str | None, expected: tuple[str, str | None]
) -> None:
    """demisto/content#34306: "classification '…' must have classificationReason."."""
    await place.file()
    await place.file(state, reason=reason)

    assert (place.fields["status"], place.fields["classificationComment"]) == ("Closed", "Closed by Sasquash.")
    assert (place.fields["classification"], place.fields.get("classificationReason")) == expected


@pytest.mark.parametrize("state", ["contained", "proven", "closed"])
async def test_classification_of_the_person_who_closed_it_stays(place: Place, state: str) -> None:
    await place.file()
    place.person_sets(**FALSE_POSITIVE)
    await place.file(state)

    assert {name: place.fields.get(name) for name in FALSE_POSITIVE} == FALSE_POSITIVE


@pytest.mark.parametrize("state", ["failed", "awaiting_approval", "unresolved"])
async def test_incident_that_a_person_closed_is_reopened_when_it_needs_one(place: Place, state: str) -> None:
    await place.file()
    place.person_sets(**FALSE_POSITIVE)
    await place.file(state)

    assert (place.fields["status"], place.fields.get("classification")) == ("Active", None)


async def test_incident_that_we_closed_is_opened_and_closed_again(place: Place) -> None:
    await place.file("dismissed", reason="expired")
    await place.file("contained")
    assert place.fields["status"] == "Active"

    await place.file("closed")
    assert place.fields["classification"] == "TruePositive"


async def test_change_of_a_person_between_our_read_and_our_write_stays(place: Place) -> None:
    """Azure/Azure-Sentinel#909: 409 Conflict, "Newer version of resource '…' exists. Data was not saved"."""
    await place.file()
    place.transport.before_put = _once_each(place, {"owner": OWNER}, {"severity": "Low"})  # type: ignore[method-assign]
    await place.file("proven")

    assert (place.fields["owner"], place.fields["severity"], labels(place)[1]) == (OWNER, "Low", "proven")


async def test_incident_that_keeps_changing_is_tried_again_later(place: Place) -> None:
    await place.file()
    place.transport.before_put = lambda: place.person_sets(owner=OWNER)  # type: ignore[method-assign]

    with pytest.raises(TransientFailure, match="kept changing it"):
        await place.file("proven")


def _once_each(place: Place, *changes: dict[str, object]) -> Callable[[], None]:
    waiting = list(changes)

    def change() -> None:
        if waiting:
            place.person_sets(**waiting.pop(0))

    return change
