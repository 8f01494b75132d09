"""Calls stand-ins in process: an azure-core transport and an httpx client for an ASGI app."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
from azure.core.credentials import AccessToken, AccessTokenInfo
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.core.rest._http_response_impl_async import AsyncHttpResponseImpl
from starlette.types import ASGIApp

from local.entra.tokens import Entra
from local.tenant.model import Identity


def client(app: ASGIApp, host: str, *, token: str | None = None) -> httpx.AsyncClient:
    """Return an httpx client of `app` under its real host name, with a bearer token if one is given."""
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=f"https://{host}", headers=headers)


class _Received:
    """The internal response that azure-core closes."""

    async def close(self) -> None:
        """Nothing to close."""


class Transport(AsyncHttpTransport[HttpRequest, AsyncHttpResponse]):
    """An azure-core transport without sockets. Records every request as (method, url, body)."""

    def __init__(self, app: ASGIApp) -> None:
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app))
        self.sent: list[tuple[str, str, bytes]] = []

    async def send(self, request: HttpRequest, **kwargs: Any) -> AsyncHttpResponse:
        body = request.content or b""
        content = body.encode() if isinstance(body, str) else body
        self.sent.append((request.method, request.url, content))
        answer = await self._client.request(
            request.method, request.url, headers=dict(request.headers), content=content
        )

        async def stream(*args: Any, **kwargs: Any) -> AsyncIterator[bytes]:
            yield answer.content

        response = AsyncHttpResponseImpl(
            request=request,
            internal_response=_Received(),
            status_code=answer.status_code,
            reason=answer.reason_phrase,
            content_type=answer.headers.get("content-type"),
            headers=answer.headers,
            stream_download_generator=stream,
            block_size=4096,
        )
        await response.read()
        return response

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        await self._client.aclose()

    async def __aexit__(self, *args: object) -> None:
        await self.close()


class Credential(AsyncTokenCredential):
    """A credential with tokens of one identity for the requested scopes."""

    def __init__(self, entra: Entra, identity: Identity) -> None:
        self._entra = entra
        self._identity = identity
        self.scopes: list[str] = []

    async def get_token(self, *scopes: str, **kwargs: Any) -> AccessToken:
        self.scopes.extend(scopes)
        audience = scopes[0].removesuffix("/.default")
        return AccessToken(self._entra.mint(self._identity, audience=audience), 2**31)

    async def get_token_info(self, *scopes: str, **kwargs: Any) -> AccessTokenInfo:
        token = await self.get_token(*scopes)
        return AccessTokenInfo(token.token, token.expires_on)

    async def close(self) -> None:
        """Nothing to close."""

    async def __aexit__(self, *args: object) -> None:
        await self.close()
