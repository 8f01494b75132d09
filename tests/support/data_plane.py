"""A fake of Azure Storage for verification tokens: it checks signatures, and has no resources."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.core.rest._http_response_impl_async import AsyncHttpResponseImpl

from shared.sas import verify
from tests.support import samples

NEW_KEY = samples.key("new")


class _Received:
    async def close(self) -> None:
        """Nothing to close."""


@dataclass
class DataPlane:
    """Accepts what one of `keys` signed. `says` overrides the response of a host.

    With `in_body`, the table service has its codes only in the body, as in Azure.
    """

    keys: list[str] = field(default_factory=lambda: [samples.KEYS["key1"], NEW_KEY])
    says: dict[str, tuple[int, str] | AzureError] = field(default_factory=dict)
    in_body: bool = False
    requests: list[HttpRequest] = field(default_factory=list)
    opened: int = 0
    closed: int = 0

    def connect(self) -> "_Connection":
        self.opened += 1
        return _Connection(self)

    def answer(self, request: HttpRequest) -> tuple[int, str]:
        self.requests.append(request)
        host = urlsplit(request.url).hostname or ""
        said = self.says.get(host)
        if isinstance(said, AzureError):
            raise said
        if said is not None:
            return said
        credential = samples.leak(request.url)
        signed = verify(
            credential, account=samples.ACCOUNT, keys={str(n): key for n, key in enumerate(self.keys)}
        ).key
        return (404, "ResourceNotFound") if signed is not None else (403, "AuthenticationFailed")


class _Connection(AsyncHttpTransport[HttpRequest, AsyncHttpResponse]):
    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane
        self._sent = 0

    async def send(self, request: HttpRequest, **options: Any) -> AsyncHttpResponse:
        self._sent += 1
        assert self._sent == 1, "a connection was used twice"
        assert {"connection_timeout", "read_timeout"} <= options.keys()
        status, code = self._plane.answer(request)
        table = ".table." in request.url
        body = f'{{"odata.error":{{"code":"{code}","message":{{"lang":"en-US","value":"no"}}}}}}' if table else ""
        headers = {} if self._plane.in_body and table else {"x-ms-error-code": code}

        async def stream(*args: Any, **kwargs: Any) -> AsyncIterator[bytes]:
            yield body.encode()

        return AsyncHttpResponseImpl(
            request=request,
            internal_response=_Received(),
            status_code=status,
            reason="",
            content_type="application/json",
            headers=headers,
            stream_download_generator=stream,
            block_size=4096,
        )

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        self._plane.closed += 1

    async def __aexit__(self, *args: object) -> None:
        await self.close()
