"""The topic and its subscription: what it accepts and from whom, how it delivers, when it gives up."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from azure.core.exceptions import HttpResponseError
from azure.core.messaging import CloudEvent
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.eventgrid import EventGridEvent
from azure.eventgrid.aio import EventGridPublisherClient

from local.entra.service import Entra
from local.entra.tokens import EVENT_GRID
from local.event_grid.delivery import RETRY_SECONDS, Answer, HandshakeFailed
from local.event_grid.topic import EventGrid
from local.network.listener import Listener
from local.tenant.model import TOPIC_HOST, Cloud, Identity
from tests.support.asgi import Credential, Transport, client
from tests.support.patience import PATIENCE

FOUND = "Sasquash.Finding.Reported.v1"
PUBLISH = "/api/events?api-version=2018-01-01"
HOSTS = ["http://127.0.0.1:7001", "http://127.0.0.1:7002"]
SYSTEM_KEY = "a+system/key="
SENDER = Identity("sender", "1" * 36, "2" * 36, frozenset({"EventGrid/events/send"}))
NOBODY = Identity("nobody", "3" * 36, "4" * 36, frozenset())
SIGNING_KEY = Entra(Cloud())._key

CLOUD_EVENT = {"specversion": "1.0", "id": "1", "source": "/s", "type": FOUND, "data": {"n": 1}}
GRID_EVENT = {
    "id": "1",
    "subject": "s",
    "eventType": FOUND,
    "eventTime": "2026-11-21T10:00:00Z",
    "dataVersion": "1",
    "data": {"n": 1},
}
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json; charset=utf-8"


@dataclass
class Hosts:
    """Function hosts that answer deliveries with `statuses` in turn, the last one for ever."""

    statuses: list[int | Exception] = field(default_factory=lambda: [202])
    requests: list[tuple[str, str, Mapping[str, str], bytes]] = field(default_factory=list)
    echo_code: bool = True
    allow_origin: bool = True

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self.requests.append((method, url, headers, body))
        if method == "OPTIONS":
            origin = headers["WebHook-Request-Origin"]
            return Answer(200, {"webhook-allowed-origin": origin} if self.allow_origin else {})
        if headers["aeg-event-type"] == "SubscriptionValidation":
            code = json.loads(body)[0]["data"]["validationCode"] if self.echo_code else "?"
            return Answer(200, {}, json.dumps({"validationResponse": code}).encode())
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if isinstance(status, Exception):
            raise status
        return Answer(status)

    @property
    def deliveries(self) -> list[tuple[str, Mapping[str, str], bytes]]:
        return [
            (url, headers, body)
            for _, url, headers, body in self.requests
            if headers.get("aeg-event-type") == "Notification"
        ]


class Clock:
    """Time that only sleeping moves on. `slept` is in seconds."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 21, 10, tzinfo=UTC)
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += timedelta(seconds=seconds)


@dataclass
class World:
    cloud: Cloud
    entra: Entra
    hosts: Hosts
    clock: Clock
    grid: EventGrid

    def http(self, identity: Identity = SENDER, audience: str = EVENT_GRID) -> httpx.AsyncClient:
        return client(self.grid.app, TOPIC_HOST, token=self.entra.mint(identity, audience=audience))

    async def publish(self, body: object, content_type: str = STRUCTURED) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.http().post(PUBLISH, content=content, headers={"content-type": content_type})

    async def settle(self) -> list[dict[str, Any]]:
        """The events, once none is pending."""
        async with asyncio.timeout(PATIENCE):
            await self.grid.settle()
        return self.cloud.events


@pytest.fixture
def world() -> World:
    cloud = Cloud(identities={"sender": SENDER, "nobody": NOBODY})
    entra, hosts, clock = Entra(cloud, key=SIGNING_KEY), Hosts(), Clock()
    return World(
        cloud, entra, hosts, clock, EventGrid(cloud, entra, send=hosts.send, clock=clock.now, sleep=clock.sleep)
    )


@pytest.fixture
async def subscribed(world: World) -> World:
    await world.grid.deliver_to(HOSTS, SYSTEM_KEY)
    return world


# Publishing


class PublisherTransport(Transport):
    """The publisher client still makes requests of azure-core's older kind."""

    async def send(self, request: Any, **kwargs: Any) -> AsyncHttpResponse:
        modern = HttpRequest(request.method, request.url, headers=dict(request.headers), content=request.body)
        return await super().send(modern, **kwargs)


