"""Access tokens of the tenant: mints and verifies them.

RS256 JSON Web Tokens (RFC 7519). The resource decides on the version (learn.microsoft.com, "Access tokens in the
Microsoft identity platform", token formats): Azure's own have 1.0, a registration that of its
`requestedAccessTokenVersion`. The claims are those of "Access token claims reference": `scp` is "only included for
user tokens". "Optional claims reference": `idtyp` is "special: only in app-only access tokens", with the value "app",
and "the resource in the request must set this optional claim"; Azure's own resources do. The stand-ins call
`Entra.authorize`, and turn its two exceptions into a 401 and a 403 of their own shape.
"""

import json
import re
import time
import uuid
from collections.abc import Iterable
from datetime import timedelta
from enum import StrEnum
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from starlette.requests import Request

from local.tenant.model import AZURE_CLI, TENANT_ID, Cloud, Identity, Registration, User
from local.tenant.model.registration import GRAPH_SCOPES_OF_AZURE_CLI

AUTHORITY = "https://login.microsoftonline.com"
ISSUER = f"https://sts.windows.net/{TENANT_ID}/"
ISSUER_V2 = f"{AUTHORITY}/{TENANT_ID}/v2.0"

ARM = "https://management.azure.com"
ARM_CLASSIC = "https://management.core.windows.net"  # requested by the Azure CLI; ARM accepts both
GRAPH = "https://graph.microsoft.com"
STORAGE = "https://storage.azure.com"
EVENT_GRID = "https://eventgrid.azure.net"
MONITOR = "https://monitor.azure.com"
AZURE_DEVOPS = "499b84ac-1321-427f-aa17-267ca6975798"

_RESOURCES = frozenset(
    {
        ARM,
        ARM_CLASSIC,
        GRAPH,
        STORAGE,
        EVENT_GRID,
        MONITOR,
        AZURE_DEVOPS,
        "https://vault.azure.net",
        "https://api.loganalytics.io",
    }
)
_STORAGE_ENDPOINT = re.compile(r"https://[a-z0-9]{3,24}\.(blob|queue|table|file|dfs)\.core\.windows\.net")


class Reason(StrEnum):
    """Why a token is refused. The value is safe to show: it contains no part of the token."""

    MISSING = "the Authorization header has no bearer token"
    MALFORMED = "the token is not one that this tenant issued"
    EXPIRED = "the token has expired or is not valid yet"
    AUDIENCE = "the token is for another audience"
    UNKNOWN_IDENTITY = "the token's principal is not in the directory"


class Unauthorized(Exception):
    """No valid token. The service answers 401 in its own shape, with `challenge` as WWW-Authenticate."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason

    @property
    def challenge(self) -> str:
        """The WWW-Authenticate header (RFC 6750 section 3) as sent by Azure's services."""
        challenge = f'Bearer authorization_uri="{AUTHORITY}/{TENANT_ID}"'
        if self.reason is Reason.MISSING:
            return challenge
        return f'{challenge}, error="invalid_token", error_description="{self.reason.value}"'


class Forbidden(Exception):
    """A valid token whose principal lacks a right. The service answers 403 in its own shape."""

    def __init__(self, identity: Identity, right: str) -> None:
        super().__init__(f"{identity.name} lacks the right {right}")
        self.identity = identity
        self.right = right


