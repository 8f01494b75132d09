"""Azure Storage: the account's own host names, in front of Azurite.

`storage_access` decides what depends on the account or on Entra; Azurite does the rest; the errors that it words in
its own way are put into Azure's. Bodies are streamed both ways, and headers pass untouched, because they are signed.
File shares, which Azurite lacks, are there as far as authentication goes, so that a credential can be tried on
every service it opens.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import unquote

import aiohttp
from multidict import CIMultiDict
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from local import shared_key
from local.azurite import SERVICES
from local.entra import Entra
from local.hostnames import StorageHost
from local.model import Account, Cloud
from local.storage_access import Credentials, StorageRequest, check, out_of_time, unauthenticated
from local.storage_backend import StorageBackend
from local.storage_errors import Refusal, server_name
from shared import sas

_logger = logging.getLogger(__name__)
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer", "upgrade"}
    | {"expect", "transfer-encoding"}
)
# How Azurite says that it could not authenticate a request; the third, of a wrong Shared Key signature.
_AZURITE_DOUBTS = ("AuthorizationFailure", "AuthenticationFailed", "InvalidAuthenticationInfo")
_GATE_SECONDS = 5


class Gate:
    """Lets requests through while it is open; whoever closes it has the data to himself."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._inside = 0
        self._left = asyncio.Condition()

    def open(self) -> None:
        self._open.set()

    @asynccontextmanager
    async def passage(self) -> AsyncIterator[None]:
        """Wait until the gate is open, and count as inside until left."""
        await self._open.wait()
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            async with self._left:
                self._left.notify_all()

    @asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        """Keep others out, after those inside have left; whoever stays for more than 5 s is not waited for."""
        self._open.clear()
        try:
            async with self._left:
                try:
                    async with asyncio.timeout(_GATE_SECONDS):
                        await self._left.wait_for(lambda: self._inside == 0)
                except TimeoutError:
                    _logger.warning("%d storage requests are still under way", self._inside)
            yield
        finally:
            self._open.set()


class Storage:
    """The ASGI app for every storage host name. Requests wait until `gate` is open."""

    def __init__(self, cloud: Cloud, entra: Entra, backend: StorageBackend, gate: Gate) -> None:
        self._cloud = cloud
        self._entra = entra
        self._backend = backend
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        host = StorageHost.parse(headers.get("host", "").lower().removesuffix(":443"))
        if host is None:
            await _no_account(scope, receive, send)
            return
        request = StorageRequest(
            host=host,
            method=scope["method"],
            path=scope["raw_path"].decode("latin-1"),
            query=scope["query_string"].decode("latin-1"),
            headers=headers,
        )
        async with self._gate.passage():
            account = self._cloud.accounts.get(host.account)
            if account is None:
                await _no_account(scope, receive, send)
                return
            try:
                check(request, account, self._entra)
                if host.service not in SERVICES:
                    raise _without_azurite(request, account)
                await self._forward(self._shorten(request, account), receive, send)
            except Refusal as refusal:
                accept, version = headers.get("accept", ""), headers.get("x-ms-version", "")
                await refusal.response(host.service, accept=accept, version=version)(scope, receive, send)

    async def _forward(self, request: StorageRequest, receive: Receive, send: Send) -> None:
        """Have Azurite answer. Raises Refusal where its answer is put into Azure's words, or there is none."""
        target = f"{request.path}?{request.query}" if request.query else request.path
        sent = CIMultiDict(
            (name, value) for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP
        )
        body = await _body(receive)
        started = False
        try:
            async with await self._backend.send(
                request.host.service, method=request.method, target=target, headers=sent, body=body
            ) as response:
                code = response.headers.get("x-ms-error-code", "")
                if response.status in (400, 403) and code in _AZURITE_DOUBTS:
                    raise unauthenticated(request)
                started = True
                await _pass_on(response, request, send)
        except (aiohttp.ClientError, TimeoutError) as error:
            if started:
                raise  # the answer is cut off, as it would be were a server of Azure's to die
            _logger.warning("Azurite does not answer: %s", type(error).__name__)
            raise Refusal("ServerBusy") from None

    def _shorten(self, request: StorageRequest, account: Account) -> StorageRequest:
        """Divide the visibility time-out of a queue message by the cloud's time factor."""
        if self._cloud.time_factor == 1 or request.host.service != "queue":
            return request
        query = shorten_visibility(
            request.query, method=request.method, path=request.path, factor=self._cloud.time_factor
        )
        if query == request.query:
            return request
        shortened = replace(request, query=query)
        if request.credentials is not Credentials.SHARED_KEY:
            return shortened
        key_name = _key_of(request, account)
        if key_name is None:
            raise unauthenticated(request)
        headers = MutableHeaders(request.headers)  # the query is signed: sign what is sent in its place
        headers["authorization"] = shared_key.authorization(
            method=request.method,
            account=account.name,
            path=request.path,
            query=query,
            headers=request.headers,
            key=account.keys[key_name],
        )
        return replace(shortened, headers=headers)


