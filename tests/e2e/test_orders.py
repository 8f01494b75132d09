"""Each containment action, ordered by one person and approved by another, and its effect on real clients."""

from datetime import UTC, datetime

import pytest
from azure.storage.blob.aio import BlobServiceClient

from shared.domain.states import State
from tests.e2e.test_smallest_action import delegated
from tests.support.api_calls import APPROVER_NAME, SECOND_APPROVER, SECOND_NAME, act, approve, order, read
from tests.support.deployment import Deployment, Developer
from tests.support.policy_resources import REFUSED, Container

WORKS = (None, None)
NO_SHARED_KEY = (403, "KeyBasedAuthenticationNotPermitted")
NO_PUBLIC_NETWORK = (403, "AuthorizationFailure")
ORDERS = [
    ("account_key", "key1", {"key1"}, REFUSED),
    ("stored_policy", "blob/models/partners", {"policy"}, REFUSED),
    ("delegation_key", "all", {"delegated"}, REFUSED),
    ("lockdown", "shared_key", {"key1", "key2", "policy"}, NO_SHARED_KEY),
    ("lockdown", "network", {"key1", "key2", "policy", "delegated"}, NO_PUBLIC_NETWORK),
]

type Urls = dict[str, str]
type Answers = dict[str, tuple[int | None, str | None]]


async def made(deployment: Deployment) -> tuple[Container, Urls]:
    """A container, and URLs for it: one for each kind of token."""
    place = Container(deployment, await deployment.account(), "models")
    await place.make()
    return place, {
        "key1": place.url(policy=None, key="key1"),
        "key2": place.url(policy=None, key="key2"),
        "policy": place.url(policy="partners", key="key2"),
        "delegated": await delegated(deployment, place),
    }


async def answers(place: Container, urls: Urls) -> Answers:
    return {name: await place.answer(url) for name, url in urls.items()}


@pytest.mark.parametrize(("action", "target", "ends", "refusal"), ORDERS, ids=[f"{o[0]} {o[1]}" for o in ORDERS])
async def test_order_runs_after_approval_by_a_second_person(
    deployment: Deployment, action: str, target: str, ends: set[str], refusal: tuple[int, str]
) -> None:
    place, urls = await made(deployment)

    ordered = await order(deployment, place.account.name, action, target)
    alone = await approve(deployment, ordered)
    waiting = await answers(place, urls)
    together = await approve(deployment, ordered, who=SECOND_APPROVER)
    await deployment.settled(ordered["id"], until=lambda r: r.state in (State.PROVEN, State.CLOSED))

    assert (ordered["state"], alone.status_code, together.status_code) == ("awaiting_approval", 403, 200)
    assert waiting == dict.fromkeys(urls, WORKS)
    assert await answers(place, urls) == {name: refusal if name in ends else WORKS for name in urls}
    record = await read(deployment, ordered)
    assert (record["reported_by"]["name"], record["approval"]["by"]["name"]) == (APPROVER_NAME, SECOND_NAME)


@pytest.mark.parametrize("kind", ["shared_key", "network"])
async def test_undone_lockdown_restores_access(deployment: Deployment, kind: str) -> None:
    place, urls = await made(deployment)
    ordered = await order(deployment, place.account.name, "lockdown", kind)
    await approve(deployment, ordered, who=SECOND_APPROVER)
    await deployment.settled(ordered["id"], until=lambda record: record.execution is not None)
    locked = await place.answer(urls["key1"])

    undone = await act(deployment, ordered, "undo-lockdown")

    assert locked != WORKS
    assert (undone.status_code, undone.json()["state"]) == (200, "closed")
    assert datetime.fromisoformat(undone.json()["lockdown"]["undone_at"]) <= datetime.now(UTC)
    assert await answers(place, urls) == dict.fromkeys(urls, WORKS)


async def test_lockdown_is_not_undone_after_another_change(deployment: Deployment) -> None:
    place, urls = await made(deployment)
    ordered = await order(deployment, place.account.name, "lockdown", "network")
    await approve(deployment, ordered, who=SECOND_APPROVER)
    await deployment.settled(ordered["id"], until=lambda record: record.execution is not None)
    place.account.properties["networkAcls"]["ipRules"] = [{"value": "203.0.113.7", "action": "Allow"}]

    refused = await act(deployment, ordered, "undo-lockdown")

    assert (refused.status_code, refused.json()["code"]) == (409, "wrong_state")
    assert "networkAcls.ipRules" in refused.json()["detail"]
    assert await place.answer(urls["key1"]) == NO_PUBLIC_NETWORK


async def test_entra_clients_keep_access_when_shared_key_is_disabled(
    deployment: Deployment,
) -> None:
    place, _ = await made(deployment)
    ordered = await order(deployment, place.account.name, "lockdown", "shared_key")

    await approve(deployment, ordered, who=SECOND_APPROVER)
    await deployment.settled(ordered["id"], until=lambda record: record.execution is not None)

    endpoint = f"https://{place.account.name}.blob.core.windows.net"
    async with BlobServiceClient(endpoint, credential=Developer(deployment.cloud), **deployment.options) as client:
        assert [container.name async for container in client.list_containers()] == ["models"]