@pytest.fixture
async def publisher(world: World) -> AsyncIterator[EventGridPublisherClient]:
    async with EventGridPublisherClient(
        f"https://{TOPIC_HOST}/api/events",
        Credential(world.entra, SENDER),
        transport=PublisherTransport(world.grid.app),
        retry_total=0,
    ) as real:
        yield real


async def test_the_real_client_publishes_cloud_events(world: World, publisher: EventGridPublisherClient) -> None:
    await publisher.send([CloudEvent(source="/s", type="a", data={"n": 1}), CloudEvent(source="/s", type="b")])
    assert [(event["type"], event["data"]) for event in world.cloud.events] == [("a", {"n": 1}), ("b", None)]


async def test_the_real_client_publishes_event_grid_events(world: World, publisher: EventGridPublisherClient) -> None:
    await publisher.send(EventGridEvent(subject="s", event_type="t", data={"n": 1}, data_version="1"))
    assert [(event["type"], event["subject"]) for event in world.cloud.events] == [("t", "s")]


async def test_the_real_client_may_not_publish_without_the_right(world: World) -> None:
    async with EventGridPublisherClient(
        f"https://{TOPIC_HOST}/api/events",
        Credential(world.entra, NOBODY),
        transport=PublisherTransport(world.grid.app),
        retry_total=0,
    ) as real:
        with pytest.raises(HttpResponseError) as refused:
            await real.send(CloudEvent(source="/s", type="a"))
    assert refused.value.status_code == 403


async def test_a_token_for_another_service_is_refused(world: World) -> None:
    answer = await world.http(audience="https://storage.azure.com").post(PUBLISH, json=[])
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "Unauthorized"


@pytest.mark.parametrize("header", ["aeg-sas-key", "aeg-sas-token"])
async def test_keys_of_the_topic_are_refused(world: World, header: str) -> None:
    answer = await client(world.grid.app, TOPIC_HOST).post(PUBLISH, json=[GRID_EVENT], headers={header: "x"})
    assert (answer.status_code, world.cloud.events) == (401, [])


async def test_another_api_version_is_refused(world: World) -> None:
    answer = await world.http().post("/api/events?api-version=2020-01-01", json=[])
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (CLOUD_EVENT, STRUCTURED),
        ([CLOUD_EVENT, CLOUD_EVENT], BATCH),
        (CLOUD_EVENT | {"time": "2026-11-21T10:00:00.1234567+01:00", "traceparent": "x"}, STRUCTURED),
        ([GRID_EVENT], "application/json"),
        ([GRID_EVENT | {"topic": "", "metadataVersion": "1", "dataVersion": ""}], "application/json"),
    ],
)
async def test_a_good_request_is_accepted(world: World, body: object, content_type: str) -> None:
    assert (await world.publish(body, content_type)).status_code == 200


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"{", STRUCTURED),
        (b"[" * 100_000, BATCH),
        (b'{"data":' + b"[" * 5_000 + b"]" * 5_000 + b"}", STRUCTURED),
        (CLOUD_EVENT | {"data": float("nan")}, STRUCTURED),
        ([CLOUD_EVENT], STRUCTURED),
        (CLOUD_EVENT, BATCH),
        ([CLOUD_EVENT], "application/json"),
        ({**CLOUD_EVENT, "id": ""}, STRUCTURED),
        ({**CLOUD_EVENT, "type": 5}, STRUCTURED),
        ({**CLOUD_EVENT, "specversion": "0.3"}, STRUCTURED),
        ({**CLOUD_EVENT, "time": "yesterday"}, STRUCTURED),
        ({**CLOUD_EVENT, "data_base64": "eA=="}, STRUCTURED),
        ({**CLOUD_EVENT, "Not-A-Name": "x"}, STRUCTURED),
        ({**CLOUD_EVENT, "extension": {"nested": 1}}, STRUCTURED),
        ([CLOUD_EVENT, {**CLOUD_EVENT, "source": None}], BATCH),
        ([{**GRID_EVENT, "subject": ""}], "application/json"),
        ([{**GRID_EVENT, "eventTime": "2026-11-21"}], "application/json"),
        ([{**GRID_EVENT, "topic": "/another/topic"}], "application/json"),
        ([{**GRID_EVENT, "metadataVersion": "2"}], "application/json"),
        ([{**GRID_EVENT, "extra": "x"}], "application/json"),
        (["text"], "application/json"),
    ],
)
async def test_a_bad_request_is_refused_as_a_whole(world: World, body: object, content_type: str) -> None:
    answer = await world.publish(body, content_type)
    assert (answer.status_code, world.cloud.events) == (400, [])
    assert answer.json()["error"]["details"][0]["code"] == "InputJsonInvalid"


