"""The web server of the Functions host, Kestrel: its limits, and how it reads the path and the body of a request.

Source: azure-functions-host 4.1037, tried; "Configure options for the ASP.NET Core Kestrel web server" (the limits,
of which the host raises the one for bodies); Kestrel's PathNormalizer and UrlDecoder (dotnet/aspnetcore).
"""

import re
from typing import Any
from urllib.parse import quote, unquote

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from local.network.listener import TRANSPORT, reset

LONGEST_LINE = 8 * 1024  # bytes of a request line
_LONGEST_HEADERS = 32 * 1024
_MOST_HEADERS = 100
LONGEST_BODY = 100 * 1024 * 1024
LARGEST_HEAD = 256 * 1024  # what uvicorn reads, so that Kestrel's limits answer and not its own

_ESCAPE = re.compile("(?:%[0-9a-f]{2})+", re.IGNORECASE)
_KEPT_ESCAPE = re.compile("(%[0-9a-f]{2})", re.IGNORECASE)
_PLAIN_IN_PATH = "/!$&'()*+,;=:@-._~"


class Kestrel:
    """An ASGI app: passes requests within the limits on to `app`, with the decoded path in `scope["path"]`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"server", b"Kestrel")]
            await send(message)

        refusal = _refusal(scope)
        path = decode_path(scope["raw_path"].decode("latin-1"))
        if refusal is None and path is None:
            refusal = Response(status_code=400)
        if refusal is not None:
            await refusal(scope, receive, named)
            return
        dropped = b"content-length" if _is_chunked(scope) else None  # the chunks count (RFC 9112, section 6.3)
        headers = [pair for pair in scope["headers"] if pair[0] != dropped]
        await self._app(dict(scope) | {"path": path, "headers": headers}, _limited(scope, receive), named)


async def body_of(request: Request) -> bytes:
    """Return the body as a function gets it: empty for a request without Content-Length, whatever was sent.

    azure-functions-host, GrpcMessageConversionExtensions.ToRpcHttp: `request.ContentLength > 0` (issue 4926).
    """
    body = await request.body()
    return body if "content-length" in request.headers else b""


def decode_path(raw: str) -> str | None:
    """Return the path as routes see it: escapes decoded except %2F, then dot segments resolved. None for %00."""
    if "%00" in raw:
        return None
    segments: list[str] = []
    parts = [_decode(part) for part in raw.removeprefix("/").split("/")]
    for number, part in enumerate(parts):
        is_last = number == len(parts) - 1
        if part == "..":
            del segments[-1:]
        elif part != ".":
            segments.append(part)
        if part in (".", "..") and is_last:
            segments.append("")
    return "/" + "/".join(segments)


def encode_path(path: str) -> str:
    """Return a decoded path for a URL. Escapes in it stay (PathString.ToUriComponent)."""
    return "".join(
        part if number % 2 else quote(part, safe=_PLAIN_IN_PATH)
        for number, part in enumerate(_KEPT_ESCAPE.split(path))
    )


def _decode(part: str) -> str:
    return _ESCAPE.sub(lambda run: _decode_run(run[0]), part)


def _decode_run(run: str) -> str:
    """Decode escapes in a row, except those of a slash. What is not UTF-8 stays as it is."""
    pieces = re.split("(%2f)", run, flags=re.IGNORECASE)
    try:
        return "".join(
            piece if number % 2 else unquote(piece, errors="strict") for number, piece in enumerate(pieces)
        )
    except UnicodeDecodeError:
        return run


def _refusal(scope: Scope) -> Response | None:
    target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
    if len(scope["method"]) + len(target) + len(" HTTP/1.1\r\n") + 1 > LONGEST_LINE:
        return Response(status_code=414)
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    if len(headers) > _MOST_HEADERS or sum(len(n) + len(v) + len(": \r\n") for n, v in headers) > _LONGEST_HEADERS:
        return Response(status_code=431)
    return None


def _is_chunked(scope: Scope) -> bool:
    return "chunked" in Headers(scope=scope).get("transfer-encoding", "").lower()


def _limited(scope: Scope, receive: Receive) -> Receive:
    """Return `receive`, which resets the connection of a body that is too long."""
    received = 0

    async def limited() -> Message:
        nonlocal received
        message: dict[str, Any] = dict(await receive())
        received += len(message.get("body", b""))
        if received > LONGEST_BODY:
            reset(scope["extensions"][TRANSPORT])
            return {"type": "http.disconnect"}
        return message

    return limited
