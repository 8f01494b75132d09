"""Tests that need a deployment: custom roles, the platform's sign-in, failed deliveries, a whole revocation."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.core.messaging import CloudEvent
from azure.eventgrid.aio import EventGridPublisherClient

from conformance import azd
from conformance.place import RESOURCE_MANAGER, Place
from shared.domain.finding import REPORTED, in_text

_ROLES = Path(__file__).resolve().parent.parent / "infra/roles.json"
_WAIT = 900.0
_PAUSE = 5.0


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment by azd. `outputs` are those of infra/main.bicep."""

    environment: str
    outputs: Mapping[str, str]

    @property
    def app(self) -> str:
        """The base URL of the responder."""
        return self.outputs["SASQUASH_API"].removesuffix("/api")

    def group(self, place: Place) -> str:
        """Return the id of its resource group."""
        return f"/subscriptions/{place.subscription}/resourceGroups/{self.outputs['AZURE_RESOURCE_GROUP']}"


async def custom_roles(place: Place, deployment: Deployment) -> str:
    """Read the custom roles and compare their actions with infra/roles.json."""
    url = (
        f"{RESOURCE_MANAGER}/subscriptions/{place.subscription}/providers/Microsoft.Authorization/roleDefinitions"
        "?api-version=2022-04-01&$filter=type%20eq%20'CustomRole'"
    )
    listed: Any = await place.call("GET", url)
    found = {
        row["properties"]["roleName"].partition(" (")[0]: row["properties"]["permissions"][0]["actions"]
        for row in listed["value"]
        if f"({deployment.environment}, " in row["properties"]["roleName"]
    }
    wanted = {role["name"]: role["actions"] for role in json.loads(_ROLES.read_text())}
    wrong = sorted(name for name, actions in wanted.items() if _lower(found.get(name, [])) != _lower(actions))
    if wrong:
        raise ValueError(f"they differ from infra/roles.json: {', '.join(wrong)}")
    return f"{len(wanted)} roles have exactly their actions"


def _lower(actions: list[str]) -> set[str]:
    return {action.lower() for action in actions}


async def sign_in(place: Place, deployment: Deployment) -> str:
    """Send requests without a token to open and to protected paths."""
    # GET, which intake and webhook do not accept: they refuse it, and not the platform.
    wanted = {
        "/api/health": {200},
        "/api/revocations": {401},
        "/api/intake/github": {404, 405},
        "/runtime/webhooks/eventgrid": {400, 404, 405},
    }
    answers = {path: await place.ask(f"{deployment.app}{path}") for path in wanted}
    result = "; ".join(f"{path} {answer.status}" for path, answer in answers.items())
    if any(answers[path].status not in statuses for path, statuses in wanted.items()):
        raise ValueError(f"unexpected: {result}")
    return result


async def failed_delivery(place: Place, deployment: Deployment) -> str:
    """Break the app's table endpoint, publish, check the topic's metrics for a failed delivery, and repair it."""
    endpoint = f"https://{deployment.outputs['SASQUASH_STORAGE_NAME']}.table.core.windows.net/"
    await _set_table_endpoint("https://nowhere.invalid/", deployment)
    try:
        return await _failures(place, deployment)
    finally:
        await _set_table_endpoint(endpoint, deployment)


async def _set_table_endpoint(endpoint: str, deployment: Deployment) -> None:
    group, name = deployment.outputs["AZURE_RESOURCE_GROUP"], deployment.outputs["SASQUASH_RESPONDER_NAME"]
    target = ("--resource-group", group, "--name", name, "--output", "none", "--only-show-errors")
    setting = f"SASQUASH_STORAGE__tableServiceUri={endpoint}"
    await azd.run("az", "functionapp", "config", "appsettings", "set", *target, "--settings", setting)


async def _failures(place: Place, deployment: Deployment) -> str:
    event = CloudEvent(source="/conformance", type=REPORTED, id="conformance", data={"conformance": True})
    await _publish(place, deployment, event)
    topic = (
        f"{deployment.group(place)}/providers/Microsoft.EventGrid/topics/{deployment.outputs['SASQUASH_TOPIC_NAME']}"
    )
    metrics = f"{RESOURCE_MANAGER}{topic}/providers/Microsoft.Insights/metrics"
    url = f"{metrics}?api-version=2023-10-01&aggregation=Total&metricnames="
    start = time.monotonic()
    while time.monotonic() - start < _WAIT:
        found: Any = await place.call("GET", f"{url}DeliveryAttemptFailCount,DeliverySuccessCount")
        counts = {row["name"]["value"]: _total(row) for row in found["value"]}
        if counts["DeliveryAttemptFailCount"]:
            return ", ".join(f"{name} {count:.0f}" for name, count in counts.items())
        await asyncio.sleep(_PAUSE * 6)
    raise ValueError(f"no delivery failed within {_WAIT:.0f} s, although the function could not write")


def _total(row: Any) -> float:
    return float(sum(point.get("total") or 0 for series in row["timeseries"] for point in series["data"]))


async def whole_revocation(place: Place, deployment: Deployment) -> str:
    """Publish a leaked SAS of a temporary account, and wait until it is refused."""
    account = await place.account()
    query = account.token("key2")
    [leak] = in_text(account.url(query), source="conformance", url=None, detected_at=datetime.now(UTC))
    finding = leak.finding
    event = CloudEvent(source="/conformance", type=REPORTED, id=finding.fingerprint, data=finding.to_data())
    await _publish(place, deployment, event)
    start = time.monotonic()
    while time.monotonic() - start < _WAIT:
        answer = await place.ask(account.url(query))
        if answer.status == 403:
            return f"refused {time.monotonic() - start:.1f} s after the finding was published ({answer.code})"
        await asyncio.sleep(0.5)
    raise ValueError(f"still accepted {_WAIT:.0f} s after the finding was published")


async def _publish(place: Place, deployment: Deployment, event: CloudEvent[Any]) -> None:
    """Publish, with retries until the role assignment takes effect."""
    client = EventGridPublisherClient(
        deployment.outputs["SASQUASH_TOPIC_ENDPOINT"], place.credential, transport=place.transport()
    )
    start = time.monotonic()
    async with client:
        while True:
            try:
                await client.send([event])
            except HttpResponseError:
                if time.monotonic() - start > _WAIT:
                    raise
                await asyncio.sleep(_PAUSE * 6)
            else:
                return
