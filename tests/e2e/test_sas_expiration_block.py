"""A SAS until 2051 leaks: the expiration policy stops it while Shared Key clients go on, then the key is regenerated.

Source: "Configure an expiration policy for shared access signatures" (MicrosoftDocs/azure-docs, 2025-07-30).
"""

from datetime import UTC, datetime, timedelta

from azure.storage.blob import generate_account_sas, generate_container_sas
from azure.storage.blob.aio import BlobServiceClient

from shared.domain.states import Reason, State
from tests.support.api_calls import SECOND_APPROVER, act, approve, order, read
from tests.support.deployment import Deployment
from tests.support.policy_resources import REFUSED, Container

WORKS = (None, None)


async def made(deployment: Deployment) -> Container:
    place = Container(deployment, await deployment.account(), "models")
    await place.make()
    return place


def forever(place: Container) -> str:
    """The leak: everything in the account until 2051, without a start."""
    end = datetime(2051, 10, 6, tzinfo=UTC)
    account = place.account
    token = generate_account_sas(account.name, account.keys["key1"], "sco", "rwdl", expiry=end)
    return f"https://{account.name}.blob.core.windows.net/models?{token}"


def short(place: Container) -> str:
    """A token with a start, and a life of a day."""
    now = datetime.now(UTC)
    account = place.account
    token = generate_container_sas(
        account.name,
        place.name,
        account_key=account.keys["key1"],
        permission="rl",
        start=now - timedelta(minutes=5),
        expiry=now + timedelta(days=1),
    )
    return f"https://{account.name}.blob.core.windows.net/models?{token}"


async def shared_key_works(deployment: Deployment, place: Container) -> bool:
    endpoint = f"https://{place.account.name}.blob.core.windows.net"
    key = place.account.keys["key2"]
    async with BlobServiceClient(endpoint, credential=key, **deployment.options) as client:
        return [container.name async for container in client.list_containers()] == ["models"]


async def blocked(deployment: Deployment, place: Container) -> dict[str, object]:
    ordered = await order(deployment, place.account.name, "sas_expiration_block", "7.00:00:00")
    await approve(deployment, ordered, who=SECOND_APPROVER)
    await deployment.settled(ordered["id"], until=lambda record: record.reason is Reason.IN_EFFECT)
    return ordered


async def test_long_lived_sas_stop_while_other_clients_go_on(deployment: Deployment) -> None:
    place = await made(deployment)
    leak, complies, of_policy = forever(place), short(place), place.url(policy="partners")
    assert [await place.answer(url) for url in (leak, complies, of_policy)] == [WORKS] * 3

    ordered = await blocked(deployment, place)

    assert [await place.answer(url) for url in (leak, complies, of_policy)] == [REFUSED, WORKS, WORKS]
    assert await shared_key_works(deployment, place)
    record = await read(deployment, ordered)
    assert (record["state"], record["reason"], record["lockdown"]["action"]) == (
        "contained",
        "in_effect",
        "sas_expiration_block",
    )


async def test_undone_policy_lets_the_tokens_in_again(deployment: Deployment) -> None:
    place = await made(deployment)
    leak = forever(place)
    ordered = await blocked(deployment, place)
    assert await place.answer(leak) == REFUSED

    undone = await act(deployment, ordered, "undo-lockdown")

    assert (undone.status_code, undone.json()["state"]) == (200, "closed")
    assert await place.answer(leak) == WORKS


async def test_key_is_regenerated_and_verified_under_the_policy_afterwards(deployment: Deployment) -> None:
    place = await made(deployment)
    await blocked(deployment, place)

    ordered = await order(deployment, place.account.name, "account_key", "key1")
    await deployment.settled(ordered["id"], until=lambda r: r.state is State.AWAITING_APPROVAL)
    await approve(deployment, await read(deployment, ordered), who=SECOND_APPROVER)
    record = await deployment.settled(ordered["id"], until=lambda r: r.state in (State.PROVEN, State.CLOSED))

    assert deployment.rotations(place.account) == ["key1"]
    assert record.verification is not None
    assert record.verification.outcome == "proven"
    assert [await place.answer(url) for url in (short(place), place.url(policy="partners"))] == [WORKS, WORKS]
