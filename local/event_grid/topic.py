"""Event Grid: the publish endpoint of a custom topic, with a subscription that delivers to the function app.

In Azure a topic accepts one input schema. This endpoint stands in for two topics, one per schema, with the same
subscription, and delivers every event in the schema in which it was published.

Sources: "Post events to Azure Event Grid custom topics" (endpoint, errors), "Authenticate publishing clients
using Microsoft Entra ID" (audience, right), and those of `schemas` and `delivery`.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.entra.service import Entra, Forbidden, Unauthorized
from local.entra.tokens import EVENT_GRID
from local.event_grid.delivery import Answer, Delivery, HandshakeFailed, Queue, Send, WriteDeadLetter
from local.event_grid.http_sender import HttpSender
from local.event_grid.schemas import LARGEST_BODY, Rejected, parse
from local.tenant.model import SUBSCRIPTION_ID, Cloud, now

__all__ = ["Answer", "EventGrid", "HandshakeFailed"]

_API_VERSION = "2018-01-01"
_RIGHT = "EventGrid/events/send"
_TOPIC_ID = f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/sasquash/providers/Microsoft.EventGrid/topics/sasquash"


class EventGrid:
    """The topic. `app` is its endpoint. Call `start` before deliveries and `stop` at the end.

    Tests without sockets pass `send` in place of HTTP, and `clock` and `sleep` in place of real time. `dead_letter`
    writes undeliverable events to the container that the subscription names.
    """

    def __init__(
        self,
        cloud: Cloud,
        entra: Entra,
        *,
        send: Send | None = None,
        clock: Callable[[], datetime] = now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        dead_letter: WriteDeadLetter | None = None,
    ) -> None:
        self._entra = entra
        self._http = None if send else HttpSender()
        self._delivery = Delivery(
            cloud,
            topic=_TOPIC_ID,
            send=send or self._http_send,
            now=clock,
            sleep=sleep,
            dead_letter=dead_letter,
        )
        self.app = Starlette(
            routes=[Route("/api/events", self._publish, methods=["POST"])],
            exception_handlers={
                Rejected: _rejected,
                Unauthorized: _unauthorized,
                Forbidden: _forbidden,
                404: _not_found,
                405: _not_found,
            },
        )

    @property
    def raw_dead_letters(self) -> list[dict[str, Any]]:
        """Dead letters as the real service writes them, including secrets. For tests only: never show them."""
        return self._delivery.raw_dead_letters

    async def start(self) -> None:
        """Open the HTTP connections for deliveries."""
        if self._http is not None:
            await self._http.start()

    async def deliver_to(self, endpoints: Sequence[str], system_key: str) -> None:
        """Create the event subscription: deliver to these hosts ("http://127.0.0.1:PORT"), in turn.

        Raises HandshakeFailed when one of them fails the handshake of either schema.
        """
        await self._delivery.subscribe(endpoints, system_key)

    def deliver_to_queue(self, queue: Queue) -> None:
        """Create the event subscription: deliver to this Storage queue, which the topic's identity may write to."""
        self._delivery.subscribe_queue(queue)

    async def settle(self) -> None:
        """Wait until every event is delivered or dead-lettered."""
        await self._delivery.settle()

    async def forget(self) -> None:
        """Cancel all deliveries in progress; the subscription stays."""
        await self._delivery.abandon()

    async def stop(self) -> None:
        """Cancel all deliveries in progress and close their connections."""
        await self._delivery.abandon()
        if self._http is not None:
            await self._http.stop()

    async def _http_send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        assert self._http is not None
        return await self._http.send(method, url, headers, body)

    async def _publish(self, request: Request) -> Response:
        # Local authentication is disabled: keys and SAS of the topic are not accepted.
        self._entra.authorize(request, audiences=[EVENT_GRID], right=_RIGHT)
        if request.query_params.get("api-version") != _API_VERSION:
            raise Rejected(400, "InvalidApiVersion", f"The api-version must be {_API_VERSION}.")
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_BODY:
                break  # `parse` refuses it without the rest
        content_type = request.headers.get("content-type", "")
        for event in parse(bytes(body), content_type=content_type, topic=_TOPIC_ID):
            self._delivery.accept(event)
        return Response(status_code=200, headers={"x-ms-request-id": str(uuid.uuid4())})


def _error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response with Event Grid's error body."""
    outer = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound"}.get(status, code)
    detail = {"code": code, "message": message}
    return JSONResponse(
        {"error": {"code": outer, "message": message, "details": [detail]}},
        status_code=status,
        headers={"x-ms-request-id": str(uuid.uuid4()), **(headers or {})},
    )


async def _rejected(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Rejected)
    return _error(error.status, error.code, str(error))


async def _unauthorized(request: Request, error: Exception) -> Response:
    assert isinstance(error, Unauthorized)
    message = error.reason.value
    if "aeg-sas-key" in request.headers or "aeg-sas-token" in request.headers:
        message = "Local authentication is disabled for this topic; use a token of Microsoft Entra ID"
    return _error(401, "Unauthorized", message, {"www-authenticate": error.challenge})


async def _forbidden(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Forbidden)
    return _error(403, "Forbidden", f"The principal does not have the data action {error.right}.")


async def _not_found(_request: Request, _error_raised: Exception) -> Response:
    return _error(404, "NotFound", "There is no such resource; POST to /api/events.")
