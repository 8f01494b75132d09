"""A body is read only if it arrived as it was sent.

Source of what the host passes on: azure-functions-host 4.1037, tried; GrpcMessageConversionExtensions.ToRpcHttp.
"""

import azure.functions as func
import pytest

from shared.api.request_body import CompressedBody, IncompleteBody, LengthRequired, read_body
from shared.errors import InvalidRequest


def request(body: bytes, **headers: str) -> func.HttpRequest:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return func.HttpRequest("POST", "https://x/api/intake/trufflehog", headers=named, body=body)


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff\x00"])
def test_body_of_the_length_that_the_request_says_is_read(body: bytes) -> None:
    assert read_body(request(body, content_length=str(len(body)), content_encoding="identity")) == body


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({}, LengthRequired),
        ({"transfer_encoding": "chunked"}, LengthRequired),
        ({"transfer_encoding": "chunked", "content_length": "0"}, LengthRequired),
        ({"content_length": ""}, LengthRequired),
        ({"content_length": "-1"}, LengthRequired),
        ({"content_length": "²"}, LengthRequired),
        ({"content_length": "0,0"}, LengthRequired),
        ({"content_length": "9" * 20}, LengthRequired),
        ({"content_length": "7"}, IncompleteBody),
        ({"content_length": "0", "content_encoding": "gzip"}, CompressedBody),
    ],
)
def test_body_that_may_not_have_arrived_is_refused(headers: dict[str, str], error: type[InvalidRequest]) -> None:
    with pytest.raises(error):
        read_body(request(b"", **headers))
