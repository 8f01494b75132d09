"""People sign in to the Azure CLI and to the console: which tokens a client gets, and what is refused as by Entra."""

import base64
import hashlib
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import jwt
import pytest

from local.entra import service as entra_id
from local.entra.service import Entra
from local.tenant import identities
from local.tenant.model import API_ID_URI, AZURE_CLI, CONSOLE_CLIENT_ID, TENANT_ID, Cloud
from tests.support.asgi import client

OAUTH = f"/{TENANT_ID}/oauth2/v2.0"
VERIFIER = "a" * 43
REDIRECTS = {AZURE_CLI: "http://localhost:8400", CONSOLE_CLIENT_ID: "http://localhost:7071/api/desk"}


@pytest.fixture
def cloud() -> Cloud:
    return Cloud(identities=identities.directory(), users=identities.users())


@pytest.fixture(scope="module")
def signer() -> Entra:
    return Entra(Cloud())


@pytest.fixture
def login(cloud: Cloud, signer: Entra) -> httpx.AsyncClient:
    return client(entra_id.app(cloud, Entra(cloud, key=signer._key)), "login.microsoftonline.com")


def asked(client_id: str, scope: str, **changed: str) -> dict[str, str]:
    """The query of a request for a code."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
    return {
        "client_id": client_id,
        "redirect_uri": REDIRECTS[client_id],
        "response_type": "code",
        "response_mode": "query",
        "scope": f"{scope} openid profile offline_access",
        "state": "state",
        "nonce": "nonce",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "pick": "approver",
    } | changed


async def signed_in(login: httpx.AsyncClient, client_id: str, scope: str) -> httpx.Response:
    """Sign the approver in; return the response of the token endpoint."""
    redirect = await login.get(f"{OAUTH}/authorize", params=asked(client_id, scope))
    assert redirect.status_code == 302, redirect.text
    code = dict(parse_qsl(urlsplit(redirect.headers["location"]).query))["code"]
    form = {"grant_type": "authorization_code", "client_id": client_id, "code": code, "code_verifier": VERIFIER}
    return await login.post(f"{OAUTH}/token", data=form)


async def refreshed(login: httpx.AsyncClient, client_id: str, token: str, **form: str) -> httpx.Response:
    data = {"grant_type": "refresh_token", "client_id": client_id, "refresh_token": token} | form
    return await login.post(f"{OAUTH}/token", data=data)


def claims_of(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    claims: dict[str, Any] = jwt.decode(response.json()["access_token"], options={"verify_signature": False})
    return claims


def refusal(response: httpx.Response) -> tuple[str, int]:
    assert response.status_code == 400
    return response.json()["error"], response.json()["error_codes"][0]


async def test_azure_cli_gets_a_token_for_the_api_of_a_pre_authorizing_registration(login: httpx.AsyncClient) -> None:
    first = await signed_in(login, AZURE_CLI, "https://management.core.windows.net//.default")
    response = await refreshed(login, AZURE_CLI, first.json()["refresh_token"], scope=f"{API_ID_URI}/.default")
    claims = claims_of(response)

    assert (claims["aud"], claims["azp"], claims["roles"]) == (CONSOLE_CLIENT_ID, AZURE_CLI, ["Sasquash.Approver"])
    assert f"{API_ID_URI}/user_impersonation" in response.json()["scope"].split()


async def test_azure_cli_without_pre_authorization_lacks_consent(login: httpx.AsyncClient, cloud: Cloud) -> None:
    """Azure/azure-cli#15056 quotes the response."""
    ours = cloud.registrations[CONSOLE_CLIENT_ID]
    cloud.registrations[CONSOLE_CLIENT_ID] = replace(ours, pre_authorized=frozenset())
    response = await signed_in(login, AZURE_CLI, f"{API_ID_URI}/.default")

    assert refusal(response) == ("invalid_grant", 65001)
    assert response.json()["suberror"] == "consent_required"
    assert "named 'Microsoft Azure CLI'" in response.json()["error_description"]


async def test_registration_without_a_scope_gives_no_client_a_token(login: httpx.AsyncClient, cloud: Cloud) -> None:
    cloud.registrations[CONSOLE_CLIENT_ID] = replace(cloud.registrations[CONSOLE_CLIENT_ID], scopes=())

    assert refusal(await signed_in(login, AZURE_CLI, f"{API_ID_URI}/.default")) == ("invalid_grant", 65001)


