"""Key Vault secrets: the stand-in for every `*.vault.azure.net`.

Get, set, update and list, as REST "Key Vault - Get Secret", "Set Secret", "Update Secret" and "Get Secret Versions"
describe them; errors as in "Azure Key Vault REST API error codes". A request without a valid token gets the
challenge that the SDKs expect ("Authentication, requests and responses").
"""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local import json_text
from local.entra.tokens import AUTHORITY, Entra, Forbidden, Reason, Unauthorized
from local.key_vault.body import SECRET_NAME, InvalidBody, read_changes
from local.network import hostnames
from local.tenant.model import TENANT_ID, Cloud
from local.tenant.model.vault import Secret, SecretVersion, Vault

AUDIENCE = "https://vault.azure.net"
ROLE = "Key Vault Secrets Officer"
USER = "Key Vault Secrets User"  # data actions: secrets/getSecret, secrets/readMetadata
_OF_USER = ("getSecret", "readMetadata")
SUFFIX = f".{hostnames.KEY_VAULT_SUFFIX}"

_VERSIONS = ("7.4", "7.5", "7.6", "2025-07-01", "2026-04-01")
_MOST_IN_A_PAGE = 25
_RECOVERABLE_DAYS = 90
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_CHALLENGE = f'Bearer authorization="{AUTHORITY}/{TENANT_ID}", resource="{AUDIENCE}"'
_UNAUTHORIZED = {
    Reason.MISSING: "AKV10000: Request is missing a Bearer or PoP token.",
    Reason.MALFORMED: "AKV10046: Unable to resolve the key used for signature validation.",
    Reason.EXPIRED: "[TokenExpired] Error validating token: 'S2S12086'.",
    Reason.AUDIENCE: f"AKV10022: Invalid audience. Expected {AUDIENCE}.",
    Reason.UNKNOWN_IDENTITY: "AKV10032: Invalid issuer.",
}


class KeyVaultError(Exception):
    """An error response `{"error": {"code", "message"[, "innererror": {"code"}]}}`."""

    def __init__(self, status: int, code: str, message: str, *, inner: str | None = None) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.body: dict[str, Any] = {"code": code, "message": message}
        if inner is not None:
            self.body["innererror"] = {"code": inner}


@dataclass(frozen=True)
class _Call:
    """One authorized request to a vault."""

    vault: Vault
    request: Request

    @property
    def name(self) -> str:
        """The name of the secret. Raises KeyVaultError if it is invalid."""
        name = str(self.request.path_params["name"])
        if not SECRET_NAME.fullmatch(name):
            raise _bad_parameter(f"The request URI contains an invalid name: {name}")
        return name

    def secret(self) -> Secret:
        secret = self.vault.secrets.get(self.name.lower())
        if secret is None or secret.deleted:
            raise self.not_found(self.name)
        return secret

    def version(self) -> SecretVersion:
        wanted = str(self.request.path_params.get("version", ""))
        found = self.secret().find(wanted)
        if found is None:
            raise self.not_found(f"{self.name}/{wanted}")
        return found

    def not_found(self, name: str) -> KeyVaultError:
        return KeyVaultError(
            404,
            "SecretNotFound",
            f"A secret with (name/id) {name} was not found in this key vault. If you recently deleted this secret "
            "you may be able to recover it using the correct recovery command. For help resolving this issue, "
            "please see https://go.microsoft.com/fwlink/?linkid=2125182",
        )


type _Handler = Callable[[_Call], Awaitable[Response]]


def app(cloud: Cloud, entra: Entra) -> Starlette:
    """Return the app for every vault of `cloud`."""

    def route(method: str, path: str, action: str, handler: _Handler) -> Route:
        async def answer(request: Request) -> Response:
            vault = _vault(cloud, request)
            identity = entra.authenticate(request, audiences=(AUDIENCE,))
            _require_version(request)
            if vault.closed:
                raise _closed(vault)
            roles = (ROLE, USER) if action in _OF_USER else (ROLE,)
            if not any(identity.may(f"{role}@{vault.name}") for role in roles):
                raise _forbidden(Forbidden(identity, action), request)
            return await handler(_Call(vault, request))

        return Route(path, _with_errors(answer), methods=[method])

    routes = [
        route("GET", "/secrets/{name}/versions", "readMetadata", _list_versions),
        route("PUT", "/secrets/{name}", "setSecret", _set),
    ]
    for path in ("/secrets/{name}", "/secrets/{name}/", "/secrets/{name}/{version}"):  # the SDKs send all three
        routes.append(route("GET", path, "getSecret", _get))
        routes.append(route("PATCH", path, "update", _update))

    async def unknown(request: Request) -> Response:
        _vault(cloud, request)
        entra.authenticate(request, audiences=(AUDIENCE,))
        raise KeyVaultError(404, "NotFound", "The local cloud has no such operation of Key Vault.")

    return Starlette(routes=[*routes, Route("/{path:path}", _with_errors(unknown), methods=_METHODS)])


