"""Valid access tokens, and each way in which one is invalid."""

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from azure.core.exceptions import ServiceRequestError
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shared.api.auth.access_tokens import MissingToken, Role
from shared.domain.azure_clouds import CLOUDS
from shared.domain.caller import Caller
from shared.errors import TransientFailure, Unauthenticated
from tests.support.entra import (
    APP_ID,
    AUDIENCE,
    CLAIMS,
    NAME,
    OBJECT_ID,
    TENANT,
    KeyServer,
    access_tokens,
    signing_key,
    token,
)
from tests.support.samples import NOW

OTHER = "11111111-2222-4333-8444-555555555555"


def bearer(text: str) -> str:
    return f"Bearer {text}"


# Who it is


async def test_valid_token_names_caller_and_roles() -> None:
    who = await access_tokens().check(bearer(token(roles=["Sasquash.Reader", "Sasquash.Approver"])))

    assert who.caller == Caller(NAME, OBJECT_ID, is_person=True)
    assert who.roles == {Role.READER, Role.APPROVER}


VERSION_1: dict[str, Any] = {
    "iss": f"https://sts.windows.net/{TENANT}/",
    "ver": "1.0",
    "azp": None,
    "appid": APP_ID,
    "preferred_username": None,
    "upn": NAME,
}


@pytest.mark.parametrize("audience", [AUDIENCE, f"api://{AUDIENCE}", f"api://{AUDIENCE}/"])
async def test_token_of_version_1_is_valid_for_the_client_id_and_the_id_uri(audience: str) -> None:
    """entra-docs, access-token-claims-reference: aud is "the client ID or the resource URI used in the request"."""
    text = token(**VERSION_1, aud=audience)

    assert (await access_tokens().check(bearer(text))).caller == Caller(NAME, OBJECT_ID, is_person=True)


@pytest.mark.parametrize("version", [{}, VERSION_1], ids=["version 2", "version 1"])
@pytest.mark.parametrize(
    ("claims", "is_person"),
    [
        ({}, True),
        ({"idtyp": "user"}, True),  # additional property include_user_token
        ({"idtyp": "app"}, False),
        ({"idtyp": "device"}, False),
        ({"idtyp": "App"}, False),
        ({"idtyp": ["user"]}, False),
        ({"scp": None}, False),
        ({"scp": ""}, False),
        ({"scp": ["user_impersonation"]}, False),
        ({"scp": None, "idtyp": "user"}, False),
        ({"scp": None, "idtyp": "app"}, False),
    ],
)
async def test_only_a_token_of_a_signed_in_user_is_a_person_s(
    claims: dict[str, Any], version: dict[str, Any], *, is_person: bool
) -> None:
    """entra-docs, access-token-claims-reference: `scp` is "only included for user tokens".

    optional-claims-reference: `idtyp` is "special: only in app-only access tokens", and "the value is `app` when the
    token is an app-only token"; the types of tokens are "app, user, device".
    """
    who = await access_tokens().check(bearer(token(**version | claims)))

    assert who.caller.is_person is is_person


async def test_one_user_has_one_object_id_in_both_versions() -> None:
    """The same: "Two different applications signing in the same user receive the same value in the `oid` claim"."""
    tokens = access_tokens()
    callers = [(await tokens.check(bearer(token(**version)))).caller for version in ({}, VERSION_1)]

    assert callers[0].object_id == callers[1].object_id


