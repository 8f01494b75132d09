"""Validates the access token of a request, the only source of the caller's identity.

Source: learn.microsoft.com, "Access tokens in the Microsoft identity platform" (token formats, validate tokens) and
"Access token claims reference" (MicrosoftDocs/entra-docs, access-token-claims-reference.md). The registration asks
for version 2 and for the optional claim `idtyp` (scripts/create-registration.sh); one that does not gets version 1,
and both are read. RFC 6750 for the header and the challenge; RFC 8725 for what must not be trusted. The headers
x-ms-client-principal* are never read: a client that bypasses App Service's own authentication can set them.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import jwt

from shared.api.auth.signing_keys import SigningKeys
from shared.domain.caller import Caller
from shared.domain.guid import is_guid
from shared.errors import Unauthenticated
from shared.intake_settings import IntakeSettings
from shared.settings import Settings

_ALGORITHM = "RS256"
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_LONGEST_TOKEN = 16 * 1024
_LONGEST_NAME = 200
_SKEW = timedelta(seconds=30)  # how far Entra ID's clock may be ahead of ours
# The claims are checked here, with the clock that was passed in.
_SIGNATURE_ONLY: Any = {
    f"verify_{claim}": claim == "signature"
    for claim in ("signature", "exp", "nbf", "iat", "aud", "iss", "sub", "jti")
}


@dataclass(frozen=True, slots=True)
class _Format:
    """The claims of one version of tokens. `app`: the client that asked, which an ID token does not name.

    `names`: names of people, the best first; an app has none of them.
    """

    app: str
    names: tuple[str, ...]


_FORMATS = {
    "1.0": _Format("appid", ("upn", "unique_name")),
    "2.0": _Format("azp", ("preferred_username", "upn")),  # upn only where the registration asks for it
}


class Role(StrEnum):
    """App roles of the registration."""

    READER = "Sasquash.Reader"
    RESPONDER = "Sasquash.Responder"
    APPROVER = "Sasquash.Approver"
    REPORTER = "Sasquash.Reporter"  # a program that reports leaks and reads no records


class MissingToken(Unauthenticated):
    """The request has no bearer token."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A caller with a valid token, and their roles."""

    caller: Caller
    roles: frozenset[Role]


class AccessTokens:
    """Validates access tokens of the tenant and the audiences in the settings."""

    def __init__(
        self, keys: SigningKeys, *, settings: Settings | IntakeSettings, clock: Callable[[], datetime]
    ) -> None:
        self._keys = keys
        self._tenant = settings.tenant_id
        self._issuers = [issuer.format(tenant=self._tenant) for issuer in settings.cloud.token_issuers]
        self._audiences = frozenset(settings.api_audiences)
        self._clock = clock
        self._authority = f"https://{settings.cloud.authority}/{self._tenant}"

    async def check(self, authorization: str | None) -> SignedIn:
        """Return the caller whose token is in the Authorization header.

        Raises Unauthenticated, with the same message for every token that has this fault, and TransientFailure when
        the signing keys can't be fetched.
        """
        claims = await self._signed(_bearer(authorization))
        version = _FORMATS.get(str(claims.get("ver")))
        if version is None:
            raise Unauthenticated("The token is of an unknown version.")
        self._check_claims(claims)
        return _signed_in(claims, version)

    def challenge(self, error: Unauthenticated) -> str:
        """Return the WWW-Authenticate header for `error` (RFC 6750, section 3)."""
        challenge = f'Bearer authorization_uri="{self._authority}"'
        if isinstance(error, MissingToken):
            return challenge
        return f'{challenge}, error="invalid_token", error_description="{error}"'

    async def _signed(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that Entra ID signed. They are not checked yet."""
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError:
            raise _malformed() from None
        key = await self._keys.find(header.get("kid", ""))
        if key is None:
            raise Unauthenticated("The token is not signed by a key of Entra ID.")
        try:
            return jwt.decode(token, key, algorithms=[_ALGORITHM], options=_SIGNATURE_ONLY)
        except jwt.InvalidTokenError:  # without a cause: PyJWT's messages may contain the token
            raise Unauthenticated("The token's signature is invalid.") from None

    def _check_claims(self, claims: Mapping[str, Any]) -> None:
        now = self._clock().timestamp()
        audience = claims.get("aud")
        issuer = claims.get("iss")
        if issuer not in self._issuers or claims.get("tid") != self._tenant:
            raise Unauthenticated("The token is from another tenant.")
        if not isinstance(audience, str) or not self._is_for_us(audience, version=str(claims["ver"])):
            raise Unauthenticated("The token is for another audience: none of SASQUASH_API_AUDIENCES.")
        if str(issuer).endswith("/v2.0") != (claims["ver"] == "2.0"):
            raise Unauthenticated("The token's version is not that of its issuer.")
        if not _is_time(claims.get("exp")) or not claims["exp"] > now:
            raise Unauthenticated("The token has expired.")
        if not _is_time(claims.get("nbf")) or not claims["nbf"] <= now + _SKEW.total_seconds():
            raise Unauthenticated("The token is not valid yet.")

    def _is_for_us(self, audience: str, *, version: str) -> bool:
        """Whether the audience is one of ours. In version 2 it is always the client id, and never an id URI."""
        return audience.rstrip("/") in self._audiences and (version == "1.0" or "://" not in audience)


def _bearer(authorization: str | None) -> str:
    scheme, _, token = (authorization or "").strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise MissingToken("There is no access token: send Authorization: Bearer with an Entra ID access token.")
    token = token.strip()
    if len(token) > _LONGEST_TOKEN or not _TOKEN.fullmatch(token):
        raise _malformed()
    return token


def _malformed() -> Unauthenticated:
    return Unauthenticated("The token is malformed.")


def _is_time(value: object) -> bool:
    """Whether it is a number of seconds. Python reads NaN and Infinity as JSON, too (RFC 7519: NumericDate)."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _signed_in(claims: Mapping[str, Any], version: _Format) -> SignedIn:
    app = _first_text(claims, (version.app,))
    if app is None:
        raise Unauthenticated("The token is not an access token.")
    object_id = claims.get("oid")
    if not is_guid(object_id):
        raise Unauthenticated("The token does not identify the caller: it has no oid.")
    name = _first_text(claims, version.names) or app
    readable = "".join(character for character in name if character.isprintable())[:_LONGEST_NAME]
    caller = Caller(readable, object_id.lower(), is_person=_is_of_a_person(claims))
    return SignedIn(caller, _roles(claims.get("roles")))


def _is_of_a_person(claims: Mapping[str, Any]) -> bool:
    """Whether a signed-in user is behind the token.

    "Access token claims reference": `scp` is "only included for user tokens". "Optional claims reference": `idtyp` is
    "app" in an app-only token, and in those of users it is missing, or "user" where the registration asks for that.
    """
    return _first_text(claims, ("scp",)) is not None and claims.get("idtyp") in (None, "user")


def _first_text(claims: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    return next((claims[name] for name in names if isinstance(claims.get(name), str) and claims[name]), None)


def _roles(listed: object) -> frozenset[Role]:
    """Return the listed roles that are ours; others belong to another app, or to a later version."""
    return frozenset(role for role in Role if role in listed) if isinstance(listed, list) else frozenset()
