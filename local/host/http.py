"""HTTP triggers: routing, keys, the conversion of requests and responses.

Source: azure-functions-host 4.1037, tried, and GrpcMessageConversionExtensions.ToRpcHttp. Unexpected are: a method
that a function does not accept is 404 (Azure/azure-functions-host#10098), a chunked body does not reach the function
(`kestrel.body_of`), repeated values are joined with a comma (cookies too), and empty query values are dropped.
"""

import hmac
import logging
from collections.abc import Iterable, Sequence
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
from local.host.kestrel import body_of, encode_path

_RESERVED_PREFIXES = ("admin", "runtime")
# The host answers in chunks. With one of these of a function's own, what the client gets is broken.
_MESSAGE_HEADERS = ("content-length", "transfer-encoding")
_HOME_PAGE = "<!DOCTYPE html><title>Your Functions 4.0 app is up and running</title>"

_log = logging.getLogger("host")


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

    def refusal(self, request: Request) -> int:
        """Return the status for a key that opens nothing here: 403 for one of the host's keys, else 401.

        azure-functions-host, SamplesEndToEndTests_CSharp.ExtensionWebHook_Succeeds. An HTTP trigger answers 401.
        """
        return 403 if self.open(request, self.system, self.function) else 401


def _same(given: str, key: str | None) -> bool:
    return bool(key) and hmac.compare_digest(given.encode(), (key or "").encode())


@dataclass(frozen=True, slots=True)
class _Endpoint:
    function: Function
    trigger: HttpTrigger
    route: routes.Route


class HttpTriggers:
    """The ASGI app of HTTP triggers, of `admin`, and of the webhooks of extensions (by lower-case path)."""

    def __init__(
        self,
        functions: Sequence[Function],
        *,
        route_prefix: str,
        keys: Keys,
        invoker: Invoker,
        webhooks: dict[str, ASGIApp],
        admin: ASGIApp,
        has_home_page: bool,
    ) -> None:
        """Raises StartError for a route that this host does not support."""
        self._admin = admin
        self._has_home_page = has_home_page
        self._keys = keys
        self._invoker = invoker
        self._webhooks = webhooks
        endpoints = (_endpoint(function, route_prefix) for function in functions)
        self._endpoints = sorted((e for e in endpoints if e is not None), key=lambda e: e.route.rank)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].lower().removesuffix("/")
        inner = self._admin if path.startswith("/admin/") else self._webhooks.get(path)
        with suppress(ClientDisconnect):  # the client disconnected before the request was complete
            if inner is not None:
                await inner(scope, receive, send)
                return
            response = await self._answer(Request(scope, receive))
            await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = request.scope["path"]
        for endpoint in self._endpoints:
            allowed = endpoint.trigger.methods
            if allowed and request.method not in allowed:
                continue
            parameters = endpoint.route.match(path)
            if parameters is not None:
                break
        else:
            return self._home() if path == "/" else Response(status_code=404)
        if not self._authorized(request, endpoint.trigger.auth_level):
            return Response(status_code=401)
        outcome = await self._invoker.invoke(endpoint.function, await _request_datum(request, dict(parameters)))
        return _response(outcome.value) if outcome.succeeded else Response(status_code=500)

    def _home(self) -> Response:
        """Return what answers at "/" where no function does (HomepageMiddleware)."""
        if not self._has_home_page:
            return Response(status_code=204)
        return Response(_HOME_PAGE, media_type="text/html")

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
    """Return the request as RpcHttp for the Functions worker."""
    query = _joined(request.query_params.multi_items())
    return Datum(
        {
            "method": Datum(request.method, "string"),
            "url": Datum(_url(request), "string"),
            "headers": _strings(_joined(request.headers.items())),
            "query": _strings({name: value for name, value in query.items() if value}),
            "params": _strings({name: value for name, value in parameters.items() if value}),
            "body": Datum(await body_of(request), "bytes"),
        },
        "http",
    )


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return one value for each name, without regard to case: those that are not empty, joined with commas."""
    names: dict[str, str] = {}
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(names.setdefault(name.lower(), name), []).append(value)
    return {name: ",".join(filter(None, given)) for name, given in values.items()}


def _url(request: Request) -> str:
    query = request.scope["query_string"].decode("latin-1")
    path = encode_path(request.scope["path"])
    return f"{request.url.scheme}://{request.url.netloc}{path}{f'?{query}' if query else ''}"


def _strings(values: dict[str, str]) -> dict[str, Datum]:
    return {name: Datum(value, "string") for name, value in values.items()}


def _response(value: Datum | None) -> Response:
    if value is None or value.type is None:
        return Response(status_code=500)
    if value.type == "string":
        return _in_chunks(Response(value.value, media_type="text/plain"))
    answer: dict[str, Any] = value.value
    headers = {name.lower(): datum.value for name, datum in answer["headers"].items()}
    if own := [name for name in _MESSAGE_HEADERS if name in headers]:
        _log.error("A function set the header %s: its answer is broken", " and ".join(own))
        return Response(status_code=500)
    response = Response(answer["body"].value, status_code=int(answer["status_code"].value), headers=headers)
    cookies: list[SimpleCookie] = answer.get("cookies") or []
    for cookie in cookies:
        for morsel in cookie.values():
            response.headers.append("set-cookie", morsel.OutputString())
    return _in_chunks(response)


def _in_chunks(response: Response) -> Response:
    del response.headers["content-length"]
    return response