class Entra:
    """The token service of the tenant. It has one signing key for its lifetime.

    `key`: an RSA key to sign with; None: a new one (about 0.1 s).
    """

    def __init__(self, cloud: Cloud, *, key: rsa.RSAPrivateKey | None = None) -> None:
        self._cloud = cloud
        self._key = key or rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._key_id = uuid.uuid4().hex

    def mint(
        self,
        identity: Identity,
        *,
        audience: str,
        client: str | None = None,
        lifetime: timedelta = timedelta(hours=1),
        scopes: Iterable[str] = (),
    ) -> str:
        """Return an access token for `identity` and `audience` (a resource as the client sent it).

        `client`: the client id of the application that asks; None: the identity itself. `scopes`: of Microsoft Graph,
        that the client got consent for; the Azure CLI always has its own.
        """
        registration = self.registration(audience)
        issued = int(time.time())
        claims: dict[str, Any] = {
            "iat": issued,
            "nbf": issued,
            "exp": issued + int(lifetime.total_seconds()),
            "oid": identity.object_id,
            "sub": identity.object_id,
            "tid": TENANT_ID,
            "roles": _roles(identity, audience, of_sasquash=registration is not None),
            "uti": uuid.uuid4().hex,
        }
        person = next((u for u in self._cloud.users.values() if u.object_id == identity.object_id), None)
        if registration is not None and registration.token_version == 2:
            claims |= _version_2(registration, person, client=client or identity.client_id)
            headers = {"kid": self._key_id}
        else:
            claims |= _version_1(audience, person, client=client or identity.client_id, scopes=" ".join(scopes))
            headers = {"kid": self._key_id, "x5t": self._key_id}
        if person is None and (registration is None or "idtyp" in registration.optional_claims):
            claims["idtyp"] = "app"
        return jwt.encode(claims, self._key, algorithm="RS256", headers=headers)

    def registration(self, resource: str) -> Registration | None:
        """Return the app registration that `resource` names, None if it names none."""
        known = (*self._cloud.registrations.values(), *self._cloud.directory.registrations())
        return next((each for each in known if each.is_named(resource)), None)

    def knows(self, resource: str) -> bool:
        """Return whether the tenant issues tokens for this resource."""
        name = resource.rstrip("/").lower()
        is_azure = name in _RESOURCES or _STORAGE_ENDPOINT.fullmatch(name) is not None
        return is_azure or self.registration(resource) is not None

    def mint_id_token(self, identity: Identity, *, client_id: str, nonce: str | None) -> str:
        """Return an ID token (OpenID Connect Core 1.0 section 2, version 2.0 of Entra's) for a person."""
        issued = int(time.time())
        person = next(u for u in self._cloud.users.values() if u.object_id == identity.object_id)
        claims = {
            "aud": client_id,
            "iss": ISSUER_V2,
            "iat": issued,
            "nbf": issued,
            "exp": issued + 3600,
            "name": person.display_name,
            "preferred_username": person.user_principal_name,
            "oid": identity.object_id,
            "sub": identity.object_id,
            "tid": TENANT_ID,
            "ver": "2.0",
        }
        if nonce is not None:
            claims["nonce"] = nonce
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._key_id})

    def verify(self, token: str, *, audiences: Iterable[str], issuer: str = ISSUER) -> Identity:
        """Return the identity of `token`. A trailing "/" of an audience is ignored.

        `issuer`: that of version 1, as for Azure's own services, or of version 2.
        Raises Unauthorized: from another issuer, altered, expired, for another audience, or of an unknown principal.
        """
        try:
            claims = jwt.decode(
                token,
                self._key.public_key(),
                algorithms=["RS256"],
                issuer=issuer,
                options={"verify_aud": False, "require": ["aud", "exp", "iat", "iss", "nbf", "oid"]},
            )
        except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError):
            raise Unauthorized(Reason.EXPIRED) from None
        except jwt.InvalidTokenError:
            # Without the cause: PyJWT's messages may quote the token.
            raise Unauthorized(Reason.MALFORMED) from None
        if str(claims["aud"]).rstrip("/") not in {audience.rstrip("/") for audience in audiences}:
            raise Unauthorized(Reason.AUDIENCE)
        identity = self._cloud.identity_of(claims["oid"])
        if identity is None:
            raise Unauthorized(Reason.UNKNOWN_IDENTITY)
        return identity

    def authenticate(self, request: Request, *, audiences: Iterable[str]) -> Identity:
        """Return the identity of the request's bearer token. Raises Unauthorized."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthorized(Reason.MISSING)
        return self.verify(token.strip(), audiences=audiences)

    def authorize(self, request: Request, *, audiences: Iterable[str], right: str) -> Identity:
        """Return the identity of the request. Raises Unauthorized, or Forbidden if it lacks `right`.

        A service turns both into its 401 and 403 with Starlette's `exception_handlers`.
        """
        identity = self.authenticate(request, audiences=audiences)
        if not identity.may(right):
            raise Forbidden(identity, right)
        return identity

    def scopes(self, request: Request) -> frozenset[str] | None:
        """Return the delegated scopes of an authenticated request; None for a token of an application."""
        _, _, token = request.headers.get("authorization", "").partition(" ")
        claims = jwt.decode(token.strip(), options={"verify_signature": False})
        return frozenset(claims["scp"].split()) if "scp" in claims else None

    def signing_keys(self) -> dict[str, Any]:
        """Return the public signing keys as a JSON Web Key Set (RFC 7517 section 5)."""
        key: dict[str, Any] = json.loads(RSAAlgorithm.to_jwk(self._key.public_key()))
        key.pop("key_ops", None)
        return {"keys": [key | {"kid": self._key_id, "x5t": self._key_id, "use": "sig", "alg": "RS256"}]}


def _version_1(audience: str, person: User | None, *, client: str, scopes: str) -> dict[str, Any]:
    claims = {"aud": audience, "iss": ISSUER, "ver": "1.0", "appid": client}
    if person is None:
        return claims | {"appidacr": "2", "idp": ISSUER}
    of_graph = GRAPH_SCOPES_OF_AZURE_CLI if client == AZURE_CLI else scopes
    return claims | {
        "name": person.display_name,
        "unique_name": person.user_principal_name,
        "upn": person.user_principal_name,
        "scp": of_graph if audience.rstrip("/").lower() == GRAPH else "user_impersonation",
        "appidacr": "0",
    }


def _version_2(registration: Registration, person: User | None, *, client: str) -> dict[str, Any]:
    """ "In v2.0 tokens, this value [aud] is always the client ID of the API." azp replaces appid; upn is optional."""
    claims = {"aud": registration.client_id, "iss": ISSUER_V2, "ver": "2.0", "azp": client}
    if person is None:
        return claims | {"azpacr": "2"}
    return claims | {
        "name": person.display_name,
        "preferred_username": person.user_principal_name,
        "scp": " ".join(registration.scopes),
        "azpacr": "0",
    }


def _roles(identity: Identity, audience: str, *, of_sasquash: bool) -> list[str]:
    """Return the app roles of `audience` that `identity` holds. Rights with "/" or "@" are not app roles."""
    if of_sasquash:
        return sorted(right for right in identity.rights if right.startswith("Sasquash."))
    if audience.rstrip("/").lower() == GRAPH:
        return sorted(r for r in identity.rights if not r.startswith("Sasquash.") and not set("/@") & set(r))
    return []
