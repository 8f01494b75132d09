"""The end of every tunnel: one TLS listener that passes each request to the stand-in for its host.

It also records every request, without secrets, and applies faults, so that the stand-ins are concerned with neither.
"""

import asyncio
import base64
import binascii
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from local import json_text
from local.network import hostnames
from local.network.faults import Effect, Fault, Faults
from local.network.listener import TRANSPORT, Listener, reset
from local.tenant.model import Cloud, RecordedRequest, now

_KEPT_REQUESTS = 50_000
_SIGNATURE_INSIDE = re.compile(r"(?i)\bsig=")
_FAULT_CODES = {429: "TooManyRequests", 500: "InternalError", 503: "ServerBusy", 504: "GatewayTimeout"}


@dataclass(frozen=True, slots=True)
class _Entry:
    """A request before its response. `started` is a value of `time.perf_counter`."""

    at: datetime
    started: float
    method: str
    url: str
    identity: str | None


class Front:
    """The listener. `services` maps host names to stand-ins; `storage` serves every storage host.

    A name may start with "*.", which matches one label, as in a certificate.
    """

    def __init__(
        self,
        cloud: Cloud,
        faults: Faults,
        *,
        services: Mapping[str, ASGIApp],
        storage: ASGIApp,
        tls: ssl.SSLContext,
    ) -> None:
        self._cloud = cloud
        self._faults = faults
        self._services = services
        self._storage = storage
        self._sequence = 0
        self._listener = Listener(self, tls=tls)

    @property
    def port(self) -> int:
        return self._listener.port

    async def start(self) -> None:
        await self._listener.start()

    async def stop(self) -> None:
        await self._listener.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower().removesuffix(":443")
        path, query = (scope[part].decode("latin-1") for part in ("raw_path", "query_string"))
        entry = _Entry(
            at=now(),
            started=time.perf_counter(),
            method=scope["method"],
            url=f"https://{host}{redact(path, query)}",
            identity=self._identity(headers.get("authorization", "")),
        )
        app = self._app_for(host)
        fault = self._faults.match(f"{entry.method} {entry.url}")
        if fault is None:
            await self._answer(app, entry, scope, receive, send)
        else:
            await self._with_fault(fault, entry, app)(scope, receive, send)

    def _app_for(self, host: str) -> ASGIApp:
        service = self._services.get(host) or self._services.get(f"*.{host.partition('.')[2]}")
        if service is not None:
            return service
        if hostnames.StorageHost.parse(host) is not None:
            return self._storage
        code = "NoStandIn" if hostnames.is_known(host) else "UnknownHost"
        message = f"The local cloud has no stand-in for {host or 'a request without a host'}."
        return JSONResponse({"error": {"code": code, "message": message}}, status_code=502)

    async def _answer(self, app: ASGIApp, entry: _Entry, scope: Scope, receive: Receive, send: Send) -> None:
        status: int | None = None

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await app(scope, receive, watch)
        finally:
            self._record(entry, status)

    def _with_fault(self, fault: Fault, entry: _Entry, app: ASGIApp) -> ASGIApp:
        """Return `app` with `fault` applied to it."""

        async def faulty(scope: Scope, receive: Receive, send: Send) -> None:
            await asyncio.sleep(fault.delay_ms / 1000)
            if fault.effect is Effect.NONE:
                await self._answer(app, entry, scope, receive, send)
                return
            if fault.after:
                await app(scope, receive, _discard)
            else:
                await _drain(receive)
            if fault.effect is Effect.STATUS:
                await self._answer(_fault_response(fault.status, fault.code), entry, scope, receive, send)
                return
            self._record(entry, None)
            if fault.effect is Effect.RESET:
                reset(scope["extensions"][TRANSPORT])
            while (await receive())["type"] != "http.disconnect":
                pass

        return faulty

    def _record(self, entry: _Entry, status: int | None) -> None:
        self._sequence += 1
        requests = self._cloud.requests
        requests.append(
            RecordedRequest(
                sequence=self._sequence,
                at=entry.at,
                method=entry.method,
                url=entry.url,
                status=status,
                duration_ms=round((time.perf_counter() - entry.started) * 1000, 2),
                identity=entry.identity,
            )
        )
        if len(requests) > _KEPT_REQUESTS:
            del requests[: len(requests) - _KEPT_REQUESTS]

    def _identity(self, authorization: str) -> str | None:
        """Return the name of the token's identity, unverified: verifying it is left to the stand-in."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            payload = token.split(".")[1]
            claims = json_text.parse(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            identity = self._cloud.identity_of(claims["oid"])
        except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
            return None
        return identity.name if identity is not None else None


def redact(path: str, query: str) -> str:
    """Return path and query with every value of `sig` replaced, however its name or value is encoded."""
    safe_path = "/REDACTED" if _holds_signature(path) else path
    if not query:
        return safe_path
    return f"{safe_path}?{'&'.join(_redact_pair(pair) for pair in query.split('&'))}"


def _redact_pair(pair: str) -> str:
    name, _, value = pair.partition("=")
    if _holds_signature(name):
        return "REDACTED"
    if _decode(name).strip().lower() == "sig" or _holds_signature(value):
        return f"{name}=REDACTED"
    return pair


def _holds_signature(text: str) -> bool:
    return _SIGNATURE_INSIDE.search(_decode(text)) is not None


def _decode(text: str) -> str:
    """Undo percent-encoding, up to three layers of it."""
    for _ in range(3):
        decoded = unquote(text)
        if decoded == text:
            break
        text = decoded
    return text


def _fault_response(status: int, code: str | None) -> ASGIApp:
    code = code or _FAULT_CODES.get(status, "InjectedFault")
    message = "A fault injected through the control port of the local cloud."
    return JSONResponse({"error": {"code": code, "message": message}}, status, {"x-ms-error-code": code})


async def _discard(_message: Message) -> None:
    """Discard the response of a request, which a fault replaces."""


async def _drain(receive: Receive) -> None:
    """Read the whole body: a client fails differently where a server responds before that."""
    message = await receive()
    while message["type"] == "http.request" and message.get("more_body", False):
        message = await receive()