async def test_an_unknown_content_type_is_refused(world: World) -> None:
    assert (await world.publish(CLOUD_EVENT, "text/plain")).status_code == 415


async def test_more_than_a_megabyte_is_too_large(world: World) -> None:
    fits = CLOUD_EVENT | {"data": ""}
    room = 1024 * 1024 - len(json.dumps(fits))
    assert (await world.publish(fits | {"data": "x" * room})).status_code == 200
    assert (await world.publish(fits | {"data": "x" * (room + 1)})).status_code == 413


async def test_what_is_recorded_holds_no_secret(world: World) -> None:
    leak = {"secret": "a-secret", "url": "https://github.com/x", "deeper": [{"secret": "a-secret"}]}
    await world.publish(CLOUD_EVENT | {"data": leak})
    assert "a-secret" not in repr(world.cloud.events)
    assert world.cloud.events[0]["data"]["url"] == "https://github.com/x"


async def test_what_is_recorded_is_redacted(world: World) -> None:
    signature = "A" * 43 + "="
    texts = [f"https://x/y?sv=1&sig={signature}", {f"sig={signature}": 1}, {"parameters": {"Sig": "short"}}]
    await world.publish(CLOUD_EVENT | {"subject": f"sig={signature}", "data": texts})
    (event,) = world.cloud.events
    assert "AAAA" not in repr(event)
    assert (event["data"][0], event["data"][2]) == (
        "https://x/y?sv=1&sig=REDACTED",
        {"parameters": {"Sig": "(withheld)"}},
    )


# Subscribing


async def test_each_host_passes_both_handshakes_first(subscribed: World) -> None:
    seen = [(method, urlsplit(url).netloc) for method, url, _, _ in subscribed.hosts.requests]
    assert seen == [(method, host[7:]) for host in HOSTS for method in ("OPTIONS", "POST")]


@pytest.mark.parametrize("refusal", ["echo_code", "allow_origin"])
async def test_a_host_that_does_not_prove_its_will_gets_no_events(world: World, refusal: str) -> None:
    setattr(world.hosts, refusal, False)
    with pytest.raises(HandshakeFailed) as failed:
        await world.grid.deliver_to(HOSTS, SYSTEM_KEY)
    assert SYSTEM_KEY not in str(failed.value)
    await world.publish(CLOUD_EVENT)
    assert world.cloud.events[0]["state"] == "not-subscribed"


# Delivering


async def test_a_cloud_event_is_delivered_as_it_came(subscribed: World) -> None:
    await subscribed.publish(CLOUD_EVENT | {"data": {"secret": "raw"}})
    events = await subscribed.settle()
    url, headers, body = subscribed.hosts.deliveries[0]
    query = parse_qs(urlsplit(url).query)
    assert urlsplit(url).path == "/runtime/webhooks/eventgrid"
    assert query == {"functionName": ["on_finding"], "code": [SYSTEM_KEY]}
    assert json.loads(body) == CLOUD_EVENT | {"data": {"secret": "raw"}}
    assert headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert headers["aeg-subscription-name"] == "FINDINGS-TO-FUNCTION"
    assert headers["aeg-delivery-count"] == "0"
    assert events[0]["state"] == "delivered"
    assert events[0]["deliveries"] == [{"at": "2026-11-21T10:00:00+00:00", "host": "127.0.0.1:7001", "status": 202}]


async def test_an_event_grid_event_is_delivered_in_an_array_with_its_topic(subscribed: World) -> None:
    await subscribed.publish([GRID_EVENT], "application/json")
    await subscribed.settle()
    _, headers, body = subscribed.hosts.deliveries[0]
    (event,) = json.loads(body)
    assert event["topic"].endswith("/providers/Microsoft.EventGrid/topics/sasquash")
    assert event | GRID_EVENT == event
    assert headers["content-type"] == "application/json; charset=utf-8"


async def test_events_of_a_batch_are_delivered_one_by_one_to_hosts_in_turn(subscribed: World) -> None:
    await subscribed.publish([CLOUD_EVENT | {"id": str(n)} for n in range(4)], BATCH)
    events = await subscribed.settle()
    assert [event["deliveries"][0]["host"][-4:] for event in events] == ["7001", "7002", "7001", "7002"]


async def test_other_types_are_recorded_and_not_delivered(subscribed: World) -> None:
    await subscribed.publish(CLOUD_EVENT | {"type": "Sasquash.Revocation.Proven.v1"})
    assert subscribed.cloud.events[0]["state"] == "not-subscribed"
    assert subscribed.hosts.deliveries == []


