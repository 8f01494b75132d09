"""`/runtime/webhooks/eventgrid`: receives the deliveries of Event Grid for functions with an Event Grid trigger.

Source: the Event Grid extension's webhook; "Receive events to an HTTP endpoint"; "CloudEvents validation"
(HTTP 1.1 Web Hooks for Event Delivery, section 4).
"""

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any

from azure_functions_runtime.bindings.datumdef import Datum
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from local import json_text
from local.host.app_loader import EventGridTrigger, Function
from local.host.http import Keys
from local.host.invocation import Invoker

PATH = "/runtime/webhooks/eventgrid"

_log = logging.getLogger("host")


class EventGridWebhook:
    """An ASGI app: 401 for a wrong key, 404 for an unknown function, 202 if every event was processed, or 500."""

    def __init__(self, functions: Sequence[Function], *, keys: Keys, invoker: Invoker) -> None:
        self._functions = {f.name.lower(): f for f in functions if isinstance(f.trigger, EventGridTrigger)}
        self._keys = keys
        self._invoker = invoker

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if not self._keys.open(request, self._keys.system):
            return Response(status_code=401)
        name = request.query_params.get("functionName", "")
        function = self._functions.get(name.lower())
        if function is None:
            return PlainTextResponse(f"cannot find function: '{name}'", status_code=404)
        if request.method == "OPTIONS":
            return _allow_origin(request)
        if request.method != "POST":
            return Response(status_code=404)
        kind = request.headers.get("aeg-event-type", "").lower()
        if kind == "unsubscribe":
            return Response(status_code=202)
        events = _events(await request.body())
        if events and kind == "notification":
            return await self._deliver(function, events)
        if events and kind == "subscriptionvalidation":
            data = events[0].get("data")
            code = data.get("validationCode") if isinstance(data, dict) else None
            if isinstance(code, str):
                return JSONResponse({"validationResponse": code})
        _log.warning("Event Grid sent a body without events to '%s'", function.name)
        return Response(status_code=400)

    async def _deliver(self, function: Function, events: list[dict[str, Any]]) -> Response:
        """Invoke the function per event, concurrently. If one invocation fails, the whole delivery fails."""
        outcomes = await asyncio.gather(
            *(self._invoker.invoke(function, Datum(json.dumps(event), "json")) for event in events)
        )
        return Response(status_code=202 if all(outcome.succeeded for outcome in outcomes) else 500)


def _events(body: bytes) -> list[dict[str, Any]]:
    """Return the events of an array (Event Grid schema) or the single event (CloudEvents); empty if neither."""
    try:
        document = json_text.parse(body, any_text=True)
    except json_text.InvalidJson:
        return []
    events = document if isinstance(document, list) else [document]
    return events if all(isinstance(event, dict) for event in events) else []


def _allow_origin(request: Request) -> Response:
    origin = request.headers.get("webhook-request-origin")
    if not origin:
        return Response(status_code=400)
    headers = {"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"}
    return Response(status_code=200, headers=headers)