def shorten_visibility(query: str, *, method: str, path: str, factor: float) -> str:
    """`query` of a queue request with its `visibilitytimeout` (seconds) divided by `factor`.

    A message may be put with 0; got or updated, it stays hidden for a second at least, as the API asks for, or as
    whoever holds it must be able to renew it ("Get Messages", "Put Message", "Update Message").
    """
    if path.rstrip("/").split("/")[-1] != "messages" and "/messages/" not in path:
        return query
    pairs = [pair.partition("=") for pair in query.split("&")] if query else []
    shortened = []
    found = False
    for name, equals, value in pairs:
        if unquote(name).lower() == "visibilitytimeout" and value.isdecimal():
            found = True
            least = 0 if method == "POST" or int(value) == 0 else 1
            shortened.append(f"{name}={max(least, int(int(value) / factor))}")
        else:
            shortened.append(name + equals + value)
    if not found and method == "GET" and "peekonly=true" not in query.lower():
        shortened.append(f"visibilitytimeout={max(1, int(30 / factor))}")
    return "&".join(shortened)


async def _no_account(scope: Scope, receive: Receive, send: Send) -> None:
    message = "There is no such storage account: its name would not resolve."
    await JSONResponse({"error": {"code": "AccountNotFound", "message": message}}, 502)(scope, receive, send)


def _without_azurite(request: StorageRequest, account: Account) -> Refusal:
    """The answer of a service that Azurite lacks: for files, what a share that does not exist would give."""
    if request.host.service != "file":
        return Refusal("NotImplemented")
    credentials = request.credentials
    if credentials is Credentials.SHARED_KEY:
        accepted = _key_of(request, account) is not None
    elif credentials in (Credentials.ACCOUNT_SAS, Credentials.SERVICE_SAS):
        accepted = out_of_time(request) is None and _sas_is_ours(request, account)
        if accepted and credentials is Credentials.ACCOUNT_SAS and "f" not in (request.parameter("ss") or ""):
            return Refusal("AuthorizationServiceMismatch")
    else:
        accepted = False
    return Refusal("ShareNotFound") if accepted else unauthenticated(request)


def _key_of(request: StorageRequest, account: Account) -> str | None:
    return shared_key.signed_by(
        method=request.method,
        account=account.name,
        path=request.path,
        query=request.query,
        headers=request.headers,
        keys=account.keys,
    )


def _sas_is_ours(request: StorageRequest, account: Account) -> bool:
    url = f"https://{account.name}.file.core.windows.net{request.path}?{request.query}"
    return any(
        sas.verify(credential, account=account.name, keys=account.keys).key is not None
        for credential in sas.extract(url)
    )


async def _body(receive: Receive) -> bytes | AsyncGenerator[bytes] | None:
    """The request's body: as bytes if it came in one piece, as a stream otherwise."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise aiohttp.ClientConnectionError("the client has gone")
    first: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return first or None

    async def stream() -> AsyncGenerator[bytes]:
        yield first
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise aiohttp.ClientConnectionError("the client has gone")
            yield message.get("body", b"")
            more = message.get("more_body", False)

    return stream()


async def _pass_on(response: aiohttp.ClientResponse, request: StorageRequest, send: Send) -> None:
    headers = [
        (name, server_name(request.host.service).encode() if name.lower() == b"server" else value)
        for name, value in response.raw_headers
        if name.lower().decode("latin-1") not in _HOP_BY_HOP
        # Azure's table service says its error code in the body alone.
        and not (request.host.service == "table" and name.lower() == b"x-ms-error-code")
    ]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    async for chunk in response.content.iter_any():
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
