"""Tokens: their claims, which are refused, and the discovery documents with which clients verify them."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.entra import service as entra_id
from local.entra.service import Entra, Forbidden, Reason, Unauthorized
from local.tenant import identities
from local.tenant.model import (
    API_ID_URI,
    AZURE_CLI,
    CONSOLE_CLIENT_ID,
    TENANT_DOMAIN,
    TENANT_ID,
    Cloud,
    Identity,
    Registration,
)
from tests.support.asgi import client

ARM = "https://management.azure.com"
LOGIN = "login.microsoftonline.com"
CLIENT_ID = CONSOLE_CLIENT_ID


@pytest.fixture(scope="module")
def cloud() -> Cloud:
    return Cloud(identities=identities.directory(), users=identities.users())


@pytest.fixture(scope="module")
def entra(cloud: Cloud) -> Entra:
    return Entra(cloud)


@pytest.fixture
def responder(cloud: Cloud) -> Identity:
    return cloud.identities["responder"]


@pytest.fixture
def login(cloud: Cloud, entra: Entra) -> httpx.AsyncClient:
    return client(entra_id.app(cloud, entra), LOGIN)


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


# Minting and verifying


def test_token_names_its_issuer_audience_and_principal(entra: Entra, responder: Identity) -> None:
    claims = claims_of(entra.mint(responder, audience=ARM))
    assert claims["iss"] == f"https://sts.windows.net/{TENANT_ID}/"
    assert (claims["aud"], claims["tid"], claims["ver"]) == (ARM, TENANT_ID, "1.0")
    assert (claims["oid"], claims["sub"], claims["appid"]) == (
        responder.object_id,
        responder.object_id,
        responder.client_id,
    )


def test_token_has_the_requested_lifetime(entra: Entra, responder: Identity) -> None:
    claims = claims_of(entra.mint(responder, audience=ARM, lifetime=timedelta(days=30)))
    assert claims["exp"] - claims["iat"] == timedelta(days=30).total_seconds()
    assert claims["nbf"] <= datetime.now(UTC).timestamp()


def test_app_token_has_no_user(entra: Entra, responder: Identity) -> None:
    claims = claims_of(entra.mint(responder, audience=ARM))
    assert claims["idtyp"] == "app"
    assert "upn" not in claims


def test_token_of_a_person_has_name_and_role(entra: Entra, cloud: Cloud) -> None:
    claims = claims_of(entra.mint(cloud.identities["approver"], audience=API_ID_URI))
    assert (claims["preferred_username"], claims["roles"]) == (f"approver@{TENANT_DOMAIN}", ["Sasquash.Approver"])
    assert "idtyp" not in claims


@pytest.mark.parametrize(("version", "asks"), [(1, True), (1, False), (2, True), (2, False)])
def test_app_token_has_idtyp_if_the_registration_asks_for_it_and_never_a_scope(
    entra: Entra, cloud: Cloud, version: int, *, asks: bool
) -> None:
    """entra-docs: optional-claims-reference (`idtyp`: "the resource in the request must set this optional claim", the

    value is "app"); access-token-claims-reference (`scp`: "only included for user tokens").
    """
    claims = frozenset({"idtyp"}) if asks else frozenset()
    other = Registration(
        "11111111-2222-4333-8444-555555555556",
        token_version=version,
        scopes=("user_impersonation",),
        optional_claims=claims,
    )
    cloud.registrations[other.client_id] = other
    of_app, of_person = (
        claims_of(entra.mint(cloud.identities[name], audience=other.client_id)) for name in ("reporter", "approver")
    )
    del cloud.registrations[other.client_id]

    assert (of_app.get("idtyp"), "scp" in of_app) == ("app" if asks else None, False)
    assert ("idtyp" in of_person, of_person["scp"]) == (False, "user_impersonation")


def test_version_2_token_is_for_the_client_id_whatever_name_was_asked_for(entra: Entra, cloud: Cloud) -> None:
    """entra-docs, access-token-claims-reference: aud "is always the client ID of the API"; azp instead of appid."""
    approver = cloud.identities["approver"]
    tokens = [claims_of(entra.mint(approver, audience=each, client=AZURE_CLI)) for each in (API_ID_URI, CLIENT_ID)]

    assert [(t["aud"], t["ver"], t["azp"]) for t in tokens] == [(CLIENT_ID, "2.0", AZURE_CLI)] * 2
    assert all(t["iss"] == f"https://{LOGIN}/{TENANT_ID}/v2.0" for t in tokens)
    assert tokens[0]["scp"] == "user_impersonation"
    assert not {"appid", "upn", "unique_name", "appidacr"} & set(tokens[0])


def test_registration_without_a_token_version_gets_version_1(entra: Entra, cloud: Cloud) -> None:
    """Microsoft Graph, apiApplication: requestedAccessTokenVersion null means 1."""
    other = Registration("11111111-2222-4333-8444-555555555555", identifier_uris=("api://other",))
    cloud.registrations[other.client_id] = other
    claims = claims_of(entra.mint(cloud.identities["approver"], audience="api://other", client=AZURE_CLI))
    del cloud.registrations[other.client_id]

    assert (claims["aud"], claims["ver"], claims["appid"]) == ("api://other", "1.0", AZURE_CLI)
    assert claims["iss"] == f"https://sts.windows.net/{TENANT_ID}/"


@pytest.mark.parametrize(
    ("audience", "roles"),
    [
        (
            "https://graph.microsoft.com/",
            [
                "Application.Read.All",
                "GroupMember.Read.All",
                "Mail.Send",
                "SecurityAlert.Create.All",
                "SecurityAlert.Read.All",
                "SecurityAlert.ReadWrite.All",
                "SecurityIncident.ReadWrite.All",
                "Sites.Selected",
                "User.ReadBasic.All",
            ],
        ),
        (API_ID_URI, []),
        (ARM, []),
    ],
)
def test_token_holds_the_roles_of_its_audience_alone(
    entra: Entra, responder: Identity, audience: str, roles: list[str]
) -> None:
    assert claims_of(entra.mint(responder, audience=audience))["roles"] == roles


def test_minted_token_is_verified_to_its_identity(entra: Entra, responder: Identity) -> None:
    assert entra.verify(entra.mint(responder, audience=ARM), audiences=[ARM]) is responder


@pytest.mark.parametrize(("minted", "asked"), [(ARM + "/", ARM), (ARM, ARM + "/")])
def test_trailing_slash_of_the_audience_is_ignored(
    entra: Entra, responder: Identity, minted: str, asked: str
) -> None:
    assert entra.verify(entra.mint(responder, audience=minted), audiences=[asked]) is responder


def reason_for(entra: Entra, token: str) -> Reason:
    with pytest.raises(Unauthorized) as caught:
        entra.verify(token, audiences=[ARM])
    return caught.value.reason


def test_token_for_another_audience_is_refused(entra: Entra, responder: Identity) -> None:
    assert reason_for(entra, entra.mint(responder, audience=ARM + ".evil")) is Reason.AUDIENCE


def test_expired_token_is_refused(entra: Entra, responder: Identity) -> None:
    token = entra.mint(responder, audience=ARM, lifetime=timedelta(seconds=-1))
    assert reason_for(entra, token) is Reason.EXPIRED


def test_token_of_another_key_is_refused(entra: Entra, cloud: Cloud, responder: Identity) -> None:
    assert reason_for(entra, Entra(cloud).mint(responder, audience=ARM)) is Reason.MALFORMED


def test_token_of_another_issuer_is_refused(cloud: Cloud, responder: Identity) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    entra = Entra(cloud, key=key)
    claims = claims_of(entra.mint(responder, audience=ARM)) | {"iss": "https://sts.windows.net/other/"}
    assert reason_for(entra, jwt.encode(claims, key, algorithm="RS256")) is Reason.MALFORMED


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat", "iss", "aud", "oid"])
def test_token_that_lacks_a_claim_is_refused(cloud: Cloud, responder: Identity, claim: str) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    entra = Entra(cloud, key=key)
    claims = claims_of(entra.mint(responder, audience=ARM))
    del claims[claim]
    assert reason_for(entra, jwt.encode(claims, key, algorithm="RS256")) is Reason.MALFORMED


@pytest.mark.parametrize("algorithm", ["HS256", "none"])
def test_token_of_another_algorithm_is_refused(entra: Entra, responder: Identity, algorithm: str) -> None:
    claims = claims_of(entra.mint(responder, audience=ARM))
    key = "0123456789abcdef0123456789abcdef" if algorithm == "HS256" else None
    assert reason_for(entra, jwt.encode(claims, key, algorithm=algorithm)) is Reason.MALFORMED


@pytest.mark.parametrize("token", ["", "x", "a.b.c"])
def test_malformed_token_is_refused(entra: Entra, token: str) -> None:
    assert reason_for(entra, token) is Reason.MALFORMED


def test_token_of_an_unknown_principal_is_refused(entra: Entra) -> None:
    stranger = Identity(name="stranger", object_id="nobody", client_id="nobody", rights=frozenset({"Mail.Send"}))
    assert reason_for(entra, entra.mint(stranger, audience=ARM)) is Reason.UNKNOWN_IDENTITY


def test_refusal_does_not_quote_the_token(
    entra: Entra, responder: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = entra.mint(responder, audience=ARM)
    with pytest.raises(Unauthorized) as caught:
        entra.verify(token[:-8] + "AAAAAAAA", audiences=[ARM])
    assert caught.value.__cause__ is None
    assert not any(part in str(caught.value) + caplog.text for part in token.split("."))


# Authorizing a request, as the stand-ins do


@pytest.fixture
def guarded(entra: Entra) -> Starlette:
    async def endpoint(request: Request) -> Response:
        identity = entra.authorize(request, audiences=[ARM], right="EventGrid/events/send")
        return JSONResponse({"name": identity.name})

    async def unauthorized(_request: Request, error: Exception) -> Response:
        assert isinstance(error, Unauthorized)
        return Response(status_code=401, headers={"www-authenticate": error.challenge})

    async def forbidden(_request: Request, error: Exception) -> Response:
        assert isinstance(error, Forbidden)
        return JSONResponse({"right": error.right}, status_code=403)

    return Starlette(
        routes=[Route("/", endpoint)], exception_handlers={Unauthorized: unauthorized, Forbidden: forbidden}
    )


async def ask(app: Starlette, authorization: str | None) -> httpx.Response:
    headers = {} if authorization is None else {"authorization": authorization}
    async with client(app, "service.example") as http:
        return await http.get("/", headers=headers)


async def test_bearer_token_with_the_right_passes(guarded: Starlette, entra: Entra, responder: Identity) -> None:
    response = await ask(guarded, f"bearer {entra.mint(responder, audience=ARM)}")
    assert response.json() == {"name": "responder"}


async def test_bearer_token_without_the_right_is_forbidden(guarded: Starlette, entra: Entra, cloud: Cloud) -> None:
    response = await ask(guarded, f"Bearer {entra.mint(cloud.identities['reader'], audience=ARM)}")
    assert (response.status_code, response.json()) == (403, {"right": "EventGrid/events/send"})


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer  ", "Basic dTpw"])
async def test_request_without_a_bearer_token_is_challenged(guarded: Starlette, authorization: str | None) -> None:
    response = await ask(guarded, authorization)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == f'Bearer authorization_uri="https://{LOGIN}/{TENANT_ID}"'


async def test_challenge_names_the_reason(guarded: Starlette) -> None:
    response = await ask(guarded, "Bearer a.b.c")
    assert 'error="invalid_token"' in response.headers["www-authenticate"]


# Discovery


@pytest.mark.parametrize("tenant", [TENANT_ID, TENANT_DOMAIN, TENANT_ID.upper()])
@pytest.mark.parametrize(
    ("document", "issuer"),
    [
        (".well-known/openid-configuration", f"https://sts.windows.net/{TENANT_ID}/"),
        ("v2.0/.well-known/openid-configuration", f"https://{LOGIN}/{TENANT_ID}/v2.0"),
    ],
)
async def test_discovery_names_the_issuer(login: httpx.AsyncClient, tenant: str, document: str, issuer: str) -> None:
    response = await login.get(f"/{tenant}/{document}")
    assert response.json()["issuer"] == issuer


@pytest.mark.parametrize("version", ["", "v2.0/"])
async def test_multi_tenant_authority_has_a_placeholder_issuer(login: httpx.AsyncClient, version: str) -> None:
    response = await login.get(f"/common/{version}.well-known/openid-configuration")
    assert "{tenantid}" in response.json()["issuer"]


@pytest.mark.parametrize("document", [".well-known/openid-configuration", "v2.0/.well-known/openid-configuration"])
async def test_token_can_be_verified_with_discovery_alone(
    login: httpx.AsyncClient, entra: Entra, responder: Identity, document: str
) -> None:
    token = entra.mint(responder, audience=ARM)
    configuration = (await login.get(f"/{TENANT_ID}/{document}")).json()
    keys = jwt.PyJWKSet.from_dict((await login.get(configuration["jwks_uri"])).json())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    assert jwt.decode(token, key, algorithms=["RS256"], audience=ARM)["oid"] == responder.object_id


async def test_published_keys_are_public(login: httpx.AsyncClient) -> None:
    (key,) = (await login.get(f"/{TENANT_ID}/discovery/v2.0/keys")).json()["keys"]
    assert set(key) == {"kty", "n", "e", "kid", "x5t", "use", "alg"}


@pytest.mark.parametrize(
    "path", [".well-known/openid-configuration", "v2.0/.well-known/openid-configuration", "discovery/keys"]
)
async def test_unknown_tenant_has_no_discovery(login: httpx.AsyncClient, path: str) -> None:
    response = await login.get(f"/fabrikam.com/{path}")
    assert (response.status_code, response.json()["error"]) == (400, "invalid_tenant")


async def test_instance_discovery_accepts_the_authority(login: httpx.AsyncClient) -> None:
    authorize = f"https://{LOGIN}/{TENANT_ID}/oauth2/v2.0/authorize"
    query = {"api-version": "1.1", "authorization_endpoint": authorize}
    response = await login.get("/common/discovery/instance", params=query)
    assert response.json()["metadata"][0]["preferred_network"] == LOGIN
    assert response.json()["tenant_discovery_endpoint"].startswith(f"https://{LOGIN}/{TENANT_ID}/")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"api-version": "1.1"}, "invalid_request"),
        ({"authorization_endpoint": f"https://{LOGIN}/common/oauth2"}, "invalid_request"),
        (
            {"api-version": "1.1", "authorization_endpoint": "https://login.example/common/oauth2"},
            "invalid_instance",
        ),
    ],
)
async def test_instance_discovery_refuses_other_authorities(
    login: httpx.AsyncClient, query: dict[str, str], expected: str
) -> None:
    response = await login.get("/common/discovery/instance", params=query)
    assert (response.status_code, response.json()["error"]) == (400, expected)


async def test_browsers_may_read_discovery(login: httpx.AsyncClient) -> None:
    response = await login.get(f"/{TENANT_ID}/discovery/keys", headers={"origin": "https://portal.azure.com"})
    assert response.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"grant_type": "client_credentials", "client_id": "x", "client_secret": "y"}, "unauthorized_client"),
        ({"client_id": "x"}, "invalid_request"),
        ({"grant_type": "client_credentials"}, "invalid_request"),
    ],
)
async def test_no_client_can_sign_in(login: httpx.AsyncClient, form: dict[str, str], expected: str) -> None:
    response = await login.post(f"/{TENANT_ID}/oauth2/v2.0/token", data=form)
    assert (response.status_code, response.json()["error"]) == (400, expected)


# The directory


def test_every_identity_is_found_by_its_own_name() -> None:
    directory = identities.directory()
    assert {name: identity.name for name, identity in directory.items()} == {name: name for name in directory}
    ids = {i.client_id for i in directory.values()} | {i.object_id for i in directory.values()}
    assert len(ids) == 2 * len(directory)


def test_developer_deploys_and_reads_data_of_every_account_and_nothing_of_graph() -> None:
    developer = identities.directory()["developer"]
    assert developer.may("Storage Blob Data Contributor@anyaccount")
    assert developer.may("Microsoft.Storage/storageAccounts/regenerateKey/action")
    assert developer.may("Microsoft.Authorization/roleAssignments/write")
    assert not developer.may("User.ReadBasic.All")


def test_responder_reaches_no_data_but_its_own() -> None:
    responder = identities.directory()["responder"]
    assert responder.may("Storage Table Data Contributor@sasquashstate")
    assert not responder.may("Storage Table Data Contributor@robustmodels")
    assert not responder.may("Storage Blob Data Reader@robustmodels")
    assert not responder.may("Microsoft.Storage/storageAccounts/delete")


def test_users_are_found_by_their_principal_name_in_lower_case() -> None:
    users = identities.users()
    assert all(name == user.user_principal_name.lower() for name, user in users.items())
    assert [user.user_principal_name for user in users.values() if not user.mail] == []
