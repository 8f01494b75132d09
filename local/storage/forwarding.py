"""Forwards a request to Azurite, and turns its response into Azure's."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from email.utils import format_datetime

import aiohttp
from multidict import CIMultiDict
from starlette.datastructures import MutableHeaders
from starlette.types import Receive, Send

from local.storage import shared_key
from local.storage.access import StorageRequest, unauthenticated
from local.storage.backend import StorageBackend
from local.storage.errors import Refusal, is_known, server_name
from local.tenant.model import Account, now

_logger = logging.getLogger(__name__)
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer", "upgrade"}
    | {"expect", "transfer-encoding"}
)
# Azurite's codes for a request that it could not authenticate; the third one is for a wrong Shared Key signature.
_AZURITE_UNAUTHENTICATED = ("AuthorizationFailure", "AuthenticationFailed", "InvalidAuthenticationInfo")


@asynccontextmanager
async def exchange(
    backend: StorageBackend, request: StorageRequest, body: bytes | AsyncGenerator[bytes] | None
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Send the request to Azurite. Raises Refusal for an error that is translated, or if Azurite does not respond.

    Errors while the response is read are raised unchanged: the response is cut off, as when a server of Azure fails.
    """
    target = f"{request.path}?{request.query}" if request.query else request.path
    sent = CIMultiDict((name, value) for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP)
    try:
        response = await backend.send(
            request.host.service, method=request.method, target=target, headers=sent, body=body
        )
    except (aiohttp.ClientError, TimeoutError) as error:
        _logger.warning("Azurite does not respond: %s", type(error).__name__)
        raise Refusal("ServerBusy") from None
    async with response:
        code = response.headers.get("x-ms-error-code", "")
        if response.status in (400, 403) and code in _AZURITE_UNAUTHENTICATED:
            raise unauthenticated(request)
        is_xml = response.headers.get("content-type", "").startswith("application/xml")
        if request.host.service == "table" and response.status >= 400 and is_xml and is_known(code):
            raise Refusal(code)  # in the shape of OData, unlike Azurite's XML errors
        yield response


def headers_of(response: aiohttp.ClientResponse, request: StorageRequest) -> list[tuple[bytes, bytes]]:
    """Return the headers of Azurite's response as Azure sends them."""
    service = request.host.service
    dropped = _HOP_BY_HOP | {"server", "date"}
    if service == "table":
        dropped |= {"x-ms-error-code"}  # Azure's table service has its error code only in the body
    return [
        *((name, value) for name, value in response.raw_headers if name.lower().decode("latin-1") not in dropped),
        (b"server", server_name(service).encode()),
        # In some responses, Azurite's Date is the time of the last change.
        (b"date", format_datetime(now(), usegmt=True).encode()),
    ]


class ClientDisconnected(aiohttp.ClientConnectionError):
    """Nobody waits for the response any more."""


async def pass_on(response: aiohttp.ClientResponse, request: StorageRequest, send: Send) -> None:
    """Stream Azurite's response to the client."""
    headers = headers_of(response, request)
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    async for chunk in response.content.iter_any():
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def body_of(receive: Receive) -> bytes | AsyncGenerator[bytes] | None:
    """Return the body of the request: as bytes if it comes in one piece, as a stream otherwise."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnected("the client has disconnected")
    first: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return first or None

    async def stream() -> AsyncGenerator[bytes]:
        yield first
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnected("the client has disconnected")
            yield message.get("body", b"")
            more = message.get("more_body", False)

    return stream()


async def whole_body_of(receive: Receive, *, most: int) -> bytes:
    """Return the body of the request as bytes. Raises Refusal for more than `most` bytes."""
    body = await body_of(receive)
    if body is None or isinstance(body, bytes):
        whole = body or b""
    else:
        whole = b""
        async for chunk in body:
            whole += chunk
            if len(whole) > most:
                break
    if len(whole) > most:
        raise Refusal("RequestBodyTooLarge")
    return whole


def key_of(request: StorageRequest, account: Account) -> str | None:
    """Return the name of the account's key that signed a Shared Key request; None if neither did."""
    return shared_key.signed_by(
        service=request.host.service,
        method=request.method,
        account=account.name,
        path=request.path,
        query=request.query,
        headers=request.headers,
        keys=account.accepted_keys,
    )


def with_key(request: StorageRequest, account: Account, key_name: str, changes: dict[str, str]) -> StorageRequest:
    """Return the request with changed headers (an empty text removes one), signed with the key of that name."""
    headers = MutableHeaders(raw=list(request.headers.raw))
    for name, value in changes.items():
        if value:
            headers[name] = value
        else:
            del headers[name]
    headers["authorization"] = shared_key.authorization(
        service=request.host.service,
        method=request.method,
        account=account.name,
        path=request.path,
        query=request.query,
        headers=headers,
        key=account.accepted_keys[key_name],
    )
    return replace(request, headers=headers)
