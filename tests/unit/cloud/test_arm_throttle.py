"""ARM's limits are kept before they are hit, and its 429 is obeyed without sleeping in a call."""

import contextvars
from datetime import timedelta
from typing import Any

import pytest
from azure.core.pipeline import AsyncPipeline
from azure.core.pipeline.policies import AsyncRetryPolicy
from azure.core.rest import HttpRequest

from local.memory.exchange import Answer, Request
from local.memory.transport import InProcessTransport
from shared.cloud.arm_throttle import _LIMITS, ArmPace, ArmPacePolicy, Kind, classify
from shared.errors import Throttled, WritesThrottled
from tests.support.samples import NOW

SUBSCRIPTION = "3d8f6a52-91c4-4b7e-8f0d-5b2a7c9e1f33"
ACCOUNT = (
    f"https://management.azure.com/subscriptions/{SUBSCRIPTION}/resourceGroups/web/providers/x/storageAccounts/a"
)
SUBSCRIPTION_URL = f"https://management.azure.com/subscriptions/{SUBSCRIPTION}"
_WRITES_AT_ONCE = _LIMITS[Kind.WRITE][0].burst
VERSION = "?api-version=2026-09-01"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> Any:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> ArmPace:
    return ArmPace(clock=clock)


@pytest.mark.parametrize(
    ("method", "url", "kind"),
    [
        ("POST", f"{ACCOUNT}/listKeys{VERSION}", Kind.LIST),
        ("POST", f"{ACCOUNT}/regenerateKey{VERSION}", Kind.WRITE),
        ("POST", f"{ACCOUNT}/revokeUserDelegationKeys{VERSION}", Kind.WRITE),
        ("PATCH", f"{ACCOUNT}{VERSION}", Kind.WRITE),
        ("PUT", f"{ACCOUNT}/tableServices/default/tables/t{VERSION}", Kind.WRITE),
        ("GET", f"{ACCOUNT}{VERSION}", Kind.READ),
        ("GET", f"{SUBSCRIPTION_URL}/providers/Microsoft.Storage/storageAccounts{VERSION}", Kind.ACCOUNTS),
        ("GET", f"{SUBSCRIPTION_URL}/providers/Microsoft.Authorization/locks{VERSION}", Kind.READ),
    ],
)
def test_call_counts_as_what_arm_counts_it(method: str, url: str, kind: Kind) -> None:
    assert classify(method, url) == (SUBSCRIPTION, kind)


def test_query_of_resource_graph_is_a_read_of_no_subscription() -> None:
    url = f"https://management.azure.com/providers/Microsoft.ResourceGraph/resources{VERSION}"

    assert classify("POST", url) == ("", Kind.READ)


@pytest.mark.parametrize(("seconds", "most"), [(1, 10), (3600, 1200)], ids=["writes a second", "writes an hour"])
def test_fewer_writes_are_sent_than_arm_takes_and_not_many_fewer(
    pace: ArmPace, clock: Clock, seconds: int, most: int
) -> None:
    sent = 0
    for _ in range(seconds * 20):  # one every 50 ms
        try:
            pace.admit(SUBSCRIPTION, Kind.WRITE)
            sent += 1
        except Throttled:
            pass
        clock.now += timedelta(milliseconds=50)

    assert 0.8 * most <= sent < most


def test_what_is_held_back_says_when_it_may_be_sent(pace: ArmPace, clock: Clock) -> None:
    for _ in range(_WRITES_AT_ONCE):
        pace.admit(SUBSCRIPTION, Kind.WRITE)
    with pytest.raises(Throttled) as caught:
        pace.admit(SUBSCRIPTION, Kind.WRITE)
    assert caught.value.retry_after is not None
    assert caught.value.had_no_effect
    clock.now += timedelta(seconds=caught.value.retry_after)

    pace.admit(SUBSCRIPTION, Kind.WRITE)


def spend(pace: ArmPace, *, but: int = 0) -> None:
    """Send all that may be sent at once, but for some."""
    for _ in range(_WRITES_AT_ONCE - but):
        pace.admit(SUBSCRIPTION, Kind.WRITE)


def test_what_was_reserved_is_sent_though_others_have_spent_the_rest(pace: ArmPace) -> None:
    with pace.write_reserved(SUBSCRIPTION):
        context = contextvars.Context()
        for _ in range(_WRITES_AT_ONCE - 1):
            context.run(pace.admit, SUBSCRIPTION, Kind.WRITE)  # another task's
        with pytest.raises(Throttled):
            context.run(pace.admit, SUBSCRIPTION, Kind.WRITE)

        pace.admit(SUBSCRIPTION, Kind.WRITE)


