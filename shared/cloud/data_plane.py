"""One request to Azure Storage itself, and its response.

Blob, queue and file say their error codes in the header x-ms-error-code, the table service in the body alone (OData's
error). Source: REST, "Status and error codes". Where authentication failed, the body of the first three says why
(element AuthenticationErrorDetail).
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from azure.core.exceptions import ServiceResponseTimeoutError
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest

type Transport = AsyncHttpTransport[HttpRequest, AsyncHttpResponse]

_CONNECT_TIMEOUT = 5.0
_READ_TIMEOUT = 10.0
_TIMEOUT = 15.0  # in all, for an answer that comes byte by byte
_LONGEST_ERROR = 8192  # bytes of a response that are searched for a code
_CODE_IN_BODY = re.compile(rb'"code"\s*:\s*"([A-Za-z]{1,80})"|<(?:m:)?code>([A-Za-z]{1,80})<', re.IGNORECASE)

_DETAIL = re.compile(rb"<AuthenticationErrorDetail>([^<]{0,4000})</AuthenticationErrorDetail>")

USER_AGENT = "sasquash"
"""The user agent of our own requests in the storage logs: verifications, and reads of policies."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response of Azure Storage. `code` is its error code, `detail` its AuthenticationErrorDetail; or empty.

    `detail` may quote what was signed: it is not for logs or people.
    """

    status: int
    code: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def detail(self) -> str:
        match = _DETAIL.search(self.body, 0, _LONGEST_ERROR) if self.status >= 300 else None
        return match[1].decode(errors="replace") if match is not None else ""


def quoted_path(path: str) -> str | None:
    """Percent-encode a path from outside; None for one that a client would make another path of (RFC 3986, 5.2.4)."""
    return None if {".", ".."} & set(path.split("/")) else quote(path, safe="/")


async def send(transport: Transport, request: HttpRequest) -> Answer:
    """Send `request` once; a redirect is an answer like any other. The URL is in no log. Raises AzureError."""
    request.headers.setdefault("User-Agent", USER_AGENT)
    try:
        async with asyncio.timeout(_TIMEOUT):
            # As a stream: an answer without a body that azure-core has read for us can't be read once more.
            response = await transport.send(
                request, stream=True, connection_timeout=_CONNECT_TIMEOUT, read_timeout=_READ_TIMEOUT
            )
            body = await response.read()
    except TimeoutError:
        raise ServiceResponseTimeoutError(f"no answer within {_TIMEOUT:.0f} s") from None
    code = response.headers.get("x-ms-error-code") or (_code_in(body) if response.status_code >= 300 else "")
    return Answer(response.status_code, code, response.headers, body)


def _code_in(body: bytes) -> str:
    match = _CODE_IN_BODY.search(body, 0, _LONGEST_ERROR)
    return (match[1] or match[2]).decode() if match is not None else ""
