"""The event subscription: handshakes, delivery, retries and dead letters."""

import asyncio
import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from local.event_grid.delivery import RETRY_SECONDS, Answer, HandshakeFailed
from local.event_grid.topic import EventGrid
from local.network.listener import Listener
from tests.support.event_grid import (
    BATCH,
    CLOUD_EVENT,
    GRID_EVENT,
    HOSTS,
    SYSTEM_KEY,
    TopicUnderTest,
)
from tests.support.patience import PATIENCE


async def test_each_host_passes_both_handshakes_first(subscribed_topic: TopicUnderTest) -> None:
    seen = [(method, urlsplit(url).netloc) for method, url, _, _ in subscribed_topic.hosts.requests]
    assert seen == [(method, host[7:]) for host in HOSTS for method in ("OPTIONS", "POST")]


@pytest.mark.parametrize("refusal", ["echo_code", "allow_origin"])
async def test_host_that_fails_the_handshake_gets_no_events(topic: TopicUnderTest, refusal: str) -> None:
    setattr(topic.hosts, refusal, False)
    with pytest.raises(HandshakeFailed) as failed:
        await topic.grid.deliver_to(HOSTS, SYSTEM_KEY)
    assert SYSTEM_KEY not in str(failed.value)
    await topic.publish(CLOUD_EVENT)
    assert topic.cloud.events[0]["state"] == "not-subscribed"


async def test_cloud_event_is_delivered_unchanged(subscribed_topic: TopicUnderTest) -> None:
    await subscribed_topic.publish(CLOUD_EVENT | {"data": {"secret": "raw"}})
    events = await subscribed_topic.settle()
    url, headers, body = subscribed_topic.hosts.deliveries[0]
    query = parse_qs(urlsplit(url).query)
    assert urlsplit(url).path == "/runtime/webhooks/eventgrid"
    assert query == {"functionName": ["on_finding"], "code": [SYSTEM_KEY]}
    assert json.loads(body) == CLOUD_EVENT | {"data": {"secret": "raw"}}
    assert headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert headers["aeg-subscription-name"] == "FINDINGS-TO-FUNCTION"
    assert headers["aeg-delivery-count"] == "0"
    assert events[0]["state"] == "delivered"
    assert events[0]["deliveries"] == [{"at": "2026-11-21T10:00:00+00:00", "host": "127.0.0.1:7001", "status": 202}]


async def test_event_grid_event_is_delivered_in_an_array_with_its_topic(subscribed_topic: TopicUnderTest) -> None:
    await subscribed_topic.publish([GRID_EVENT], "application/json")
    await subscribed_topic.settle()
    _, headers, body = subscribed_topic.hosts.deliveries[0]
    (event,) = json.loads(body)
    assert event["topic"].endswith("/providers/Microsoft.EventGrid/topics/sasquash")
    assert event | GRID_EVENT == event
    assert headers["content-type"] == "application/json; charset=utf-8"


async def test_events_of_a_batch_are_delivered_one_by_one_to_hosts_in_turn(subscribed_topic: TopicUnderTest) -> None:
    await subscribed_topic.publish([CLOUD_EVENT | {"id": str(n)} for n in range(4)], BATCH)
    events = await subscribed_topic.settle()
    assert [event["deliveries"][0]["host"][-4:] for event in events] == ["7001", "7002", "7001", "7002"]


async def test_other_types_are_recorded_and_not_delivered(subscribed_topic: TopicUnderTest) -> None:
    await subscribed_topic.publish(CLOUD_EVENT | {"type": "Sasquash.Revocation.Proven.v1"})
    assert subscribed_topic.cloud.events[0]["state"] == "not-subscribed"
    assert subscribed_topic.hosts.deliveries == []


@pytest.mark.parametrize("failure", [500, 404, 301, 205, TimeoutError()])
async def test_failed_delivery_is_retried(subscribed_topic: TopicUnderTest, failure: int | Exception) -> None:
    subscribed_topic.hosts.statuses = [failure, 200]
    await subscribed_topic.publish(CLOUD_EVENT)
    (event,) = await subscribed_topic.settle()
    assert event["state"] == "delivered"
    first = failure if isinstance(failure, int) else None
    assert [delivery["status"] for delivery in event["deliveries"]] == [first, 200]
    assert subscribed_topic.clock.slept == [10]
    assert subscribed_topic.hosts.deliveries[1][1]["aeg-delivery-count"] == "1"


