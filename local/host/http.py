"""HTTP triggers: routing, keys, the conversion of requests and responses.

Two details of the Azure Functions host are unexpected: a method that a function does not accept is 404
(Azure/azure-functions-host#10098), and empty header or query values do not reach the Functions worker.
"""

import hmac
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any

from azure_functions_runtime.bindings.datumdef import Datum
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from local.host import routes
from local.host.app_loader import AuthLevel, Function, HttpTrigger
from local.host.configuration import StartError
from local.host.invocation import Invoker

# App Service sets these after it has authenticated a caller; from outside they are forged.
_PRINCIPAL_HEADERS = "x-ms-client-principal"
_RESERVED_PREFIXES = ("admin", "runtime")
# Starlette computes the first, the server sets the second.
_MESSAGE_HEADERS = ("content-length", "transfer-encoding")


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of the host. A key that is None or empty authorizes nothing."""

    system: str | None = field(default=None, repr=False)
    function: str | None = field(default=None, repr=False)
    master: str | None = field(default=None, repr=False)

    def open(self, request: Request, *keys: str | None) -> bool:
        """Return whether the key of the request (`x-functions-key`, else `?code=`) is the master key or in `keys`."""
        given = request.headers.get("x-functions-key") or request.query_params.get("code") or ""
        # Compares all keys, so that the time reveals nothing.
        return any([_same(given, key) for key in (self.master, *keys)])  # noqa: C419


def _same(given: str, key: str | None) -> bool:
    return bool(key) and hmac.compare_digest(given.encode(), (key or "").encode())


@dataclass(frozen=True, slots=True)
class _Endpoint:
    function: Function
    trigger: HttpTrigger
    route: routes.Route


class HttpTriggers:
    """The ASGI app of HTTP triggers, and of the webhooks of extensions (`webhooks`, by lower-case path)."""

    def __init__(
        self,
        functions: Sequence[Function],
        *,
        route_prefix: str,
        keys: Keys,
        invoker: Invoker,
        webhooks: dict[str, ASGIApp],
    ) -> None:
        """Raises StartError for a route that this host does not support."""
        self._keys = keys
        self._invoker = invoker
        self._webhooks = webhooks
        endpoints = (_endpoint(function, route_prefix) for function in functions)
        self._endpoints = sorted((e for e in endpoints if e is not None), key=lambda e: e.route.rank)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        webhook = self._webhooks.get(scope["path"].lower())
        with suppress(ClientDisconnect):  # the client disconnected before the request was complete
            if webhook is not None:
                await webhook(scope, receive, send)
                return
            response = await self._answer(Request(scope, receive))
            await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = request.scope["raw_path"].decode("latin-1")
        for endpoint in self._endpoints:
            allowed = endpoint.trigger.methods
            if allowed and request.method not in allowed:
                continue
            parameters = endpoint.route.match(path)
            if parameters is not None:
                break
        else:
            return Response(status_code=404)
        if not self._authorized(request, endpoint.trigger.auth_level):
            return Response(status_code=401)
        outcome = await self._invoker.invoke(endpoint.function, await _request_datum(request, dict(parameters)))
        return _response(outcome.value) if outcome.succeeded else Response(status_code=500)

    def _authorized(self, request: Request, level: AuthLevel) -> bool:
        if level is AuthLevel.ANONYMOUS:
            return True
        if level is AuthLevel.FUNCTION:
            return self._keys.open(request, self._keys.function)
        return self._keys.open(request)


def _endpoint(function: Function, prefix: str) -> _Endpoint | None:
    if not isinstance(function.trigger, HttpTrigger):
        return None
    route = routes.parse(f"{prefix}/{function.trigger.route}", function=function.name)
    if route.segments and route.segments[0].literal in _RESERVED_PREFIXES:
        raise StartError(f"function {function.name}: a route cannot begin with {route.segments[0].literal}/")
    return _Endpoint(function=function, trigger=function.trigger, route=route)


async def _request_datum(request: Request, parameters: dict[str, str]) -> Datum:
    """Return the request as RpcHttp for the Functions worker: lower-case names, values joined with a comma."""
    headers: dict[str, list[str]] = {}
    for name, value in request.headers.items():
        if not name.startswith(_PRINCIPAL_HEADERS):
            headers.setdefault(name, []).append(value)
    query: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        query.setdefault(name, []).append(value)
    return Datum(
        {
            "method": Datum(request.method, "string"),
            "url": Datum(_url(request), "string"),
            "headers": _strings({name: ",".join(values) for name, values in headers.items()}),
            "query": _strings({name: ",".join(values) for name, values in query.items()}),
            "params": _strings(parameters),
            "body": Datum(await request.body(), "bytes"),
        },
        "http",
    )


def _url(request: Request) -> str:
    """Return the URL with its path as sent; Starlette's is decoded."""
    path = request.scope["raw_path"].decode("latin-1")
    query = request.scope["query_string"].decode("latin-1")
    return f"{request.url.scheme}://{request.url.netloc}{path}{f'?{query}' if query else ''}"


def _strings(values: dict[str, str]) -> dict[str, Datum]:
    return {name: Datum(value, "string") for name, value in values.items() if value}


def _response(value: Datum | None) -> Response:
    if value is None or value.type is None:
        return Response(status_code=204)
    if value.type == "string":
        return Response(value.value, media_type="text/plain")
    answer: dict[str, Any] = value.value
    headers = {name.lower(): datum.value for name, datum in answer["headers"].items()}
    for name in _MESSAGE_HEADERS:
        headers.pop(name, None)
    response = Response(answer["body"].value, status_code=int(answer["status_code"].value), headers=headers)
    cookies: list[SimpleCookie] = answer.get("cookies") or []
    for cookie in cookies:
        for morsel in cookie.values():
            response.headers.append("set-cookie", morsel.OutputString())
    return response
