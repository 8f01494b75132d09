"""The managed identity endpoint: used by azure-identity, and invalid requests."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import jwt
import pytest
import uvicorn
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ManagedIdentityCredential
from azure.identity.aio import ManagedIdentityCredential as AsyncManagedIdentityCredential

from local.entra import managed_identity
from local.entra.service import Entra
from local.tenant import identities
from local.tenant.model import API_ID_URI, CONSOLE_CLIENT_ID, TENANT_ID, Cloud
from tests.support.asgi import client

SECRET = "a-header-that-only-the-app-knows"
ARM = "https://management.azure.com"


@pytest.fixture(scope="module")
def cloud() -> Cloud:
    return Cloud(identities=identities.directory(), users=identities.users())


@pytest.fixture(scope="module")
def entra(cloud: Cloud) -> Entra:
    return Entra(cloud)


@pytest.fixture
def endpoint(cloud: Cloud, entra: Entra) -> httpx.AsyncClient:
    http = client(managed_identity.app(cloud, entra, secret=SECRET), "127.0.0.1")
    http.headers["x-identity-header"] = SECRET
    return http


@pytest.fixture
async def served(cloud: Cloud, entra: Entra, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """The endpoint on loopback, and the environment that App Service sets for it."""
    app = managed_identity.app(cloud, entra, secret=SECRET)
    config = uvicorn.Config(app, port=0, log_config=None, lifespan="off")
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    port = server.servers[0].sockets[0].getsockname()[1]
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{port}{managed_identity.PATH}")
    monkeypatch.setenv("IDENTITY_HEADER", SECRET)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield
    await server.shutdown()


async def test_async_credential_gets_a_token_of_the_default_identity(served: None, entra: Entra) -> None:
    async with AsyncManagedIdentityCredential() as credential:
        token = await credential.get_token(f"{ARM}/.default")
    assert entra.verify(token.token, audiences=[ARM]).name == "developer"


async def test_async_credential_gets_a_token_of_the_identity_it_names(
    served: None, entra: Entra, cloud: Cloud
) -> None:
    client_id = cloud.identities["responder"].client_id
    async with AsyncManagedIdentityCredential(client_id=client_id) as credential:
        token = await credential.get_token("https://storage.azure.com/.default")
    assert entra.verify(token.token, audiences=["https://storage.azure.com"]).name == "responder"
    assert token.expires_on - time.time() > 23 * 3600


async def test_sync_credential_works_too(served: None, entra: Entra, cloud: Cloud) -> None:
    client_id = cloud.identities["responder"].client_id

    def get() -> str:
        with ManagedIdentityCredential(client_id=client_id) as credential:
            return str(credential.get_token(f"{ARM}/.default").token)

    assert entra.verify(await asyncio.to_thread(get), audiences=[ARM]).name == "responder"


async def test_credential_reports_an_unknown_identity(served: None) -> None:
    async with AsyncManagedIdentityCredential(client_id="00000000-0000-0000-0000-000000000000") as credential:
        with pytest.raises(ClientAuthenticationError):
            await credential.get_token(f"{ARM}/.default")


async def test_answer_has_the_documented_members(endpoint: httpx.AsyncClient, cloud: Cloud) -> None:
    response = await endpoint.get(managed_identity.PATH, params={"resource": ARM, "api-version": "2019-08-01"})
    body = response.json()
    assert set(body) == {"access_token", "client_id", "expires_on", "resource", "token_type"}
    assert (body["resource"], body["token_type"]) == (ARM, "Bearer")
    assert body["client_id"] == cloud.identities["developer"].client_id
    assert int(body["expires_on"]) > time.time()


@pytest.mark.parametrize("resource", [ARM + "/", "https://robustmodels.blob.core.windows.net", API_ID_URI])
async def test_every_known_resource_has_tokens(endpoint: httpx.AsyncClient, entra: Entra, resource: str) -> None:
    response = await endpoint.get(managed_identity.PATH, params={"resource": resource, "api-version": "2019-08-01"})
    assert response.json()["resource"] == resource
    assert jwt.decode(response.json()["access_token"], options={"verify_signature": False})["roles"] == []


async def test_token_for_a_registration_has_the_version_that_it_asks_for(endpoint: httpx.AsyncClient) -> None:
    """learn.microsoft.com, "Access tokens in the Microsoft identity platform", token formats: the API decides."""
    query = {"resource": API_ID_URI, "api-version": "2019-08-01"}
    response = await endpoint.get(managed_identity.PATH, params=query)
    claims = jwt.decode(response.json()["access_token"], options={"verify_signature": False})

    assert (claims["ver"], claims["aud"]) == ("2.0", CONSOLE_CLIENT_ID)
    assert claims["iss"] == f"https://login.microsoftonline.com/{TENANT_ID}/v2.0"


async def test_resource_that_no_registration_has_is_refused_as_by_entra(endpoint: httpx.AsyncClient) -> None:
    query = {"resource": "api://sasquash", "api-version": "2019-08-01"}
    response = await endpoint.get(managed_identity.PATH, params=query)

    assert response.status_code == 400
    assert "AADSTS500011: The resource principal named api://sasquash" in response.json()["message"]


@pytest.mark.parametrize(
    "query",
    [
        {"api-version": "2019-08-01"},
        {"resource": "", "api-version": "2019-08-01"},
        {"resource": ARM},
        {"resource": ARM, "api-version": "2018-02-01"},
        {"resource": f"{ARM}/.default", "api-version": "2019-08-01"},
        {"resource": "https://unknown.example", "api-version": "2019-08-01"},
        {"resource": ARM, "api-version": "2019-08-01", "client_id": "nobody"},
        {"resource": ARM, "api-version": "2019-08-01", "mi_res_id": "/subscriptions/x"},
    ],
)
async def test_invalid_request_gets_no_token(endpoint: httpx.AsyncClient, query: dict[str, str]) -> None:
    response = await endpoint.get(managed_identity.PATH, params=query)
    assert (response.status_code, response.json()["statusCode"]) == (400, 400)


@pytest.mark.parametrize("header", [None, "", "wrong", "ünicode"])
async def test_header_is_required_for_a_token(cloud: Cloud, entra: Entra, header: str | None) -> None:
    headers: dict[bytes, bytes] = {} if header is None else {b"x-identity-header": header.encode()}
    query = {"resource": ARM, "api-version": "2019-08-01"}
    async with client(managed_identity.app(cloud, entra, secret=SECRET), "127.0.0.1") as http:
        response = await http.get(managed_identity.PATH, params=query, headers=headers)
    assert response.status_code == 401
    assert "access_token" not in response.json()


@pytest.mark.parametrize(("name", "status"), [("intake", 200), ("responder", 400)])
async def test_app_gets_tokens_of_its_assigned_identities_only(
    cloud: Cloud, entra: Entra, name: str, status: int
) -> None:
    query = {"resource": ARM, "api-version": "2019-08-01", "client_id": cloud.identities[name].client_id}
    served = managed_identity.app(cloud, entra, secret=SECRET, assigned=frozenset({"intake"}))
    async with client(served, "127.0.0.1") as http:
        response = await http.get(managed_identity.PATH, params=query, headers={"x-identity-header": SECRET})

    assert response.status_code == status