@pytest.mark.parametrize("error", [ConnectionRefusedError("refused"), OSError("ClientOSError")])
async def test_unreachable_host_is_skipped(subscribed_topic: TopicUnderTest, error: Exception) -> None:
    subscribed_topic.hosts.statuses = [error, 202]
    await subscribed_topic.publish(CLOUD_EVENT)
    (event,) = await subscribed_topic.settle()
    tried = [(delivery["host"], delivery["status"]) for delivery in event["deliveries"]]
    assert tried == [("127.0.0.1:7001", None), ("127.0.0.1:7002", 202)]
    assert subscribed_topic.clock.slept == []
    assert [headers["aeg-delivery-count"] for _, headers, _ in subscribed_topic.hosts.deliveries] == ["0", "0"]


async def test_attempt_fails_when_no_host_is_reachable(subscribed_topic: TopicUnderTest) -> None:
    subscribed_topic.hosts.statuses = [OSError("refused"), OSError("refused"), 202]
    await subscribed_topic.publish(CLOUD_EVENT)
    (event,) = await subscribed_topic.settle()
    assert [delivery["status"] for delivery in event["deliveries"]] == [None, None, 202]
    assert subscribed_topic.clock.slept == [10]
    assert subscribed_topic.hosts.deliveries[2][1]["aeg-delivery-count"] == "1"


async def test_schedule_is_the_documented_one_for_thirty_attempts(subscribed_topic: TopicUnderTest) -> None:
    subscribed_topic.hosts.statuses = [500]
    await subscribed_topic.publish(CLOUD_EVENT)
    (event,) = await subscribed_topic.settle()
    slept = subscribed_topic.clock.slept
    assert tuple(slept[:7]) == RETRY_SECONDS == (10, 30, 60, 300, 600, 1800, 3600)
    assert set(slept[7:]) == {3600}
    assert (event["state"], len(event["deliveries"])) == ("dead-lettered", 30)
    assert subscribed_topic.cloud.dead_letters[0]["deadLetterReason"] == "MaxDeliveryAttemptsExceeded"


