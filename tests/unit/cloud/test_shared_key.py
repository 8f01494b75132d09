"""Shared Key authorization, against what Microsoft documents and what its client libraries send."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.pipeline import PipelineContext, PipelineRequest
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest
from azure.data.tables._authentication import SharedKeyCredentialPolicy as TablePolicy
from azure.storage.blob._shared.authentication import SharedKeyCredentialPolicy as StoragePolicy
from hypothesis import given
from hypothesis import strategies as st

from shared.cloud.shared_key import authorization, string_to_sign
from shared.sas import Service
from tests.support.samples import ACCOUNT, KEYS

KEY = KEYS["key1"]
DATE = "Fri, 26 Jun 2015 23:39:12 GMT"


def test_the_documented_example_of_the_blob_service_is_signed_as_documented() -> None:
    """REST, "Authorize with Shared Key": the example Get Container Metadata."""
    text = string_to_sign(
        service=Service.BLOB,
        account="myaccount",
        method="GET",
        url="https://myaccount.blob.core.windows.net/mycontainer?restype=container&comp=metadata&timeout=20",
        headers={"x-ms-version": "2015-02-21", "x-ms-date": DATE},
    )

    assert text == (
        f"GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:{DATE}\nx-ms-version:2015-02-21\n"
        "/myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20"
    )


def test_the_table_service_signs_the_date_and_of_the_query_comp_alone() -> None:
    text = string_to_sign(
        service=Service.TABLE,
        account="myaccount",
        method="PUT",
        url="https://myaccount.table.core.windows.net/People?timeout=20&comp=acl",
        headers={"x-ms-version": "2015-02-21", "x-ms-date": DATE, "Content-Type": "application/xml"},
    )

    assert text == f"PUT\n\napplication/xml\n{DATE}\n/myaccount/People?comp=acl"


def test_a_table_request_without_comp_signs_no_query() -> None:
    url = "https://myaccount.table.core.windows.net/People?timeout=20"
    text = string_to_sign(service=Service.TABLE, account="myaccount", method="GET", url=url, headers={})

    assert text == "GET\n\n\n\n/myaccount/People"


@pytest.mark.parametrize(("length", "signed"), [("0", ""), ("12", "12")])
def test_an_empty_body_has_no_length(length: str, signed: str) -> None:
    text = string_to_sign(
        service=Service.BLOB, account="a", method="PUT", url="https://h/c", headers={"Content-Length": length}
    )

    assert text.split("\n")[3] == signed


REQUESTS = [
    (Service.BLOB, "GET", "models?restype=container&comp=acl"),
    (Service.BLOB, "PUT", "models?restype=container&comp=acl"),
    (Service.BLOB, "PUT", "$root?comp=lease&restype=container"),
    (Service.FILE, "PUT", "share?restype=share&comp=acl"),
    (Service.QUEUE, "PUT", "jobs?comp=acl"),
    (Service.TABLE, "GET", "People?comp=acl"),
    (Service.TABLE, "PUT", "People?comp=acl"),
]


@given(
    case=st.sampled_from(REQUESTS),
    since=st.sampled_from([None, DATE]),
    extras=st.dictionaries(
        st.from_regex(r"x-ms-[a-z]{1,8}", fullmatch=True), st.from_regex(r"[a-z0-9,]{1,9}", fullmatch=True)
    ),
    length=st.integers(0, 9999),
)
def test_requests_are_authorized_as_by_the_client_libraries(
    case: tuple[Service, str, str], since: str | None, extras: dict[str, str], length: int
) -> None:
    service, method, path = case
    url = f"https://{ACCOUNT}.{service}.core.windows.net/{path}"
    headers = {"x-ms-date": DATE, "x-ms-version": "2020-12-06", **extras}
    if since is not None:
        headers["If-Unmodified-Since"] = since
    if method == "PUT":
        headers |= {"Content-Length": str(length), "Content-Type": "application/xml"}

    ours = authorization(service=service, account=ACCOUNT, method=method, url=url, headers=headers, key=KEY)

    assert ours == by_client_library(service, method, url, headers)


def by_client_library(service: Service, method: str, url: str, headers: dict[str, str]) -> str:
    request = HttpRequest(method, url, headers=dict(headers))
    request.query = dict(parse_qsl(urlsplit(url).query))  # type: ignore[attr-defined]
    policy = (
        TablePolicy(AzureNamedKeyCredential(ACCOUNT, KEY))
        if service is Service.TABLE
        else StoragePolicy(ACCOUNT, KEY)
    )
    context = PipelineContext(RequestsTransport())
    policy.on_request(PipelineRequest(request, context))
    return str(request.headers["Authorization"])


def test_a_key_that_is_not_base64_is_not_repeated() -> None:
    with pytest.raises(ValueError, match="base64") as refused:
        authorization(service=Service.BLOB, account="a", method="GET", url="https://h/c", headers={}, key="Sekrit!")

    assert "Sekrit" not in f"{refused.value} {refused.value!r}"
