"""Tests that need a deployment: custom roles, the platform's sign-in, failed deliveries, a whole revocation."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.core.messaging import CloudEvent
from azure.core.rest import HttpRequest
from azure.eventgrid.aio import EventGridPublisherClient

from conformance import azd
from conformance.place import RESOURCE_MANAGER, Place
from shared.cloud.data_plane import Answer, send
from shared.domain.report import REPORTED, in_text

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
    """Send requests without a token to open and to protected paths, also in another case."""
    # GET, which intake and webhook do not accept: they refuse it, and not the platform.
    wanted = {
        "/api/health": {200},
        "/api/revocations": {401},
        "/api/intake/github": {404, 405},
        "/runtime/webhooks/eventgrid": {400, 401, 404, 405, 500},
        "/api/Health": {200, 401},  # observed: whether the platform's excluded paths have a case
    }
    answers = {path: await place.ask(f"{deployment.app}{path}") for path in wanted}
    result = "; ".join(f"{path} {answer.status}" for path, answer in answers.items())
    wrong = [path for path, answer in answers.items() if answer.status not in wanted[path]]
    webhook = answers["/runtime/webhooks/eventgrid"]
    if wrong or _by_the_platform(webhook):
        raise ValueError(f"unexpected: {result}")
    return result


def _by_the_platform(answer: Answer) -> bool:
    """Whether the platform refused the request. The host's own 401, for a missing key, has no challenge."""
    return answer.status == 401 and bool(answer.headers.get("www-authenticate"))


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
    url = account.url(account.token("key2"))
    await _report(place, deployment, url)
    return await until_refused_by_deployment(place, url)


async def revocation_of_a_key(place: Place, deployment: Deployment) -> str:
    """Publish a leaked account key, and wait until a SAS that it signed is refused."""
    account = await place.account()
    text = f"DefaultEndpointsProtocol=https;AccountName={account.name};AccountKey={account.keys['key1']}"
    await _report(place, deployment, text)
    return await until_refused_by_deployment(place, account.url(account.token("key1")))


async def revocation_of_a_policy(place: Place, deployment: Deployment) -> str:
    """Publish a leaked SAS of a stored access policy, and wait until it is refused; the key has to stay."""
    account = await place.account()
    url = await place.policy_url(account, "partners")
    await _report(place, deployment, url)
    refused = await until_refused_by_deployment(place, url)
    if (await place.ask(account.url(account.token("key1")))).status == 403:
        raise ValueError(f"the key that signed it was regenerated, too; {refused}")
    return f"{refused}; the key that signed it is still accepted"


async def until_refused_by_deployment(place: Place, url: str, *, since: str = "the finding was published") -> str:
    """Use a credential until it is refused; return how long that took. Raises ValueError."""
    start = time.monotonic()
    while time.monotonic() - start < _WAIT:
        answer = await place.ask(url)
        if answer.status == 403:
            return f"refused {time.monotonic() - start:.1f} s after {since} ({answer.code})"
        await place.sleep(0.5)
    raise ValueError(f"still accepted {_WAIT:.0f} s after {since}")


async def intake_apart(place: Place, deployment: Deployment) -> str:
    """Check the health of the intake, whose host has a storage account of its own."""
    url = deployment.outputs["SASQUASH_INTAKE"].removesuffix("/intake") + "/health"
    answer = await place.ask(url)
    if answer.status != 200:
        raise ValueError(f"its health is {answer.status}: {answer.body[:200].decode(errors='replace')}")
    return "it started, and reaches its queue"


async def chunked_request(place: Place, deployment: Deployment) -> str:
    """Post a report without Content-Length to the intake, and show what the app says of it."""
    transport = place.transport()

    async def body() -> AsyncIterator[bytes]:
        yield b"{}"

    request = HttpRequest("POST", f"{deployment.outputs['SASQUASH_INTAKE']}/github", content=body())
    try:
        answer = await send(transport, request)
    finally:
        await transport.close()
    length = "without a length" if answer.status == 411 else "with a length"
    return f"{answer.status}: the request reached the app {length}"


async def _report(place: Place, deployment: Deployment, text: str) -> None:
    """Publish the secret-free finding of the one credential in `text`."""
    [leak] = in_text(text, source="conformance", url=None, detected_at=datetime.now(UTC))
    finding = leak.finding
    event = CloudEvent(source="/conformance", type=REPORTED, id=finding.fingerprint, data=finding.to_data())
    await _publish(place, deployment, event)


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
