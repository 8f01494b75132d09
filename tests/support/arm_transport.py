"""A transport to ARM in process, with failures that a test injects."""

import asyncio
from typing import Any

from aiohttp import ClientConnectorError
from aiohttp.client_reqrep import ConnectionKey
from azure.core.exceptions import AzureError, ServiceResponseError
from azure.core.rest import AsyncHttpResponse, HttpRequest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.support.asgi import Transport

NO_CONNECTION = ClientConnectorError(
    ConnectionKey("management.azure.com", 443, True, True, None, None, None), OSError("refused")
)


class Wire(Transport):
    """Requests whose "METHOD url" contains `on` meet `instead` in place of ARM, or `after` ARM has executed them."""

    def __init__(self, app: ASGIApp, *, on: str) -> None:
        super().__init__(app)
        self.instead: ASGIApp | AzureError | asyncio.Event | None = None
        self.after = False
        self.on = on
        self.requests: list[HttpRequest] = []

    @property
    def calls(self) -> list[HttpRequest]:
        """The requests that contain `on`."""
        return [request for request in self.requests if self.on in f"{request.method} {request.url}"]

    async def send(self, request: HttpRequest, **options: Any) -> AsyncHttpResponse:
        self.requests.append(request)
        if self.instead is None or self.on not in f"{request.method} {request.url}":
            return await super().send(request, **options)
        if self.after:
            await super().send(request, **options)
        if isinstance(self.instead, AzureError):
            raise self.instead
        if isinstance(self.instead, asyncio.Event):
            await self.instead.wait()
            raise ServiceResponseError("the silence was ended")
        return await Transport(self.instead).send(request, **options)


def answering(status: int, body: object = None, **headers: str) -> ASGIApp:
    """Return an app that answers every request with this status and body."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        names = {name.replace("_", "-"): text for name, text in headers.items()}
        response: Response = JSONResponse(body or {"error": {"code": "Code", "message": "m"}}, status, names)
        await response(scope, receive, send)

    return answer
