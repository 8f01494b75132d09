"""`/runtime/webhooks/eventgrid`: receives the deliveries of Event Grid for functions with an Event Grid trigger.

Source: azure-functions-host 4.1037 with EventGrid 3.3.0, tried; HttpRequestProcessor and
EventGridExtensionConfigProvider of Microsoft.Azure.WebJobs.Extensions.EventGrid (Azure/azure-sdk-for-net);
"CloudEvents validation" (HTTP 1.1 Web Hooks for Event Delivery, section 4).
"""

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any

from azure_functions_runtime.bindings.datumdef import Datum
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from local import json_text
from local.host.app_loader import EventGridTrigger, Function
from local.host.http import Keys
from local.host.invocation import Invoker

PATH = "/runtime/webhooks/eventgrid"
_DEEPEST = 64  # JsonReader.MaxDepth of Newtonsoft.Json 13.0.3, which the host reads events with
_ORIGIN = "eventgrid.azure.net"
_ORIGINS = (
    _ORIGIN,
    "eventgrid.azure.us",
    "eventgrid.azure.eaglex.ic.gov",
    "eventgrid.azure.microsoft.scloud",
    "eventgrid.azure.cn",
)

_log = logging.getLogger("host")


class EventGridWebhook:
    """An ASGI app: 401 or 403 for a wrong key, 404 for an unknown function, 202 if every event was processed, or 500.

    A body that is no event is 500 too, so that Event Grid tries it again. The body may be chunked, unlike that of an
    HTTP trigger: the extension reads it itself.
    """

    def __init__(self, functions: Sequence[Function], *, keys: Keys, invoker: Invoker) -> None:
        self._functions = {f.name: f for f in functions if isinstance(f.trigger, EventGridTrigger)}
        self._keys = keys
        self._invoker = invoker

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if not self._keys.open(request, self._keys.system):
            return Response(status_code=self._keys.refusal(request))
        name = request.query_params.get("functionName", "")
        function = self._functions.get(name)  # case-sensitive, unlike elsewhere
        if function is None:
            return PlainTextResponse(f"cannot find function: '{name}'", status_code=404)
        if request.method == "OPTIONS":
            return _allow_origin(request)
        kind = request.headers.get("aeg-event-type", "").lower()
        if kind == "unsubscribe":
            return Response(status_code=202)
        if kind not in ("notification", "subscriptionvalidation"):
            return Response(status_code=400)
        try:
            document = json_text.parse(await request.body(), any_text=True, deepest=_DEEPEST)
            if kind == "subscriptionvalidation":
                return PlainTextResponse(json.dumps({"validationResponse": _validation_code(document)}))
            if isinstance(document, dict | list):
                return await self._deliver(function, document if isinstance(document, list) else [document])
        except (json_text.InvalidJson, LookupError, TypeError):
            pass
        _log.warning("Event Grid sent a body without events to '%s'", function.name)
        return Response(status_code=500)

    async def _deliver(self, function: Function, events: list[Any]) -> Response:
        """Invoke the function per event, concurrently. If one invocation fails, the whole delivery fails."""
        succeeded = await asyncio.gather(*(self._invoke(function, event) for event in events))
        if all(succeeded):
            return Response(status_code=202)
        return PlainTextResponse(f"Exception while executing function: Functions.{function.name}", status_code=500)

    async def _invoke(self, function: Function, event: Any) -> bool:
        if isinstance(event, dict) and isinstance(event.get("id"), int | float):
            _log.error("Binding an event to '%s' failed: its id is a number", function.name)
            return False
        return (await self._invoker.invoke(function, Datum(json.dumps(event), "json"))).succeeded


def _validation_code(document: Any) -> str:
    """Return the code of a validation event. Raises LookupError, TypeError or InvalidJson.

    In a CloudEvent, the data may be a JSON text.
    """
    if isinstance(document, list):
        return str(document[0]["data"]["validationCode"])
    data = document["data"]
    return str((json_text.parse(data.encode()) if isinstance(data, str) else data)["validationCode"])


def _allow_origin(request: Request) -> Response:
    """Allow Event Grid's own origins (HttpRequestProcessor.GetAllowedOriginResponseHeader)."""
    origin = request.headers.get("webhook-request-origin", "")
    return Response(headers={"Webhook-Allowed-Origin": origin if origin in _ORIGINS else _ORIGIN})
