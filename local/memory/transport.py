"""Transports from the real SDK clients to a `Service` without sockets: for azure-core and for httpx.

A service raises `Refused` (no connection) or `Lost` (the connection broke) to simulate failures; each transport turns
them into the errors that its clients get from a network.
"""

import asyncio
import json
from typing import Any

import aiohttp
import httpx
from aiohttp.client_reqrep import ConnectionKey
from azure.core.exceptions import ServiceRequestError, ServiceResponseTimeoutError
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.rest._http_response_impl_async import AsyncHttpResponseImpl
from multidict import CIMultiDict

from local.memory.exchange import Answer, Request, Service

_READ_TIMEOUT = 300.0
_KEY = ConnectionKey("", 443, True, True, None, None, None)


class Refused(Exception):
    """The connection is refused: the request was not sent."""


class Lost(Exception):
    """The connection broke before the response."""


class _Body:
    """The body of a response; azure-core closes it."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""


class _Response(AsyncHttpResponseImpl):
    """A response as the generated clients expect it."""

    def __init__(self, request: Any, answer: Answer) -> None:
        super().__init__(
            request=request,
            internal_response=_Body(answer),
            block_size=4096,
            status_code=answer.status,
            reason="",
            content_type=answer.headers.get("content-type"),
            headers=CIMultiDict(answer.headers),
            stream_download_generator=_Streamed,
        )

    def body(self) -> bytes:
        """Return the whole body, for the parser of batches."""
        return bytes(self.content)


class _Streamed:
    """The bytes of a response in one piece, with the attributes that the blob client reads."""

    def __init__(self, pipeline: object, response: _Response, *, decompress: bool) -> None:  # noqa: ARG002
        body = response._internal_response.answer.body
        self.response = response
        self.content_length = len(body)
        self._chunks = iter((body,))

    def __aiter__(self) -> "_Streamed":
        return self

    async def __anext__(self) -> bytes:
        for chunk in self._chunks:
            return bytes(chunk)
        raise StopAsyncIteration


class InProcessTransport(AsyncHttpTransport[Any, Any]):
    """azure-core's transport to `service`. Timeouts use the clock of the event loop."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def send(self, request: Any, **options: Any) -> Any:
        """Send one request. Raises what azure-core's aiohttp transport raises."""
        sent = Request.of(request.method, request.url, request.headers, _content(request))
        try:
            async with asyncio.timeout(options.get("read_timeout") or _READ_TIMEOUT):
                answer = await self._service(sent)
        except Refused as error:
            inner = aiohttp.ClientConnectorError(_KEY, OSError("refused"))
            raise ServiceRequestError(str(error), error=inner) from inner
        except Lost as error:
            broken = aiohttp.ServerDisconnectedError()
            raise ServiceRequestError(str(error), error=broken) from broken
        except TimeoutError as error:
            raise ServiceResponseTimeoutError("no answer in time", error=error) from error
        response = _Response(request, answer)
        if not options.get("stream"):
            await response.read()
        return response

    async def open(self) -> None:
        """Do nothing: there is nothing to open."""

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""

    async def __aenter__(self) -> "InProcessTransport":
        return self

    async def __aexit__(self, *_: object) -> None:
        """Do nothing: there is nothing to close."""


class InProcessHttpx(httpx.AsyncBaseTransport):
    """httpx's transport to `service`."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request. Raises what httpx's own transport raises."""
        body = await request.aread()
        sent = Request.of(request.method, str(request.url), request.headers, body)
        timeout = request.extensions.get("timeout", {}).get("read")
        try:
            async with asyncio.timeout(timeout):
                answer = await self._service(sent)
        except Refused as error:
            raise httpx.ConnectError(str(error)) from error
        except Lost as error:
            raise httpx.RemoteProtocolError(str(error)) from error
        except TimeoutError as error:
            raise httpx.ReadTimeout("no answer in time") from error
        return httpx.Response(answer.status, headers=dict(answer.headers), content=answer.body, request=request)


def _content(request: Any) -> bytes:
    """Return the body of a request of azure-core: text, bytes, JSON, or a stream."""
    content = getattr(request, "content", None)
    if content is None:
        content = getattr(request, "data", None)
    if content is None:
        return b""
    if isinstance(content, bytes):
        return content
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, dict):
        return json.dumps(content).encode()
    if hasattr(content, "read"):
        return bytes(content.read())
    raise TypeError(f"a body of type {type(content).__name__} is not supported")
