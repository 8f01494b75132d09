"""Shared Key signatures, compared with those of the SDK."""

import pytest
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.pipeline import PipelineContext, PipelineRequest
from azure.core.pipeline.transport import HttpRequest
from azure.data.tables._authentication import SharedKeyCredentialPolicy as TablePolicy
from azure.storage.blob._shared.authentication import SharedKeyCredentialPolicy
from starlette.datastructures import Headers

from local.storage.shared_key import authorization, signed_by
from local.tenant.model import new_storage_key

KEY = new_storage_key()


def signed(method: str, url: str, headers: dict[str, str]) -> HttpRequest:
    """Return the request as signed by the SDK."""
    request = HttpRequest(method, url, headers)
    policy = SharedKeyCredentialPolicy("models", KEY)  # type: ignore[no-untyped-call]
    policy.on_request(PipelineRequest(request, PipelineContext(None)))  # type: ignore[no-untyped-call]
    return request


@pytest.mark.parametrize(
    ("method", "path", "query", "headers"),
    [
        ("GET", "/", "comp=list", {}),
        ("PUT", "/share/a%20b/%C3%BC.txt", "", {"content-length": "0"}),
        ("PUT", "/q/messages/1", "popreceipt=a%2Bb%3D&visibilitytimeout=5", {"content-length": "12"}),
        ("GET", "/c/b", "snapshot=2021-01-01T00:00:00Z", {"x-ms-range": "bytes=0-1"}),
        ("PUT", "/c/b", "", {"content-type": "text/plain", "x-ms-meta-b": "2", "x-ms-meta-a": "1", "if-match": "*"}),
    ],
)
def test_signature_is_the_sdks(method: str, path: str, query: str, headers: dict[str, str]) -> None:
    dated = {"x-ms-date": "Sat, 21 Nov 2026 22:00:00 GMT", "x-ms-version": "2021-12-02", **headers}
    request = signed(method, f"https://models.blob.core.windows.net{path}{'?' if query else ''}{query}", dated)
    assert (
        authorization(
            service="blob", method=method, account="models", path=path, query=query, headers=Headers(dated), key=KEY
        )
        == request.headers["Authorization"]
    )


@pytest.mark.parametrize(
    ("method", "path", "query", "headers"),
    [
        ("GET", "/Tables", "", {}),
        ("PUT", "/rows", "comp=acl&timeout=5", {"content-type": "application/xml", "content-length": "12"}),
        ("POST", "/rows", "", {"content-type": "application/json", "content-md5": "x"}),
    ],
)
def test_signature_of_a_table_request_is_the_sdks(
    method: str, path: str, query: str, headers: dict[str, str]
) -> None:
    dated = {"x-ms-date": "Sat, 21 Nov 2026 22:00:00 GMT", "x-ms-version": "2019-02-02", **headers}
    request = HttpRequest(method, f"https://models.table.core.windows.net{path}{'?' if query else ''}{query}", dated)
    request.format_parameters(dict(pair.split("=") for pair in query.split("&") if query))
    policy = TablePolicy(AzureNamedKeyCredential("models", KEY))
    policy.on_request(PipelineRequest(request, PipelineContext(None)))
    given = Headers(dated)
    assert (
        authorization(
            service="table", method=method, account="models", path=path, query=query, headers=given, key=KEY
        )
        == request.headers["Authorization"]
    )


def test_key_that_signed_is_named() -> None:
    headers = {"x-ms-date": "Sat, 21 Nov 2026 22:00:00 GMT"}
    given = authorization(
        service="blob", method="GET", account="models", path="/", query="", headers=Headers(headers), key=KEY
    )
    keys = {"key1": new_storage_key(), "key2": KEY}
    sent = Headers({**headers, "authorization": given})
    assert (
        signed_by(service="blob", method="GET", account="models", path="/", query="", headers=sent, keys=keys)
        == "key2"
    )


def test_changed_request_is_signed_by_no_key() -> None:
    headers = {"x-ms-date": "Sat, 21 Nov 2026 22:00:00 GMT"}
    given = authorization(
        service="blob", method="GET", account="models", path="/", query="", headers=Headers(headers), key=KEY
    )
    sent = Headers({**headers, "authorization": given})
    assert (
        signed_by(
            service="blob", method="GET", account="models", path="/x", query="", headers=sent, keys={"key1": KEY}
        )
        is None
    )