async def test_event_is_dead_lettered_after_a_day(
    subscribed_topic: TopicUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow_to_fail(*_: Any) -> Answer:
        subscribed_topic.clock.time += timedelta(hours=2)
        return Answer(500)

    monkeypatch.setattr(subscribed_topic.grid._delivery, "_send", slow_to_fail)
    await subscribed_topic.publish(CLOUD_EVENT)
    (event,) = await subscribed_topic.settle()
    assert len(event["deliveries"]) < 30
    assert subscribed_topic.cloud.dead_letters[0]["deadLetterReason"] == "TimeToLiveExceeded"


async def test_time_factor_shortens_the_schedule(subscribed_topic: TopicUnderTest) -> None:
    subscribed_topic.cloud.time_factor = 60
    subscribed_topic.hosts.statuses = [500, 500, 200]
    await subscribed_topic.publish(CLOUD_EVENT)
    await subscribed_topic.settle()
    assert subscribed_topic.clock.slept == [10 / 60, 30 / 60]


async def test_dead_letter_is_written_as_a_blob_five_minutes_after_the_last_attempt(topic: TopicUnderTest) -> None:
    written: dict[str, Any] = {}

    async def write(name: str, content: bytes) -> None:
        written[name] = json.loads(content)

    grid = EventGrid(
        topic.cloud,
        topic.entra,
        send=topic.hosts.send,
        clock=topic.clock.now,
        sleep=topic.clock.sleep,
        dead_letter=write,
    )
    await grid.deliver_to(HOSTS, SYSTEM_KEY)
    await replace(topic, grid=grid).publish(CLOUD_EVENT)
    topic.hosts.statuses = [413]
    await grid.settle()
    [(name, letters)] = written.items()
    assert re.fullmatch(r"sasquash/FINDINGS-TO-FUNCTION/\d+/\d+/\d+/\d+/[0-9a-f-]{36}\.json", name)
    assert (letters[0]["id"], letters[0]["deadLetterReason"].startswith("Undeliverable")) == (CLOUD_EVENT["id"], True)
    assert topic.clock.slept == [300]


@pytest.mark.parametrize("status", [400, 401, 403, 413])
async def test_some_failures_are_not_retried(subscribed_topic: TopicUnderTest, status: int) -> None:
    subscribed_topic.hosts.statuses = [status]
    await subscribed_topic.publish(CLOUD_EVENT)
    (event,) = await subscribed_topic.settle()
    assert event["state"] == "dead-lettered"
    assert subscribed_topic.clock.slept == []
    (letter,) = subscribed_topic.cloud.dead_letters
    assert (letter["deliveryAttempts"], letter["lastHttpStatusCode"]) == (1, status)


async def test_shown_dead_letter_contains_no_secret(subscribed_topic: TopicUnderTest) -> None:
    subscribed_topic.hosts.statuses = [400]
    await subscribed_topic.publish(CLOUD_EVENT | {"data": {"secret": "a-secret"}})
    await subscribed_topic.settle()
    assert subscribed_topic.cloud.dead_letters[0]["data"] == {"secret": "(withheld)"}
    assert subscribed_topic.grid.raw_dead_letters[0]["data"] == {"secret": "a-secret"}


async def test_shown_dead_letter_is_redacted(subscribed_topic: TopicUnderTest) -> None:
    subscribed_topic.hosts.statuses = [400]
    leak = {"url": f"https://x/y?sig={'A' * 43}%3D"}
    await subscribed_topic.publish(CLOUD_EVENT | {"data": leak})
    await subscribed_topic.settle()
    assert "AAAA" not in repr(subscribed_topic.cloud.dead_letters)
    assert subscribed_topic.grid.raw_dead_letters[0]["data"] == leak


@pytest.mark.parametrize("version", ["a\nb", "\ud800", "ü"])
async def test_data_version_invalid_in_a_header_is_encoded(subscribed_topic: TopicUnderTest, version: str) -> None:
    await subscribed_topic.publish([GRID_EVENT | {"dataVersion": version}], "application/json")
    await subscribed_topic.settle()
    _, headers, body = subscribed_topic.hosts.deliveries[0]
    assert headers["aeg-data-version"].isprintable()
    assert headers["aeg-data-version"].isascii()
    assert json.loads(body)[0]["dataVersion"] == version


async def test_response_after_thirty_seconds_counts_as_timeout(
    subscribed_topic: TopicUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[float | None] = []
    real = asyncio.timeout

    def timeout(delay: float | None) -> asyncio.Timeout:
        limits.append(delay)
        return real(0)

    monkeypatch.setattr("local.event_grid.delivery.asyncio.timeout", timeout)
    subscribed_topic.cloud.time_factor = 60
    waiting = asyncio.Event()

    async def hang(*_: Any) -> Answer:
        if len(limits) > 1:
            monkeypatch.setattr("local.event_grid.delivery.asyncio.timeout", real)
            return Answer(202)
        await waiting.wait()
        return Answer(202)

    monkeypatch.setattr(subscribed_topic.grid._delivery, "_send", hang)
    await subscribed_topic.publish(CLOUD_EVENT)
    async with real(10):
        await subscribed_topic.grid.settle()
    assert [delivery["status"] for delivery in subscribed_topic.cloud.events[0]["deliveries"]] == [None, 202]
    assert limits[0] == 30


async def test_forget_cancels_deliveries_in_progress(subscribed_topic: TopicUnderTest) -> None:
    asked = asyncio.Event()

    async def hang(*_: Any) -> Answer:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    subscribed_topic.grid._delivery._send = hang
    await subscribed_topic.publish(CLOUD_EVENT)
    async with asyncio.timeout(PATIENCE):
        await asked.wait()
        await subscribed_topic.grid.forget()
    assert subscribed_topic.cloud.events[0]["deliveries"] == []


async def test_deliveries_use_plain_http_by_default(topic: TopicUnderTest) -> None:
    async def host(scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        headers |= {"WebHook-Request-Origin": headers.get("webhook-request-origin", "")}
        url = f"http://{headers['host']}{scope['path']}?{scope['query_string'].decode()}"
        answer = await topic.hosts.send(scope["method"], url, headers, body)
        pairs = [(name.encode(), value.encode()) for name, value in answer.headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": pairs})
        await send({"type": "http.response.body", "body": answer.body})

    listener = Listener(host)
    await listener.start()
    grid = EventGrid(topic.cloud, topic.entra)
    await grid.start()
    try:
        await grid.deliver_to([f"http://127.0.0.1:{listener.port}"], SYSTEM_KEY)
        topic.grid = grid
        await topic.publish(CLOUD_EVENT)
        (event,) = await topic.settle()
        assert event["deliveries"][0]["status"] == 202
    finally:
        await grid.stop()
        await listener.stop()


async def test_missing_host_fails_the_handshake(topic: TopicUnderTest) -> None:
    grid = EventGrid(topic.cloud, topic.entra)
    await grid.start()
    try:
        with pytest.raises(HandshakeFailed) as failed:
            await grid.deliver_to(["http://127.0.0.1:1"], SYSTEM_KEY)
        assert "127.0.0.1:1 cannot be reached" in str(failed.value)
    finally:
        await grid.stop()