@pytest.mark.parametrize("failure", [500, 404, 301, 205, TimeoutError()])
async def test_a_failed_delivery_is_tried_again(subscribed: World, failure: int | Exception) -> None:
    subscribed.hosts.statuses = [failure, 200]
    await subscribed.publish(CLOUD_EVENT)
    (event,) = await subscribed.settle()
    assert event["state"] == "delivered"
    first = failure if isinstance(failure, int) else None
    assert [delivery["status"] for delivery in event["deliveries"]] == [first, 200]
    assert subscribed.clock.slept == [10]
    assert subscribed.hosts.deliveries[1][1]["aeg-delivery-count"] == "1"


@pytest.mark.parametrize("error", [ConnectionRefusedError("refused"), OSError("ClientOSError")])
async def test_a_host_that_can_not_be_reached_is_passed_by(subscribed: World, error: Exception) -> None:
    subscribed.hosts.statuses = [error, 202]
    await subscribed.publish(CLOUD_EVENT)
    (event,) = await subscribed.settle()
    tried = [(delivery["host"], delivery["status"]) for delivery in event["deliveries"]]
    assert tried == [("127.0.0.1:7001", None), ("127.0.0.1:7002", 202)]
    assert subscribed.clock.slept == []
    assert [headers["aeg-delivery-count"] for _, headers, _ in subscribed.hosts.deliveries] == ["0", "0"]


async def test_an_attempt_has_failed_when_no_host_can_be_reached(subscribed: World) -> None:
    subscribed.hosts.statuses = [OSError("refused"), OSError("refused"), 202]
    await subscribed.publish(CLOUD_EVENT)
    (event,) = await subscribed.settle()
    assert [delivery["status"] for delivery in event["deliveries"]] == [None, None, 202]
    assert subscribed.clock.slept == [10]
    assert subscribed.hosts.deliveries[2][1]["aeg-delivery-count"] == "1"


async def test_the_schedule_is_the_documented_one_for_thirty_attempts(subscribed: World) -> None:
    subscribed.hosts.statuses = [500]
    await subscribed.publish(CLOUD_EVENT)
    (event,) = await subscribed.settle()
    slept = subscribed.clock.slept
    assert tuple(slept[:7]) == RETRY_SECONDS == (10, 30, 60, 300, 600, 1800, 3600)
    assert set(slept[7:]) == {3600}
    assert (event["state"], len(event["deliveries"])) == ("dead-lettered", 30)
    assert subscribed.cloud.dead_letters[0]["deadLetterReason"] == "MaxDeliveryAttemptsExceeded"


