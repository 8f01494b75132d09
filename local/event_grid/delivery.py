"""Delivers accepted events to a function app, or to a queue: handshakes, attempts, retry schedule, dead letters.

Sources: "Event Grid message delivery and retry" (schedule, limits, codes that are not retried, dead-letter
properties), "Webhook event delivery" and "CloudEvents v1.0 schema with Event Grid" (handshakes, headers).
"""

import asyncio
import json
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from itertools import count
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from local.event_grid.display import clean
from local.event_grid.schemas import Event, Schema
from local.tenant.model import Cloud

_log = logging.getLogger(__name__)

SUBSCRIPTION = "findings-to-function"
FUNCTION = "on_finding"
INCLUDED_EVENT_TYPES = frozenset({"Sasquash.Finding.Reported.v1"})

ANSWER_LIMIT_SECONDS = 30.0  # not divided by the time factor: a slow function is as slow here as in Azure
RETRY_SECONDS = (10, 30, 60, 300, 600, 1800, 3600)  # after each failure; the last one repeats
MAX_ATTEMPTS = 30
_DEAD_LETTER_SECONDS = 300
TIME_TO_LIVE = timedelta(hours=24)
_SUCCESS = range(200, 205)
_NOT_RETRIED = frozenset({400, 401, 403, 413})  # of webhooks
_CONCURRENT = 64  # concurrent deliveries; Azure adapts this number and does not document it
_ORIGIN = "eventgrid.azure.net"
_UNREACHABLE = "Unreachable"
_HEADER_SAFE = " !#$&'()*+,/:;=?@[]"  # with letters, digits and "_.-~", which `quote` never encodes