def test_what_was_reserved_is_sent_once(pace: ArmPace) -> None:
    spend(pace, but=1)
    with pace.write_reserved(SUBSCRIPTION):
        pace.admit(SUBSCRIPTION, Kind.WRITE)
        with pytest.raises(Throttled):
            pace.admit(SUBSCRIPTION, Kind.WRITE)


def test_what_was_reserved_and_not_used_is_there_for_others(pace: ArmPace) -> None:
    spend(pace, but=1)
    for _ in range(10):
        with pace.write_reserved(SUBSCRIPTION):
            pass

    pace.admit(SUBSCRIPTION, Kind.WRITE)


def test_what_was_reserved_is_not_sent_once_arm_wants_to_be_left_alone(pace: ArmPace) -> None:
    with pace.write_reserved(SUBSCRIPTION):
        pace.throttled(SUBSCRIPTION, Kind.WRITE, seconds=120)
        with pytest.raises(WritesThrottled):
            pace.admit(SUBSCRIPTION, Kind.WRITE)


def test_what_was_reserved_serves_what_is_started_meanwhile(pace: ArmPace) -> None:
    spend(pace, but=1)
    with pace.write_reserved(SUBSCRIPTION):
        contextvars.copy_context().run(pace.admit, SUBSCRIPTION, Kind.WRITE)  # as a task that is started in the block
        with pytest.raises(Throttled):
            pace.admit(SUBSCRIPTION, Kind.WRITE)


def test_nothing_is_reserved_where_it_would_not_be_sent(pace: ArmPace) -> None:
    spend(pace)
    with pytest.raises(Throttled), pace.write_reserved(SUBSCRIPTION):
        pass


def test_what_was_reserved_is_of_one_subscription(pace: ArmPace) -> None:
    with pace.write_reserved("another"):
        spend(pace)
        with pytest.raises(Throttled):
            pace.admit(SUBSCRIPTION, Kind.WRITE)


def test_a_reserved_change_is_no_list(pace: ArmPace) -> None:
    spend(pace, but=1)
    with pace.write_reserved(SUBSCRIPTION):
        pace.admit(SUBSCRIPTION, Kind.LIST)

        pace.admit(SUBSCRIPTION, Kind.WRITE)


@pytest.mark.parametrize("kind", [Kind.READ, Kind.LIST])
def test_what_changes_nothing_is_not_counted(pace: ArmPace, kind: Kind) -> None:
    for _ in range(1000):
        pace.admit(SUBSCRIPTION, kind)


def test_subscriptions_are_counted_apart(pace: ArmPace) -> None:
    for _ in range(_WRITES_AT_ONCE):
        pace.admit(SUBSCRIPTION, Kind.WRITE)

    pace.admit("another", Kind.WRITE)


def test_nothing_of_a_kind_is_sent_until_arm_allows(pace: ArmPace, clock: Clock) -> None:
    pace.throttled(SUBSCRIPTION, Kind.LIST, seconds=120)
    clock.now += timedelta(seconds=119)
    with pytest.raises(Throttled):
        pace.admit(SUBSCRIPTION, Kind.LIST)
    pace.admit(SUBSCRIPTION, Kind.WRITE)
    clock.now += timedelta(seconds=2)

    pace.admit(SUBSCRIPTION, Kind.LIST)


async def answered(pace: ArmPace, answers: list[Answer]) -> tuple[Any, int]:
    """What a client's pipeline brings, and how often it was sent."""
    sent = 0

    async def service(_request: Request) -> Answer:
        nonlocal sent
        sent += 1
        return answers[min(sent, len(answers)) - 1]

    policies = [AsyncRetryPolicy(retry_total=2, retry_backoff_factor=0), ArmPacePolicy(pace)]
    async with AsyncPipeline(InProcessTransport(service), policies) as pipeline:  # type: ignore[arg-type]
        try:
            outcome: Any = await pipeline.run(HttpRequest("GET", f"{ACCOUNT}{VERSION}"))
        except Throttled as error:
            outcome = error
    return outcome, sent


async def test_429_is_neither_repeated_nor_slept_on_in_the_call(pace: ArmPace) -> None:
    outcome, sent = await answered(pace, [Answer(429, {"retry-after": "120"})])

    assert (type(outcome), outcome.retry_after, sent) == (Throttled, 120.0, 1)


async def test_503_is_repeated_as_ever(pace: ArmPace) -> None:
    outcome, sent = await answered(pace, [Answer(503), Answer(200)])

    assert (outcome.http_response.status_code, sent) == (200, 2)


async def test_call_after_a_429_is_not_sent(pace: ArmPace) -> None:
    await answered(pace, [Answer(429)])
    outcome, sent = await answered(pace, [Answer(200)])

    assert (type(outcome), sent) == (Throttled, 0)
