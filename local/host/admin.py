"""`POST /admin/functions/NAME`: runs a function once, with the master key. A disabled one, too.

Source: azure-functions-host 4.1037, tried; FunctionsController.Invoke and FunctionInvocation.
"""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence

from azure_functions_runtime.bindings.datumdef import Datum
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from local import json_text
from local.host.app_loader import EventGridTrigger, Function, HttpTrigger, QueueTrigger, TimerTrigger
from local.host.http import Keys
from local.host.invocation import Invoker
from local.host.kestrel import body_of

_PREFIX = "/admin/functions/"

_log = logging.getLogger("host")


class Admin:
    """An ASGI app: 401 or 403 without the master key, 404 for an unknown function, else 202 at once."""

    def __init__(self, functions: Sequence[Function], *, keys: Keys, invoker: Invoker) -> None:
        self._functions = {function.name.lower(): function for function in functions}
        self._keys = keys
        self._invoker = invoker
        self._running: set[asyncio.Task[object]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = request.scope["path"].removesuffix("/")
        if not path.lower().startswith(_PREFIX) or request.method != "POST":
            return Response(status_code=404)
        if not self._keys.open(request):
            return Response(status_code=self._keys.refusal(request))
        try:
            document = json_text.parse(await body_of(request))
        except json_text.InvalidJson:
            document = None
        given = document.get("input", "") if isinstance(document, dict) else None
        if not isinstance(given, str):
            return Response(status_code=400)
        function = self._functions.get(path[len(_PREFIX) :].lower())
        if function is None:
            return Response(status_code=404)
        if isinstance(function.trigger, HttpTrigger):
            return PlainTextResponse("This host runs no HTTP function from here.", status_code=501)
        payload, metadata = _payload(function, given)
        task = asyncio.create_task(self._invoker.invoke(function, payload, metadata))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return Response(status_code=202)


def _payload(function: Function, given: str) -> tuple[Datum, Mapping[str, Datum]]:
    """Return what the trigger's binding makes of the input."""
    match function.trigger:
        case QueueTrigger():
            return Datum(given, "string"), {}
        case EventGridTrigger():
            return Datum(given, "json"), {}
        case TimerTrigger() | HttpTrigger():
            document = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": None, "IsPastDue": False}
            return Datum(json.dumps(document), "json"), {}