def _with_errors(answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            response = await answer(request)
        except Unauthorized as error:
            response = _error(KeyVaultError(401, "Unauthorized", _UNAUTHORIZED[error.reason]))
            response.headers["www-authenticate"] = _CHALLENGE
        except InvalidBody as error:
            response = _error(_bad_parameter(str(error)))
        except KeyVaultError as error:
            response = _error(error)
        response.headers["x-ms-request-id"] = str(uuid.uuid4())
        return response

    return endpoint


def _error(error: KeyVaultError) -> Response:
    return JSONResponse({"error": error.body}, error.status)


def _vault(cloud: Cloud, request: Request) -> Vault:
    host = request.headers.get("host", "").lower().removesuffix(":443")
    vault = cloud.vaults.get(host.removesuffix(SUFFIX))
    if vault is None:
        # In Azure its name does not resolve, for which a proxy answers 502.
        raise KeyVaultError(502, "UnknownHost", f"There is no key vault at {host}.")
    return vault


def _require_version(request: Request) -> None:
    version = request.query_params.get("api-version", "")
    if not version:
        raise _bad_parameter("api-version must be specified")
    if version not in _VERSIONS:
        raise _bad_parameter(
            f"The specified version ({version}) is not recognized. Consider using the latest supported version "
            f"({_VERSIONS[-1]})."
        )
    unknown = set(request.query_params) - {"api-version", "maxresults", "$skiptoken"}
    if unknown:
        raise _bad_parameter(f"The query parameter {min(unknown)} is unknown.")


async def _get(call: _Call) -> Response:
    found = call.version()
    if not found.enabled:
        raise KeyVaultError(
            403, "Forbidden", "Operation get is not allowed on a disabled secret.", inner="SecretDisabled"
        )
    return JSONResponse({"value": found.value} | _described(call, found))


async def _set(call: _Call) -> Response:
    known = call.vault.secrets.get(call.name.lower())
    if known is not None and known.deleted:
        raise KeyVaultError(
            409,
            "Conflict",
            f"Secret {call.name} is currently in a deleted but recoverable state, and its name cannot be reused; in "
            "this state, the secret can only be recovered or purged.",
            inner="ObjectIsDeletedButRecoverable",
        )
    if known is not None and known.versions[-1].managed:
        # Azure's message is not documented.
        raise KeyVaultError(403, "Forbidden", "Operation set is not allowed on a secret that a certificate manages.")
    changes = await _changes(call, with_value=True)
    made = SecretVersion(**changes)
    call.vault.add(call.name, made)
    return JSONResponse({"value": made.value} | _described(call, made))


async def _update(call: _Call) -> Response:
    found = call.version()
    for name, value in (await _changes(call, with_value=False)).items():
        setattr(found, name, value)
    found.updated = datetime.now(UTC).replace(microsecond=0)
    return JSONResponse(_described(call, found))


async def _list_versions(call: _Call) -> Response:
    """List a page of versions, ordered by id, which is not the order of creation."""
    text = call.request.query_params.get("maxresults", str(_MOST_IN_A_PAGE))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _MOST_IN_A_PAGE:
        raise _bad_parameter(f"maxresults must be from 1 to {_MOST_IN_A_PAGE}")
    after = call.request.query_params.get("$skiptoken", "")
    secret = call.vault.secrets.get(call.name.lower())
    versions = [] if secret is None or secret.deleted else secret.versions
    rest = sorted((each for each in versions if each.version > after), key=lambda each: each.version)
    page = rest[: int(text)]
    following = None
    if len(rest) > len(page):
        query = {
            "api-version": call.request.query_params["api-version"],
            "$skiptoken": page[-1].version,
            "maxresults": text,
        }
        following = f"https://{call.vault.name}{SUFFIX}:443/secrets/{call.name}/versions?{urlencode(query)}"
    return JSONResponse({"value": [_described(call, each) for each in page], "nextLink": following})


async def _changes(call: _Call, *, with_value: bool) -> dict[str, Any]:
    media_type = call.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise KeyVaultError(415, "UnsupportedMediaType", "The content type must be application/json.")
    try:
        body = json_text.parse(await call.request.body())
    except json_text.InvalidJson as error:
        raise InvalidBody(str(error)) from None
    return read_changes(body, with_value=with_value)


def _described(call: _Call, version: SecretVersion) -> dict[str, Any]:
    """Return a SecretItem; together with the value it is a SecretBundle."""
    attributes: dict[str, Any] = {
        "enabled": version.enabled,
        "nbf": _seconds(version.not_before),
        "exp": _seconds(version.expires),
        "created": _seconds(version.created),
        "updated": _seconds(version.updated),
        "recoveryLevel": "Recoverable+Purgeable",
        "recoverableDays": _RECOVERABLE_DAYS,
    }
    described: dict[str, Any] = {
        "id": f"https://{call.vault.name}{SUFFIX}/secrets/{call.name}/{version.version}",
        "contentType": version.content_type,
        "attributes": {name: value for name, value in attributes.items() if value is not None},
        "tags": version.tags,
        "managed": True if version.managed else None,
    }
    return {name: value for name, value in described.items() if value is not None}


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())


def _bad_parameter(message: str) -> KeyVaultError:
    return KeyVaultError(400, "BadParameter", message)


def _closed(vault: Vault) -> KeyVaultError:
    return KeyVaultError(
        403,
        "Forbidden",
        "Client address is not authorized and caller is not a trusted service.\r\nClient address: 127.0.0.1\r\n"
        f"Vault: {vault.name};location=westeurope",
        inner="ForbiddenByFirewall",
    )


def _forbidden(error: Forbidden, request: Request) -> KeyVaultError:
    return KeyVaultError(
        403,
        "Forbidden",
        "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role "
        "definitions were changed recently, please observe propagation time.\r\n"
        f"Caller: appid={error.identity.client_id};oid={error.identity.object_id}\r\n"
        f"Action: 'Microsoft.KeyVault/vaults/secrets/{error.right}/action'\r\nResource: '{request.scope['path']}'",
        inner="ForbiddenByRbac",
    )
