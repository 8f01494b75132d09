"""Roles, tokens, request ids and errors of every operation."""

import httpx
import pytest

from local.entra.service import Entra
from local.graph import service
from local.tenant.model import Cloud
from tests.support.asgi import client
from tests.support.graph_requests import ITEMS, RESPONDER, SEND, as_identity, error_code

# Every request builder of msgraph-sdk defines deprecated classes.
pytestmark = pytest.mark.filterwarnings("ignore:(This class|GetQueryParameters) is deprecated:DeprecationWarning")


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/v1.0/users/model-owner@contoso.com", "Authorization_RequestDenied"),
        ("GET", f"/v1.0/servicePrincipals/{RESPONDER}", "Authorization_RequestDenied"),
        ("POST", SEND, "ErrorAccessDenied"),
        ("GET", ITEMS, "accessDenied"),
    ],
)
async def test_each_operation_needs_its_role(
    cloud: Cloud, entra: Entra, method: str, path: str, expected: str
) -> None:
    async with as_identity(cloud, entra, "developer") as http:
        response = await http.request(method, path)
    assert (response.status_code, error_code(response)) == (403, expected)


@pytest.mark.parametrize("path", ["/v1.0/users/model-owner@contoso.com", ITEMS, "/v1.0/nosuch"])
async def test_request_without_a_token_learns_nothing(cloud: Cloud, entra: Entra, path: str) -> None:
    async with client(service.app(cloud, entra), "graph.microsoft.com") as http:
        response = await http.get(path)
    assert (response.status_code, error_code(response)) == (401, "InvalidAuthenticationToken")
    assert "www-authenticate" in response.headers


async def test_token_for_another_audience_is_refused(cloud: Cloud, entra: Entra) -> None:
    token = entra.mint(cloud.identities["responder"], audience="https://management.azure.com")
    async with client(service.app(cloud, entra), "graph.microsoft.com", token=token) as http:
        response = await http.get("/v1.0/users/model-owner@contoso.com")
    assert response.status_code == 401
    assert "audience" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1.0/security/incidents", 400),
        ("GET", "/beta/users/model-owner@contoso.com", 400),
        ("DELETE", "/v1.0/users/model-owner@contoso.com", 405),
        ("GET", SEND, 405),
        ("PUT", ITEMS, 405),
    ],
)
async def test_unsupported_operation_is_refused(raw: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    response = await raw.request(method, path)
    assert response.status_code == status


async def test_answers_carry_request_ids(raw: httpx.AsyncClient) -> None:
    found = await raw.get("/v1.0/users/model-owner@contoso.com", headers={"client-request-id": "mine"})
    missing = await raw.get("/v1.0/users/nobody@contoso.com")
    assert found.headers["client-request-id"] == "mine"
    assert missing.json()["error"]["innerError"]["request-id"] == missing.headers["request-id"]


@pytest.mark.parametrize("path", [SEND, ITEMS])
@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"{}", None, 400),
        (b"{}", "text/plain", 415),
        (b"[]", "application/json", 400),
        (b"{", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"message":' + b"[" * 5_000 + b"]" * 5_000 + b"}", "application/json", 400),
        (b'{"fields": {"Title": "\\ud800"}}', "application/json", 400),
    ],
)
async def test_body_must_be_a_json_object(
    raw: httpx.AsyncClient, path: str, content: bytes, content_type: str | None, status: int
) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    response = await raw.post(path, content=content, headers=headers)
    assert response.status_code == status