async def test_resource_that_is_no_identifier_of_a_registration_is_not_found(login: httpx.AsyncClient) -> None:
    assert refusal(await signed_in(login, AZURE_CLI, "api://sasquash/.default")) == ("invalid_resource", 500011)


async def test_scope_that_the_api_does_not_expose_is_refused(login: httpx.AsyncClient) -> None:
    assert refusal(await signed_in(login, AZURE_CLI, f"{API_ID_URI}/Read.All")) == ("invalid_client", 650053)


async def test_console_gets_a_token_for_itself_by_its_client_id(login: httpx.AsyncClient) -> None:
    claims = claims_of(await signed_in(login, CONSOLE_CLIENT_ID, f"{CONSOLE_CLIENT_ID}/.default"))

    assert (claims["aud"], claims["azp"], claims["ver"]) == (CONSOLE_CLIENT_ID, CONSOLE_CLIENT_ID, "2.0")


async def test_refresh_without_a_scope_is_a_request_for_itself(login: httpx.AsyncClient) -> None:
    """AzureAD/microsoft-authentication-library-for-js#5198: "no scope form parameter on refresh"."""
    first = await signed_in(login, CONSOLE_CLIENT_ID, f"{CONSOLE_CLIENT_ID}/.default")
    response = await refreshed(login, CONSOLE_CLIENT_ID, first.json()["refresh_token"])

    assert refusal(response) == ("invalid_request", 90009)


async def test_console_has_no_consent_for_azure(login: httpx.AsyncClient) -> None:
    response = await signed_in(login, CONSOLE_CLIENT_ID, "https://management.azure.com/.default")

    assert refusal(response) == ("invalid_grant", 65001)


async def test_refresh_token_of_another_client_is_refused(login: httpx.AsyncClient) -> None:
    first = await signed_in(login, CONSOLE_CLIENT_ID, f"{CONSOLE_CLIENT_ID}/.default")
    response = await refreshed(login, AZURE_CLI, first.json()["refresh_token"], scope=f"{API_ID_URI}/.default")

    assert refusal(response) == ("invalid_grant", 70000)


@pytest.mark.parametrize(
    ("client_id", "redirect"),
    [
        (AZURE_CLI, "https://evil.example"),
        (AZURE_CLI, "http://localhost:7071/api/desk"),
        (CONSOLE_CLIENT_ID, "http://localhost:8400"),
    ],
)
async def test_redirect_of_another_client_is_refused(login: httpx.AsyncClient, client_id: str, redirect: str) -> None:
    query = asked(client_id, f"{API_ID_URI}/.default", redirect_uri=redirect)
    response = await login.get(f"{OAUTH}/authorize", params=query)

    assert (response.status_code, "AADSTS50011" in response.text) == (400, True)


async def device(login: httpx.AsyncClient) -> dict[str, Any]:
    """Ask for a device code as `az login --use-device-code` does."""
    form = {"client_id": AZURE_CLI, "scope": "https://management.core.windows.net//.default offline_access openid"}
    answer: dict[str, Any] = (await login.post("/organizations/oauth2/v2.0/devicecode", data=form)).json()
    return answer


async def polled(login: httpx.AsyncClient, code: str) -> httpx.Response:
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "client_id": AZURE_CLI, "device_code": code}
    return await login.post(f"{OAUTH}/token", data=form)


async def test_device_is_signed_in_once_a_person_entered_its_code(login: httpx.AsyncClient) -> None:
    asked = await device(login)
    pending = await polled(login, asked["device_code"])
    page = urlsplit(asked["verification_uri"]).path
    await login.get(page, params={"user_code": asked["user_code"], "pick": "approver"})
    signed = await polled(login, asked["device_code"])

    assert refusal(pending) == ("authorization_pending", 70016)
    assert claims_of(signed)["upn"].startswith("approver@")
    assert refusal(await polled(login, asked["device_code"])) == ("bad_verification_code", 70019)


async def test_unknown_device_code_signs_nobody_in(login: httpx.AsyncClient) -> None:
    answer = await login.get("/common/oauth2/deviceauth", params={"user_code": "0000", "pick": "approver"})

    assert answer.status_code == 400
