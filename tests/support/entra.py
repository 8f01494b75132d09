"""Entra ID for tests of token validation: its keys, tokens signed by them with any claims, and its key server."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import jwt
from azure.core.exceptions import AzureError
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.core.rest._http_response_impl_async import AsyncHttpResponseImpl
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from shared.api.auth.access_tokens import AccessTokens, Role
from shared.api.auth.signing_keys import SigningKeys
from tests.support import samples
from tests.support.samples import NOW

TENANT = samples.ENVIRONMENT["SASQUASH_TENANT_ID"]
AUDIENCE = "d3a1f6b8-5c2e-4f7a-9b0d-8e4c6a2f1d57"
KEYS_URL = f"https://login.microsoftonline.com/{TENANT}/discovery/v2.0/keys"
OBJECT_ID = "f36c87e7-fca8-412c-8f70-575907292a83"
APP_ID = "08bdef17-bc9a-4f6f-95bb-7e0446da6f1a"
NAME = "ada@contoso.com"

# A person's token of version 2 ("Access token claims reference").
CLAIMS: dict[str, Any] = {
    "iss": f"https://login.microsoftonline.com/{TENANT}/v2.0",
    "aud": AUDIENCE,
    "tid": TENANT,
    "oid": OBJECT_ID,
    "azp": APP_ID,
    "scp": "user_impersonation",
    "preferred_username": NAME,
    "roles": [Role.APPROVER],
    "iat": int(NOW.timestamp()) - 60,
    "nbf": int(NOW.timestamp()) - 60,
    "exp": int(NOW.timestamp()) + 3600,
    "ver": "2.0",
}


@cache
def signing_key(name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def published(*names: str) -> bytes:
    """Return the key set of these public keys as Entra ID writes it: without `alg`."""
    entries = [
        {**json.loads(RSAAlgorithm.to_jwk(signing_key(name).public_key())), "kid": name, "use": "sig"}
        for name in names
    ]
    for entry in entries:
        entry.pop("key_ops", None)
    return json.dumps({"keys": entries}).encode()


def token(*, signed_by: str = "first", key_id: object = None, without: str = "", **changed: Any) -> str:
    """Return an access token: valid unless claims are changed or left out."""
    claims = {name: value for name, value in (CLAIMS | changed).items() if name != without}
    return jwt.encode(
        claims, signing_key(signed_by), algorithm="RS256", headers={"kid": signed_by if key_id is None else key_id}
    )


class Clock:
    """A clock that only `advance` moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, span: timedelta) -> None:
        self.now += span


class KeyServer:
    """Publishes `body`, raises `fails`, or does not respond until `opened` is set.

    `asked` is set by the first request.
    """

    def __init__(self, body: bytes | None = None) -> None:
        self.body = published("first") if body is None else body
        self.status = 200
        self.fails: AzureError | None = None
        self.opened: asyncio.Event | None = None
        self.asked = asyncio.Event()
        self.urls: list[str] = []

    def connect(self) -> "_Connection":
        return _Connection(self)


class _Connection(AsyncHttpTransport[HttpRequest, AsyncHttpResponse]):
    def __init__(self, server: KeyServer) -> None:
        self._server = server

    async def send(self, request: HttpRequest, **options: Any) -> AsyncHttpResponse:
        assert {"connection_timeout", "read_timeout"} <= options.keys()
        self._server.urls.append(request.url)
        self._server.asked.set()
        if self._server.opened is not None:
            await self._server.opened.wait()
        if self._server.fails is not None:
            raise self._server.fails

        async def stream(*args: Any, **kwargs: Any) -> AsyncIterator[bytes]:
            yield self._server.body

        return AsyncHttpResponseImpl(
            request=request,
            internal_response=_Received(),
            status_code=self._server.status,
            reason="",
            content_type="application/json",
            headers={},
            stream_download_generator=stream,
            block_size=4096,
        )

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def __aexit__(self, *args: object) -> None:
        """Nothing to close."""


class _Received:
    async def close(self) -> None:
        """Nothing to close."""


def signing_keys(server: KeyServer, clock: Callable[[], datetime]) -> SigningKeys:
    return SigningKeys(KEYS_URL, server.connect, clock=clock)


def access_tokens(server: KeyServer | None = None, **settings: str) -> AccessTokens:
    """Return the validation of tokens with the sample settings, some of them changed."""
    clock = Clock()
    keys = signing_keys(server or KeyServer(), clock)
    return AccessTokens(keys, settings=samples.settings(**settings), clock=clock)
