"""An Event Grid topic in process, for tests: its publishers, and the function hosts that it delivers to."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from local.entra.service import Entra
from local.entra.tokens import EVENT_GRID
from local.event_grid.delivery import Answer
from local.event_grid.topic import EventGrid
from local.tenant.model import TOPIC_HOST, Cloud, Identity
from tests.support.asgi import client
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
class FakeHosts:
    """Function hosts that answer deliveries with `statuses` in turn; the last one repeats."""

    statuses: list[int | Exception] = field(default_factory=lambda: [202])
    requests: list[tuple[str, str, Mapping[str, str], bytes]] = field(default_factory=list)
    echo_code: bool = True
    allow_origin: bool = True

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self.requests.append((method, url, headers, body))
        if method == "OPTIONS":
            origin = headers["WebHook-Request-Origin"]
            return Answer(200, {"webhook-allowed-origin": origin} if self.allow_origin else {})
        if headers.get("aeg-event-type") == "SubscriptionValidation":
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
    """A clock that only `sleep` advances. `slept` is in seconds."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 21, 10, tzinfo=UTC)
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += timedelta(seconds=seconds)


@dataclass
class TopicUnderTest:
    """A topic with its publishers, and hosts without sockets that it delivers to."""

    cloud: Cloud
    entra: Entra
    hosts: FakeHosts
    clock: Clock
    grid: EventGrid

    def http(self, identity: Identity = SENDER, audience: str = EVENT_GRID) -> httpx.AsyncClient:
        return client(self.grid.app, TOPIC_HOST, token=self.entra.mint(identity, audience=audience))

    async def publish(self, body: object, content_type: str = STRUCTURED) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.http().post(PUBLISH, content=content, headers={"content-type": content_type})

    async def settle(self) -> list[dict[str, Any]]:
        """Wait until no event is pending; return the events."""
        async with asyncio.timeout(PATIENCE):
            await self.grid.settle()
        return self.cloud.events