async def test_an_event_is_given_up_after_a_day(subscribed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow_to_fail(*_: Any) -> Answer:
        subscribed.clock.time += timedelta(hours=2)
        return Answer(500)

    monkeypatch.setattr(subscribed.grid._delivery, "_send", slow_to_fail)
    await subscribed.publish(CLOUD_EVENT)
    (event,) = await subscribed.settle()
    assert len(event["deliveries"]) < 30
    assert subscribed.cloud.dead_letters[0]["deadLetterReason"] == "TimeToLiveExceeded"


async def test_the_time_factor_shortens_the_schedule(subscribed: World) -> None:
    subscribed.cloud.time_factor = 60
    subscribed.hosts.statuses = [500, 500, 200]
    await subscribed.publish(CLOUD_EVENT)
    await subscribed.settle()
    assert subscribed.clock.slept == [10 / 60, 30 / 60]


async def test_a_dead_letter_is_written_as_a_blob_five_minutes_after_the_last_attempt(world: World) -> None:
    written: dict[str, Any] = {}

    async def write(name: str, content: bytes) -> None:
        written[name] = json.loads(content)

    grid = EventGrid(
        world.cloud,
        world.entra,
        send=world.hosts.send,
        clock=world.clock.now,
        sleep=world.clock.sleep,
        dead_letter=write,
    )
    await grid.deliver_to(HOSTS, SYSTEM_KEY)
    await replace(world, grid=grid).publish(CLOUD_EVENT)
    world.hosts.statuses = [413]
    await grid.settle()
    [(name, letters)] = written.items()
    assert re.fullmatch(r"sasquash/FINDINGS-TO-FUNCTION/\d+/\d+/\d+/\d+/[0-9a-f-]{36}\.json", name)
    assert (letters[0]["id"], letters[0]["deadLetterReason"].startswith("Undeliverable")) == (CLOUD_EVENT["id"], True)
    assert world.clock.slept == [300]


@pytest.mark.parametrize("status", [400, 401, 403, 413])
async def test_some_failures_are_final(subscribed: World, status: int) -> None:
    subscribed.hosts.statuses = [status]
    await subscribed.publish(CLOUD_EVENT)
    (event,) = await subscribed.settle()
    assert event["state"] == "dead-lettered"
    assert subscribed.clock.slept == []
    (letter,) = subscribed.cloud.dead_letters
    assert (letter["deliveryAttempts"], letter["lastHttpStatusCode"]) == (1, status)


async def test_a_dead_letter_holds_no_secret_where_people_look(subscribed: World) -> None:
    subscribed.hosts.statuses = [400]
    await subscribed.publish(CLOUD_EVENT | {"data": {"secret": "a-secret"}})
    await subscribed.settle()
    assert subscribed.cloud.dead_letters[0]["data"] == {"secret": "(withheld)"}
    assert subscribed.grid.raw_dead_letters[0]["data"] == {"secret": "a-secret"}


async def test_a_dead_letter_is_redacted_where_people_look(subscribed: World) -> None:
    subscribed.hosts.statuses = [400]
    leak = {"url": f"https://x/y?sig={'A' * 43}%3D"}
    await subscribed.publish(CLOUD_EVENT | {"data": leak})
    await subscribed.settle()
    assert "AAAA" not in repr(subscribed.cloud.dead_letters)
    assert subscribed.grid.raw_dead_letters[0]["data"] == leak


@pytest.mark.parametrize("version", ["a\nb", "\ud800", "ü"])
async def test_a_data_version_that_fits_no_header_is_delivered(subscribed: World, version: str) -> None:
    await subscribed.publish([GRID_EVENT | {"dataVersion": version}], "application/json")
    await subscribed.settle()
    _, headers, body = subscribed.hosts.deliveries[0]
    assert headers["aeg-data-version"].isprintable()
    assert headers["aeg-data-version"].isascii()
    assert json.loads(body)[0]["dataVersion"] == version


async def test_an_answer_after_thirty_seconds_counts_as_none(
    subscribed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[float | None] = []
    real = asyncio.timeout

    def timeout(delay: float | None) -> asyncio.Timeout:
        limits.append(delay)
        return real(0)

    monkeypatch.setattr("local.event_grid.delivery.asyncio.timeout", timeout)
    subscribed.cloud.time_factor = 60
    waiting = asyncio.Event()

    async def hang(*_: Any) -> Answer:
        if len(limits) > 1:
            monkeypatch.setattr("local.event_grid.delivery.asyncio.timeout", real)
            return Answer(202)
        await waiting.wait()
        return Answer(202)

    monkeypatch.setattr(subscribed.grid._delivery, "_send", hang)
    await subscribed.publish(CLOUD_EVENT)
    async with real(10):
        await subscribed.grid.settle()
    assert [delivery["status"] for delivery in subscribed.cloud.events[0]["deliveries"]] == [None, 202]
    assert limits[0] == 30


async def test_forgetting_gives_up_on_what_is_under_way(subscribed: World) -> None:
    asked = asyncio.Event()

    async def hang(*_: Any) -> Answer:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    subscribed.grid._delivery._send = hang
    await subscribed.publish(CLOUD_EVENT)
    async with asyncio.timeout(PATIENCE):
        await asked.wait()
        await subscribed.grid.forget()
    assert subscribed.cloud.events[0]["deliveries"] == []


async def test_deliveries_go_over_plain_http_where_nothing_else_is_given(world: World) -> None:
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
        answer = await world.hosts.send(scope["method"], url, headers, body)
        pairs = [(name.encode(), value.encode()) for name, value in answer.headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": pairs})
        await send({"type": "http.response.body", "body": answer.body})

    listener = Listener(host)
    await listener.start()
    grid = EventGrid(world.cloud, world.entra)
    await grid.start()
    try:
        await grid.deliver_to([f"http://127.0.0.1:{listener.port}"], SYSTEM_KEY)
        world.grid = grid
        await world.publish(CLOUD_EVENT)
        (event,) = await world.settle()
        assert event["deliveries"][0]["status"] == 202
    finally:
        await grid.stop()
        await listener.stop()


async def test_a_host_that_is_not_there_fails_the_handshake(world: World) -> None:
    grid = EventGrid(world.cloud, world.entra)
    await grid.start()
    try:
        with pytest.raises(HandshakeFailed) as failed:
            await grid.deliver_to(["http://127.0.0.1:1"], SYSTEM_KEY)
        assert "127.0.0.1:1 cannot be reached" in str(failed.value)
    finally:
        await grid.stop()
