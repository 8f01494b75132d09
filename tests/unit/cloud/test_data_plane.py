"""One request to Azure Storage."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from azure.core.exceptions import ServiceResponseError
from azure.core.rest import HttpRequest
from azure.core.rest._http_response_impl_async import AsyncHttpResponseImpl

from shared.cloud import data_plane
from shared.cloud.data_plane import send

REQUEST = HttpRequest("GET", "https://robustmodels.table.core.windows.net/People?sig=secret")


class Transport:
    """Answers with this, byte by byte; or, without a body, never."""

    def __init__(self, status: int, body: bytes | None, **headers: str) -> None:
        self._answer = (status, body, {name.replace("_", "-"): text for name, text in headers.items()})
        self.options: dict[str, Any] = {}

    async def send(self, request: HttpRequest, **options: Any) -> AsyncHttpResponseImpl:
        self.options = options
        status, body, headers = self._answer

        async def stream(*_: Any, **__: Any) -> AsyncIterator[bytes]:
            if body is None:
                await asyncio.Event().wait()
            for byte in body or b"":
                yield bytes([byte])

        return AsyncHttpResponseImpl(
            request=request,
            internal_response=self,
            status_code=status,
            reason="",
            content_type="",
            headers=headers,
            stream_download_generator=stream,
            block_size=1,
        )

    async def close(self) -> None:
        """Nothing to close."""


@pytest.mark.parametrize(
    ("transport", "code"),
    [
        (Transport(403, b"", x_ms_error_code="AuthenticationFailed"), "AuthenticationFailed"),
        (Transport(404, b'{"odata.error":{"code":"ResourceNotFound","message":{}}}'), "ResourceNotFound"),
        (Transport(404, b'<m:error xmlns:m="x"><m:code>TableNotFound</m:code></m:error>'), "TableNotFound"),
        (Transport(404, b"<error><code>TableNotFound</code></error>"), "TableNotFound"),
        (Transport(502, b"<html>bad gateway</html>"), ""),
        (Transport(404, b""), ""),
        (Transport(404, b" " * 8192 + b"<code>TooFar</code>"), ""),
        (Transport(200, b'<Code>"code":"TextOfTheCustomers"</Code>'), ""),
    ],
)
async def test_the_code_of_an_error_is_found_where_the_service_says_it(transport: Any, code: str) -> None:
    assert (await send(transport, REQUEST)).code == code


DETAIL = b"<AuthenticationErrorDetail>Policy violated by no signed start.</AuthenticationErrorDetail>"


@pytest.mark.parametrize(
    ("transport", "detail"),
    [
        (Transport(403, b"<Error><Code>X</Code>" + DETAIL + b"</Error>"), "Policy violated by no signed start."),
        (Transport(403, b"<Error><Code>X</Code></Error>"), ""),
        (Transport(403, b""), ""),
        (Transport(403, b"<AuthenticationErrorDetail>never closed"), ""),
        (Transport(403, b" " * 8192 + DETAIL), ""),
        (Transport(403, DETAIL.replace(b"no", b"\xff")), "Policy violated by \ufffd signed start."),
        (Transport(200, DETAIL), ""),
    ],
)
async def test_why_authentication_failed_is_read_from_the_body(transport: Any, detail: str) -> None:
    assert (await send(transport, REQUEST)).detail == detail


async def test_an_answer_is_read_whole() -> None:
    transport: Any = Transport(200, b"<SignedIdentifiers />", Date="now")

    answer = await send(transport, REQUEST)

    assert (answer.status, answer.body, answer.headers["Date"]) == (200, b"<SignedIdentifiers />", "now")


async def test_a_request_has_time_outs_and_its_answer_is_read_once() -> None:
    transport: Any = Transport(200, b"")
    await send(transport, REQUEST)

    assert transport.options == {"stream": True, "connection_timeout": 5.0, "read_timeout": 10.0}


async def test_an_answer_that_never_ends_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_plane, "_TIMEOUT", 0.05)
    transport: Any = Transport(200, None)

    with pytest.raises(ServiceResponseError, match="no answer within") as failed:
        await send(transport, REQUEST)

    assert "secret" not in f"{failed.value!r}"


async def test_an_answer_shows_none_of_its_contents_to_who_prints_it() -> None:
    transport: Any = Transport(200, b"of the customer's", x_ms_meta_secret="of the customer's")

    assert "customer" not in repr(await send(transport, REQUEST))