@pytest.mark.parametrize("cloud", list(CLOUDS))
async def test_issuers_are_those_of_the_cloud(cloud: str) -> None:
    tokens = access_tokens(cloud=cloud)

    for issuer in CLOUDS[cloud].token_issuers:  # type: ignore[index]
        version = {} if issuer.endswith("/v2.0") else VERSION_1
        await tokens.check(bearer(token(**version | {"iss": issuer.format(tenant=TENANT)})))
    foreign = {issuer for name, other in CLOUDS.items() if name != cloud for issuer in other.token_issuers}
    for issuer in foreign - set(CLOUDS[cloud].token_issuers):  # type: ignore[index]
        with pytest.raises(Unauthenticated):
            await tokens.check(bearer(token(iss=issuer.format(tenant=TENANT))))


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"upn": "second@contoso.com", "unique_name": "third@contoso.com"}, NAME),
        ({"preferred_username": None, "upn": "second@contoso.com"}, "second@contoso.com"),
        ({"preferred_username": "", "unique_name": "third@contoso.com"}, APP_ID),  # a claim of version 1
        (VERSION_1 | {"upn": "", "unique_name": "third@contoso.com"}, "third@contoso.com"),
        ({"preferred_username": ["a"]}, APP_ID),
        ({"preferred_username": None}, APP_ID),
        ({"preferred_username": "a\n\x1b[31m\u202eda"}, "a[31mda"),
        ({"preferred_username": "a" * 300}, "a" * 200),
    ],
)
async def test_caller_has_a_printable_name(claims: dict[str, object], name: str) -> None:
    assert (await access_tokens().check(bearer(token(**claims)))).caller.name == name


@pytest.mark.parametrize(
    "roles",
    [None, [], "Sasquash.Approver", {"Sasquash.Approver": 1}, ["sasquash.approver"], ["Other.Role", 1, None, ["x"]]],
)
async def test_unknown_roles_are_ignored(roles: object) -> None:
    assert (await access_tokens().check(bearer(token(roles=roles)))).roles == frozenset()


@pytest.mark.parametrize("audience", [AUDIENCE, OTHER])
async def test_token_for_any_configured_audience_is_valid(audience: str) -> None:
    tokens = access_tokens(api_audiences=f"{AUDIENCE},{OTHER}")

    await tokens.check(bearer(token(aud=audience)))


@pytest.mark.parametrize("header", ["bearer {}", "BEARER {}", "Bearer   {}  "])
async def test_scheme_is_case_insensitive(header: str) -> None:
    await access_tokens().check(header.format(token()))


async def test_small_clock_skew_is_accepted() -> None:
    await access_tokens().check(bearer(token(nbf=int(NOW.timestamp()) + 20)))


# Who it is not


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", f"Token {'a.b.c'}"])
async def test_missing_bearer_token_is_refused(header: str | None) -> None:
    with pytest.raises(MissingToken):
        await access_tokens().check(header)


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def unsigned(algorithm: str) -> str:
    return f"{encoded({'alg': algorithm, 'typ': 'JWT', 'kid': 'first'})}.{encoded(CLAIMS)}."


def signed_with_the_public_key_as_a_secret() -> str:
    secret = signing_key("first").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    text = f"{encoded({'alg': 'HS256', 'typ': 'JWT', 'kid': 'first'})}.{encoded(CLAIMS)}"
    signature = hmac.new(secret, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def altered() -> str:
    header, _, signature = token(roles=["Sasquash.Reader"]).split(".")
    return f"{header}.{encoded(CLAIMS | {'roles': ['Sasquash.Approver']})}.{signature}"


def with_header(**header: Any) -> str:
    return jwt.encode(CLAIMS, signing_key("first"), algorithm=header.pop("alg", "RS256"), headers=header)


def bringing_its_own_key() -> str:
    own = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(signing_key("foreign").public_key()))
    return jwt.encode(CLAIMS, signing_key("foreign"), algorithm="RS256", headers={"kid": "first", "jwk": own})


