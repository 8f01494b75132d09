"""The smallest action revokes a leak and nothing else: tested with the clients that people use."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.eventgrid import EventGridEvent
from azure.storage.blob import generate_container_sas
from azure.storage.blob.aio import BlobServiceClient

from shared.domain import report as findings
from shared.domain.execution import Outcome
from shared.domain.states import State
from shared.domain.target import ActionKind
from tests.support.deployment import Deployment, Developer
from tests.support.policy_resources import PLACES, REFUSED, Container, Place

WORKS = (None, None)


async def made(deployment: Deployment, kind: str, name: str = "models") -> Place:
    place = PLACES[kind](deployment, await deployment.account(), name)
    await place.make()
    return place


@pytest.mark.parametrize("kind", PLACES)
async def test_token_of_a_stored_access_policy_is_revoked_with_the_policy_only(
    deployment: Deployment, kind: str
) -> None:
    place = await made(deployment, kind)
    leaked = place.url(policy="partners")
    neighbors = [place.url(policy="suppliers"), place.url(policy=None), place.url(policy=None, key="key2")]
    assert [await place.answer(url) for url in (leaked, *neighbors)] == [WORKS] * 4

    [fingerprint] = await deployment.report(leaked)
    record = await deployment.settled(fingerprint)

    assert record.state is State.CLOSED, record.detail
    assert await place.answer(leaked) == REFUSED
    assert [await place.answer(url) for url in neighbors] == [WORKS] * 3
    assert deployment.rotations(place.account) == []


@pytest.mark.parametrize("kind", PLACES)
async def test_policy_leaves_a_tombstone_and_is_verified_revoked(deployment: Deployment, kind: str) -> None:
    place = await made(deployment, kind)
    before = await place.policies()

    [fingerprint] = await deployment.report(place.url(policy="partners"))
    record = await deployment.settled(fingerprint)

    after = await place.policies()
    assert record.verification is not None
    assert (record.verification.outcome, record.plan and record.plan.action) == (
        Outcome.PROVEN,
        ActionKind.STORED_POLICY,
    )
    assert after["suppliers"] == before["suppliers"]
    ended = after["partners"]
    assert ended is not None
    assert ended < datetime.now(UTC).replace(tzinfo=ended.tzinfo) if isinstance(ended, datetime) else "2000" in ended


async def test_policy_with_the_same_id_on_another_container_is_not_changed(deployment: Deployment) -> None:
    place = await made(deployment, "container")
    other = Container(deployment, place.account, "others")
    await other.make()

    [fingerprint] = await deployment.report(place.url(policy="partners"))
    await deployment.settled(fingerprint)

    assert await other.answer(other.url(policy="partners")) == WORKS


async def test_valid_user_delegation_sas_is_revoked_with_the_delegation_keys_only(
    deployment: Deployment,
) -> None:
    place = await made(deployment, "container")
    leaked = await delegated(deployment, place)
    assert await place.answer(leaked) == WORKS

    await deployment.publish(
        EventGridEvent(
            subject="tests",
            event_type=findings.REPORTED,
            data={"secret": leaked, "source": "test"},
            data_version="1",
        )
    )
    [reported] = findings.in_text(leaked, source="test", url=None, detected_at=datetime.now(UTC))
    record = await deployment.settled(reported.finding.fingerprint)

    assert record.state is State.CLOSED, record.detail
    assert record.liveness is not None
    assert record.liveness.alive is True
    assert await place.answer(leaked) == REFUSED
    assert [await place.answer(place.url(policy=p)) for p in ("partners", None)] == [WORKS] * 2
    assert await place.answer(await delegated(deployment, place)) == WORKS
    assert deployment.rotations(place.account) == []


async def test_untested_user_delegation_sas_requires_approval(deployment: Deployment) -> None:
    """The secret-free finding of an intake: signature verification can't confirm it."""
    place = await made(deployment, "container")
    leaked = await delegated(deployment, place)

    [fingerprint] = await deployment.report(leaked)
    record = await deployment.settled(fingerprint)

    assert record.state is State.AWAITING_APPROVAL
    assert await place.answer(leaked) == WORKS


async def test_entra_clients_keep_access_when_a_key_is_rotated(deployment: Deployment) -> None:
    place = await made(deployment, "container")
    leaked = place.url(policy=None, key="key2")

    [fingerprint] = await deployment.report(leaked)
    record = await deployment.settled(fingerprint)
    if record.state is State.AWAITING_APPROVAL:
        pytest.fail("a month of life acts alone")

    assert await place.answer(leaked) == REFUSED
    endpoint = f"https://{place.account.name}.blob.core.windows.net"
    async with BlobServiceClient(endpoint, credential=Developer(deployment.cloud), **deployment.options) as client:
        assert [container.name async for container in client.list_containers()] == ["models"]


async def delegated(deployment: Deployment, place: Place) -> str:
    """A URL with a user delegation SAS, as an app that signs in as the developer issues it."""
    endpoint = f"https://{place.account.name}.blob.core.windows.net"
    start = datetime.now(UTC) - timedelta(seconds=5)
    end = start + timedelta(days=2)
    async with BlobServiceClient(endpoint, credential=Developer(deployment.cloud), **deployment.options) as client:
        key = await client.get_user_delegation_key(start, end)
    options: dict[str, Any] = {"permission": "rwl", "expiry": end}
    query = generate_container_sas(place.account.name, place.name, user_delegation_key=key, **options)
    return f"{endpoint}/{place.name}?{query}"