@dataclass(frozen=True, slots=True)
class Answer:
    """The response of an endpoint. Names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


# Sends (method, url, headers, body). Raises OSError when the endpoint cannot be reached. It is canceled when the
# response takes too long; the invocation must continue then.
type Send = Callable[[str, str, Mapping[str, str], bytes], Awaitable[Answer]]

# Writes a blob (name, content) into the dead-letter container. Raises OSError when storage is unavailable.
type WriteDeadLetter = Callable[[str, bytes], Awaitable[None]]


class Queue(Protocol):
    """A Storage queue that the subscription delivers to (`local.event_grid.storage_queue`)."""

    @property
    def host(self) -> str: ...

    @property
    def not_retried(self) -> frozenset[int]: ...

    async def put(self, event: Event) -> Answer: ...


class HandshakeFailed(Exception):
    """An endpoint did not pass the validation handshake. The message contains no key."""


class Delivery:
    """The one event subscription of the topic."""

    def __init__(
        self,
        cloud: Cloud,
        *,
        topic: str,
        send: Send,
        now: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]],
        dead_letter: WriteDeadLetter | None = None,
    ) -> None:
        """Without `dead_letter`, dead letters are kept only in `raw_dead_letters`."""
        self._cloud = cloud
        self._topic = topic
        self._send = send
        self._now = now
        self._sleep = sleep
        self._write_dead_letter = dead_letter
        self._slots = asyncio.Semaphore(_CONCURRENT)
        self._in_progress: set[asyncio.Task[None]] = set()
        self._endpoints: tuple[str, ...] = ()
        self._queue: Queue | None = None
        self._rotation = count()
        # As the real service would write them to its container. `cloud.dead_letters`, which is shown to people, has
        # the same without secrets.
        self.raw_dead_letters: list[dict[str, Any]] = []

    async def subscribe(self, endpoints: Sequence[str], system_key: str) -> None:
        """Deliver to these hosts (base URLs) from now on, in turn. Raises HandshakeFailed.

        In Azure they are one endpoint, whose front end skips an instance that cannot be reached.
        """
        path = f"/runtime/webhooks/eventgrid?functionName={FUNCTION}&code={quote(system_key, safe='')}"
        urls = [endpoint.rstrip("/") + path for endpoint in endpoints]
        for url in urls:
            await self._validate_cloud_events(url)
            await self._validate_event_grid(url)
        self._endpoints = tuple(urls)

    def subscribe_queue(self, queue: Queue) -> None:
        """Deliver to this queue from now on, and to no host. A queue takes part in no handshake."""
        self._queue = queue

    def accept(self, event: Event) -> None:
        """Record a published event, and start to deliver it if the subscription includes its type."""
        record: dict[str, Any] = event.describe() | {"deliveries": [], "state": "not-subscribed"}
        self._cloud.events.append(record)
        if (self._endpoints or self._queue) and event.type in INCLUDED_EVENT_TYPES:
            record["state"] = "pending"
            task = asyncio.create_task(self._deliver(event, record))
            self._in_progress.add(task)
            task.add_done_callback(self._in_progress.discard)

    async def settle(self) -> None:
        """Wait until every event is delivered or dead-lettered."""
        while self._in_progress:
            await asyncio.wait(self._in_progress)

    async def abandon(self) -> None:
        """Cancel all deliveries in progress."""
        tasks = list(self._in_progress)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.raw_dead_letters.clear()

    async def _deliver(self, event: Event, record: dict[str, Any]) -> None:
        published = self._now()
        queue = self._queue
        not_retried = _NOT_RETRIED if queue is None else queue.not_retried
        for attempt in count(1):
            async with self._slots:
                attempted = self._now()
                if queue is None:
                    status, outcome = await self._attempt(event, record, attempt)
                else:
                    status, outcome = await self._answered(queue.put(event), record, attempt, queue.host)
            if status in _SUCCESS:
                record["state"] = "delivered"
                return
            reason = None
            if status in not_retried:
                reason = f"UndeliverableDueToHttp{outcome}"
            elif attempt == MAX_ATTEMPTS:
                reason = "MaxDeliveryAttemptsExceeded"
            else:
                await self._sleep(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS)) - 1] / self._cloud.time_factor)
                if self._now() - published >= TIME_TO_LIVE / self._cloud.time_factor:
                    reason = "TimeToLiveExceeded"
            if reason is not None:
                self._dead_letter(
                    event,
                    {
                        "deadLetterReason": reason,
                        "deliveryAttempts": attempt,
                        "lastDeliveryOutcome": outcome,
                        "lastHttpStatusCode": status,
                        "publishTime": published.isoformat(),
                        "lastDeliveryAttemptTime": attempted.isoformat(),
                    },
                )
                record["state"] = "dead-lettered"
                await self._write(self.raw_dead_letters[-1])
                return

    async def _attempt(self, event: Event, record: dict[str, Any], attempt: int) -> tuple[int | None, str]:
        """Deliver to the first reachable host; return the status (None: no response) and its name."""
        headers = {
            "aeg-event-type": "Notification",
            "aeg-subscription-name": SUBSCRIPTION.upper(),
            "aeg-delivery-count": str(attempt - 1),
            "aeg-metadata-version": "1",
        }
        body: object = event.envelope
        if event.schema is Schema.CLOUD_EVENTS:
            headers["content-type"] = "application/cloudevents+json; charset=utf-8"
        else:
            headers |= {
                "content-type": "application/json; charset=utf-8",
                # The publisher chooses it, and not every text is valid in a header.
                "aeg-data-version": quote(event.envelope["dataVersion"], safe=_HEADER_SAFE, errors="replace"),
            }
            body = [event.envelope]
        content = json.dumps(body).encode()
        first = next(self._rotation) % len(self._endpoints)
        status, outcome = None, _UNREACHABLE
        for url in self._endpoints[first:] + self._endpoints[:first]:
            sending = self._send("POST", url, headers, content)
            status, outcome = await self._answered(sending, record, attempt, urlsplit(url).netloc)
            if outcome != _UNREACHABLE:
                break
        return status, outcome

    async def _answered(
        self, sending: Awaitable[Answer], record: dict[str, Any], attempt: int, host: str
    ) -> tuple[int | None, str]:
        """Wait for the response; return its status (None: no response) and its name, which are recorded."""
        at = self._now().isoformat()
        status, outcome = None, _UNREACHABLE
        try:
            async with asyncio.timeout(ANSWER_LIMIT_SECONDS):
                status = (await sending).status
            outcome = _status_name(status)
        except TimeoutError:
            outcome = "TimedOut"
        except OSError:
            pass
        record["deliveries"].append({"at": at, "host": host, "status": status})
        if status not in _SUCCESS:
            # Without the event's id, which the publisher chooses.
            _log.warning("Delivery %d of an event to %s: %s", attempt, host, outcome)
        return status, outcome

    def _dead_letter(self, event: Event, properties: dict[str, Any]) -> None:
        self.raw_dead_letters.append(event.envelope | properties)
        self._cloud.dead_letters.append(clean(event.envelope) | properties)

    async def _write(self, letter: Mapping[str, Any]) -> None:
        """Write a dead letter as a blob, minutes after the last attempt, as the real service does.

        The name is <topic>/<SUBSCRIPTION>/<year>/<month>/<day>/<hour>/<id>.json; the content is an array.
        """
        if self._write_dead_letter is None:
            return
        await self._sleep(_DEAD_LETTER_SECONDS / self._cloud.time_factor)
        at = self._now()
        topic = self._topic.rpartition("/")[2]
        name = f"{topic}/{SUBSCRIPTION.upper()}/{at.year}/{at.month}/{at.day}/{at.hour}/{uuid.uuid4()}.json"
        try:
            await self._write_dead_letter(name, json.dumps([letter]).encode())
        except OSError as error:
            _log.warning("A dead letter was not written: %s", error)

    async def _validate_cloud_events(self, url: str) -> None:
        headers = {"WebHook-Request-Origin": _ORIGIN}
        answer = await self._handshake("OPTIONS", url, headers, b"")
        if answer.status != 200 or answer.headers.get("webhook-allowed-origin") not in (_ORIGIN, "*"):
            raise _failed(url, "OPTIONS", answer)

    async def _validate_event_grid(self, url: str) -> None:
        code = str(uuid.uuid4())
        event = {
            "id": str(uuid.uuid4()),
            "topic": self._topic,
            "subject": "",
            "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
            "eventTime": self._now().isoformat(),
            "metadataVersion": "1",
            "dataVersion": "2",
            "data": {"validationCode": code},
        }
        headers = {
            "aeg-event-type": "SubscriptionValidation",
            "aeg-subscription-name": SUBSCRIPTION.upper(),
            "content-type": "application/json; charset=utf-8",
        }
        answer = await self._handshake("POST", url, headers, json.dumps([event]).encode())
        try:
            echoed = json.loads(answer.body)["validationResponse"]
        except (ValueError, LookupError, TypeError):
            echoed = None
        if answer.status != 200 or echoed != code:
            raise _failed(url, "SubscriptionValidation", answer)

    async def _handshake(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        try:
            async with asyncio.timeout(ANSWER_LIMIT_SECONDS):
                return await self._send(method, url, headers, body)
        except (TimeoutError, OSError) as error:
            # Not the error itself: its text may contain the URL, which contains the key.
            host = urlsplit(url).netloc
            raise HandshakeFailed(f"{host} cannot be reached: {type(error).__name__}") from None


def _failed(url: str, handshake: str, answer: Answer) -> HandshakeFailed:
    return HandshakeFailed(
        f"{urlsplit(url).netloc} did not pass the {handshake} handshake of {FUNCTION} (status {answer.status})"
    )


def _status_name(status: int) -> str:
    try:
        return HTTPStatus(status).phrase.title().replace(" ", "").replace("-", "")
    except ValueError:
        return str(status)
