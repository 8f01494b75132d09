"""Azure Storage: the stand-in for every storage host name, in front of Azurite.

`access` checks what depends on the account or on Entra ID, `sas` verifies every SAS and what it allows, `acl` keeps
access policies, `file_service` is the service that Azurite lacks; Azurite does the rest. Bodies are streamed both
ways, and headers are forwarded unchanged, because they are signed.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import unquote

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from local.entra.service import Entra
from local.network.hostnames import StorageHost
from local.storage import delegation, file_service
from local.storage.access import Credentials, StorageRequest, check, unauthenticated
from local.storage.acl import AccessPolicies
from local.storage.azurite import SERVICES
from local.storage.backend import StorageBackend
from local.storage.errors import Refusal, server_name
from local.storage.forwarding import (
    ClientDisconnected,
    body_of,
    exchange,
    headers_of,
    key_of,
    pass_on,
    whole_body_of,
    with_key,
)
from local.storage.log import line, signed_by
from local.storage.sas.admission import Admitted, admit
from local.storage.sas.token import SERVICE_LETTERS
from local.tenant.model import Account, Cloud, Identity

_logger = logging.getLogger(__name__)
_LARGEST_KEY_INFO = 4096
_GATE_SECONDS = 5


class Gate:
    """Admits requests while it is open. Closing it gives exclusive access to the data."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._inside = 0
        self._left = asyncio.Condition()

    def open(self) -> None:
        self._open.set()

    @asynccontextmanager
    async def passage(self) -> AsyncIterator[None]:
        """Wait until the gate is open; a request counts as inside until it leaves."""
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
        """Close the gate and wait until the requests inside have left, for 5 s at most."""
        self._open.clear()
        try:
            async with self._left:
                try:
                    async with asyncio.timeout(_GATE_SECONDS):
                        await self._left.wait_for(lambda: self._inside == 0)
                except TimeoutError:
                    _logger.warning("%d storage requests are still in progress", self._inside)
            yield
        finally:
            self._open.set()


