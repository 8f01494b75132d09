"""Who calls: checks the access token of a request, which is the only thing that says so.

Source: learn.microsoft.com, "Access tokens in the Microsoft identity platform" (validate tokens) and "Access token
claims reference"; RFC 6750 for how it comes and how it is refused; RFC 8725 for what must not be believed. The
headers x-ms-client-principal* are never read: whoever reaches the app past App Service's own check can set them.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import jwt

from shared.api.auth.signing_keys import SigningKeys
from shared.domain.caller import Caller
from shared.errors import Unauthenticated
from shared.settings import Settings

_ALGORITHM = "RS256"
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_LONGEST_TOKEN = 16 * 1024
_LONGEST_NAME = 200
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SKEW = timedelta(seconds=30)  # by which Entra ID's clock may be ahead of ours
# A name that a person knows; an app has none of these.
_NAMES = ("upn", "preferred_username", "unique_name")
_APPS = ("appid", "azp")  # version 1 and 2; an ID token, which is no permit to call, has neither
# The claims are checked here, with the clock that was passed in.
_SIGNATURE_ONLY: Any = {
    f"verify_{claim}": claim == "signature"
    for claim in ("signature", "exp", "nbf", "iat", "aud", "iss", "sub", "jti")
}


class Role(StrEnum):
    """App roles of the registration."""

    READER = "Sasquash.Reader"
    RESPONDER = "Sasquash.Responder"
    APPROVER = "Sasquash.Approver"
    REPORTER = "Sasquash.Reporter"  # a program that reports leaks, and sees no records


class MissingToken(Unauthenticated):
    """There is no bearer token at all."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A caller whose token was good, and what they may do."""

    caller: Caller
    roles: frozenset[Role]


class AccessTokens:
    """Checks access tokens of the tenant in the settings, for the audiences in the settings."""

    def __init__(self, keys: SigningKeys, *, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._keys = keys
        self._tenant = settings.tenant_id
        self._issuers = [issuer.format(tenant=self._tenant) for issuer in settings.cloud.token_issuers]
        self._audiences = frozenset(settings.api_audiences)
        self._clock = clock
        self._authority = f"https://{settings.cloud.authority}/{self._tenant}"

    async def check(self, authorization: str | None) -> SignedIn:
        """Return whom the Authorization header speaks for.

        Raises Unauthenticated, with a message that is the same for every token that has this fault, and
        TransientFailure when the keys can't be had.
        """
        claims = await self._signed(_bearer(authorization))
        self._check_meant_for_us(claims)
        return _signed_in(claims)

    def challenge(self, error: Unauthenticated) -> str:
        """Return the WWW-Authenticate header (RFC 6750, section 3) that goes with `error`."""
        challenge = f'Bearer authorization_uri="{self._authority}"'
        if isinstance(error, MissingToken):
            return challenge
        return f'{challenge}, error="invalid_token", error_description="{error}"'

    async def _signed(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that Entra ID signed; nothing else is known of them yet."""
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError:
            raise _malformed() from None
        key = await self._keys.find(header.get("kid", ""))
        if key is None:
            raise Unauthenticated("The token is not signed by a key of Entra ID.")
        try:
            return jwt.decode(token, key, algorithms=[_ALGORITHM], options=_SIGNATURE_ONLY)
        except jwt.InvalidTokenError:  # without a cause: PyJWT's messages may quote the token
            raise Unauthenticated("The token's signature is wrong.") from None

    def _check_meant_for_us(self, claims: Mapping[str, Any]) -> None:
        now = self._clock().timestamp()
        audience = claims.get("aud")
        if claims.get("iss") not in self._issuers or claims.get("tid") != self._tenant:
            raise Unauthenticated("The token is from another tenant.")
        if not isinstance(audience, str) or audience.rstrip("/") not in self._audiences:
            raise Unauthenticated("The token is for another audience: none of SASQUASH_API_AUDIENCES.")
        if not _is_time(claims.get("exp")) or claims["exp"] <= now:
            raise Unauthenticated("The token has expired.")
        if not _is_time(claims.get("nbf")) or claims["nbf"] > now + _SKEW.total_seconds():
            raise Unauthenticated("The token is not valid yet.")


def _bearer(authorization: str | None) -> str:
    scheme, _, token = (authorization or "").strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise MissingToken("There is no access token: send Authorization: Bearer and a token of Entra ID.")
    token = token.strip()
    if len(token) > _LONGEST_TOKEN or not _TOKEN.fullmatch(token):
        raise _malformed()
    return token


def _malformed() -> Unauthenticated:
    return Unauthenticated("The token is malformed.")


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _signed_in(claims: Mapping[str, Any]) -> SignedIn:
    app = _first_text(claims, _APPS)
    if app is None:
        raise Unauthenticated("The token is no access token.")
    object_id = claims.get("oid")
    if not isinstance(object_id, str) or not _GUID.fullmatch(object_id.lower()):
        raise Unauthenticated("The token does not say who calls: it has no oid.")
    name = _first_text(claims, _NAMES) or app
    readable = "".join(character for character in name if character.isprintable())[:_LONGEST_NAME]
    return SignedIn(Caller(readable, object_id.lower()), _roles(claims.get("roles")))


def _first_text(claims: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    return next((claims[name] for name in names if isinstance(claims.get(name), str) and claims[name]), None)


def _roles(listed: object) -> frozenset[Role]:
    """Return those of our roles that are listed; others are another app's, or of a later version."""
    return frozenset(role for role in Role if role in listed) if isinstance(listed, list) else frozenset()