FORGED = {
    "no signature": unsigned("none"),
    "no signature, in other words": unsigned("nOnE"),
    "RS256 in name only": unsigned("RS256") + "AAAA",
    "HS256 with the public key": signed_with_the_public_key_as_a_secret,
    "another algorithm": lambda: with_header(alg="RS512", kid="first"),
    "another padding": lambda: with_header(alg="PS256", kid="first"),
    "altered": altered,
    "a foreign key under a known id": lambda: token(signed_by="foreign", key_id="first"),
    "a key of its own": bringing_its_own_key,
    "an unknown key": lambda: token(signed_by="foreign"),
    "no key id": with_header,
    "no token": "abc",
    "four parts": "a.b.c.d",
    "not base64": "!!.!!.!!",
    "not JSON": "YWJj.YWJj.YWJj",
    "a deep header": f"{base64.urlsafe_b64encode(b'[' * 11000).decode().rstrip('=')}.YQ.YQ",
    "too long": lambda: token(padding="a" * 20000),
    "two tokens": lambda: f"{token()},Bearer {token()}",
}
MISDIRECTED: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": f"https://login.microsoftonline.com/{OTHER}/v2.0"},
    "the issuer of version 1": {"iss": f"https://sts.windows.net/{TENANT}/"},
    "an id URI, which no token of version 2 has": {"aud": f"api://{AUDIENCE}"},
    "version 1 with the issuer of version 2": VERSION_1 | {"iss": CLAIMS["iss"]},
    "an unknown version": {"ver": "3.0"},
    "no version": {"without": "ver"},
    "an issuer of another cloud": {"iss": f"https://login.microsoftonline.us/{TENANT}/v2.0"},
    "an issuer that only begins right": {"iss": f"https://login.microsoftonline.com/{TENANT}/v2.0/evil"},
    "no issuer": {"without": "iss"},
    "another tenant": {"tid": OTHER},
    "no tenant": {"without": "tid"},
    "another audience": {"aud": "https://graph.microsoft.com"},
    "an audience that only begins right": {"aud": f"{AUDIENCE}-test"},
    "several audiences": {"aud": [AUDIENCE, "https://graph.microsoft.com"]},
    "no audience": {"without": "aud"},
    "expired": {"exp": int(NOW.timestamp()) - 1},
    "expired just now": {"exp": int(NOW.timestamp())},
    "no end": {"without": "exp"},
    "an end of another kind": {"exp": "2099-01-01"},
    "an end that is no number": {"exp": True},
    "an end that is not a number (NaN)": {"exp": float("nan")},
    "no end ever (Infinity)": {"exp": float("inf")},
    "not valid yet": {"nbf": int(NOW.timestamp()) + 31},
    "no beginning": {"without": "nbf"},
    "a beginning that is no number": {"nbf": True},
    "no object id": {"without": "oid"},
    "an object id of another kind": {"oid": 7},
    "an object id that is none": {"oid": "admin"},
    "an ID token": {"without": "azp"},
    "an ID token of version 1": VERSION_1 | {"appid": None},
}
BAD = FORGED | {name: (lambda changed=changed: token(**changed)) for name, changed in MISDIRECTED.items()}


@pytest.mark.parametrize("name", BAD)
async def test_invalid_token_is_refused_and_not_quoted(name: str) -> None:
    made = BAD[name]
    text = made() if callable(made) else made

    with pytest.raises(Unauthenticated) as refused:
        await access_tokens().check(bearer(text))

    assert not isinstance(refused.value, MissingToken)
    assert all(part not in str(refused.value) for part in text.split(".") if len(part) > 3)
    assert refused.value.__cause__ is None


async def test_no_token_is_valid_without_configured_audiences() -> None:
    with pytest.raises(Unauthenticated, match="SASQUASH_API_AUDIENCES"):
        await access_tokens(api_audiences="").check(bearer(token()))


async def test_unavailable_keys_are_a_transient_failure() -> None:
    server = KeyServer()
    server.fails = ServiceRequestError("no way")

    with pytest.raises(TransientFailure):
        await access_tokens(server).check(bearer(token()))


# Challenges


def test_challenge_without_a_token_has_no_error() -> None:
    assert access_tokens().challenge(MissingToken("none")) == (
        f'Bearer authorization_uri="https://login.microsoftonline.com/{TENANT}"'
    )


def test_challenge_for_an_invalid_token_has_the_error() -> None:
    assert access_tokens().challenge(Unauthenticated("The token has expired.")) == (
        f'Bearer authorization_uri="https://login.microsoftonline.com/{TENANT}", error="invalid_token", '
        'error_description="The token has expired."'
    )