class Storage:
    """The ASGI app of every storage host name. Requests wait until `gate` is open."""

    def __init__(self, cloud: Cloud, entra: Entra, backend: StorageBackend, gate: Gate) -> None:
        self._cloud = cloud
        self._entra = entra
        self._backend = backend
        self._policies = AccessPolicies(backend)
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        host = StorageHost.parse(headers.get("host", "").lower().removesuffix(":443"))
        if host is None:
            await _no_account()(scope, receive, send)
            return
        request = StorageRequest(
            host=host,
            method=scope["method"],
            path=scope["raw_path"].decode("latin-1"),
            query=scope["query_string"].decode("latin-1"),
            headers=headers,
            address=_address(scope),
        )
        async with self._gate.passage():
            account = self._cloud.accounts.get(host.account)
            if account is None:
                await self._elsewhere(request)(scope, receive, send)
                return
            send = self._logging(request, account, scope, send)
            try:
                identity = check(request, account, self._entra)
                admitted = admit(request, account, self._cloud)
                await self._answer(admitted, account, identity, scope=scope, receive=receive, send=send)
            except ClientDisconnected:
                return
            except Refusal as refusal:
                accept, version = headers.get("accept", ""), headers.get("x-ms-version", "")
                await refusal.response(host.service, accept=accept, version=version)(scope, receive, send)

    def _elsewhere(self, request: StorageRequest) -> Response:
        """Answer for an account that ARM does not show: it refuses everybody, and a challenge names its tenant."""
        tenant = self._cloud.elsewhere.get(request.host.account)
        if tenant is None:
            return _no_account()
        accept, version = request.headers.get("accept", ""), request.headers.get("x-ms-version", "")
        return unauthenticated(request).response(request.host.service, accept=accept, version=version, tenant=tenant)

    def _logging(self, request: StorageRequest, account: Account, scope: Scope, send: Send) -> Send:
        """Return `send`, extended to log the request once its response is complete, if the service is logged."""
        if not account.logged.get(request.host.service):
            return send
        status, size = 0, 0
        signer = signed_by(request, account)  # by the keys at the time of the request

        async def logged(message: Message) -> None:
            nonlocal status, size
            status = message.get("status", status)
            size += len(message.get("body", b""))
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                _, port = scope.get("client") or ("", 0)
                self._cloud.storage_log.append(
                    line(request, account, signer, status=status, size=size, address=f"{request.address}:{port}")
                )

        return logged

    async def _answer(
        self,
        admitted: Admitted,
        account: Account,
        identity: Identity | None,
        *,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Dispatch the request to the module that answers it. Raises Refusal."""
        request = admitted.request
        if request.gets_delegation_key:
            answer = await _delegation_key(request, account, identity, receive)
        elif request.host.service == "file":
            answer = await file_service.answer(request, account, admitted.grant, receive)
        elif request.host.service not in SERVICES:
            raise Refusal("NotImplemented")
        elif request.acl_of is not None:
            answer = await self._policies.answer(request, account, request.acl_of, receive)
        elif _gets_blob_metadata(request):
            answer = await self._blob_metadata(_as_head(request, account))
        else:
            await self._forward(self._shorten(request, account), account, receive, send)
            return
        await answer(scope, receive, send)

    async def _forward(self, request: StorageRequest, account: Account, receive: Receive, send: Send) -> None:
        """Forward the request to Azurite. Raises Refusal."""
        async with exchange(self._backend, request, await body_of(receive)) as response:
            if response.status < 300:
                await self._policies.deleted(request, account)
            await pass_on(response, request, send)

    async def _blob_metadata(self, request: StorageRequest) -> Response:
        """Answer Get Blob Metadata, which returns headers only. Azurite would return the blob. Raises Refusal."""
        async with exchange(self._backend, request, None) as response:
            answer = Response(status_code=response.status)
            of_content = (b"content-length", b"content-type", b"content-md5")
            headers = [pair for pair in headers_of(response, request) if pair[0].lower() not in of_content]
            answer.raw_headers = [*headers, (b"content-length", b"0")]
            return answer

    def _shorten(self, request: StorageRequest, account: Account) -> StorageRequest:
        """Divide the visibility timeout of a queue message by the time factor of the cloud."""
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
        key_name = key_of(request, account)
        if key_name is None:
            raise unauthenticated(request)
        return with_key(shortened, account, key_name, {})  # the query is part of the signature


def _gets_blob_metadata(request: StorageRequest) -> bool:
    is_blob = request.host.service == "blob" and request.parameter("restype") is None
    return is_blob and request.method == "GET" and request.parameter("comp") == "metadata"


def _as_head(request: StorageRequest, account: Account) -> StorageRequest:
    """Return the request with the method HEAD, authorized likewise. Raises Refusal."""
    asked = replace(request, method="HEAD")
    if request.credentials is not Credentials.SHARED_KEY:
        return asked
    key_name = key_of(request, account)
    if key_name is None:
        raise unauthenticated(request)
    return with_key(asked, account, key_name, {})


def shorten_visibility(query: str, *, method: str, path: str, factor: float) -> str:
    """Return the query of a queue request with its `visibilitytimeout` (seconds) divided by `factor`.

    A new message may have 0. A message that is received or updated stays hidden for at least a second: the API
    requires that, or the receiver needs it to renew the message ("Get Messages", "Put Message", "Update Message").
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


def _address(scope: Scope) -> str:
    """Return the address of the client."""
    client = scope.get("client")
    return str(client[0]) if client else "127.0.0.1"


def _no_account() -> Response:
    message = "There is no such storage account: its name does not resolve."
    return JSONResponse({"error": {"code": "AccountNotFound", "message": message}}, 502)


async def _delegation_key(
    request: StorageRequest, account: Account, identity: Identity | None, receive: Receive
) -> Response:
    """Answer Get User Delegation Key. Raises Refusal."""
    if identity is None:
        raise Refusal("AuthenticationFailed", "Only authentication scheme Bearer is supported")
    if request.method != "POST" or request.host.service not in SERVICE_LETTERS:
        raise Refusal("NotImplemented")
    document = await whole_body_of(receive, most=_LARGEST_KEY_INFO)
    version = request.headers.get("x-ms-version", "")
    key = delegation.issue(account, identity, document, service=request.host.service, version=version)
    headers = {"server": server_name(request.host.service), "x-ms-version": version, "cache-control": "no-store"}
    return Response(delegation.render(key), 200, headers, "application/xml")
