"""Who may use a storage endpoint: what Azure checks and Azurite does not.

Azurite checks signatures, permissions and policies of the keys it knows. What depends on the account's properties
or on Entra is decided here, before a request reaches it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from enum import StrEnum
from urllib.parse import unquote

from starlette.datastructures import Headers

from local.entra import Entra, Unauthorized
from local.hostnames import StorageHost
from local.model import Account, now
from local.storage_errors import Refusal

_ROLE_FAMILIES = {"blob": "Storage Blob Data", "queue": "Storage Queue Data", "table": "Storage Table Data"}
_STORAGE_AUDIENCE = "https://storage.azure.com"
_READ_METHODS = ("GET", "HEAD", "OPTIONS")
_CHALLENGE_VERSION = "2019-12-12"  # from here on, an anonymous request is challenged with 401


class Credentials(StrEnum):
    """What a request shows to be let in."""

    NONE = "none"
    TOKEN = "token"
    SHARED_KEY = "shared key"
    ACCOUNT_SAS = "account SAS"
    SERVICE_SAS = "service SAS"
    DELEGATION_SAS = "user delegation SAS"


_KEY_BASED = (Credentials.SHARED_KEY, Credentials.ACCOUNT_SAS, Credentials.SERVICE_SAS)


@dataclass(frozen=True, slots=True)
class StorageRequest:
    """The parts of a request that decide about access. `path` and `query` are as sent."""

    host: StorageHost
    method: str
    path: str
    query: str
    headers: Headers

    def parameter(self, name: str) -> str | None:
        """A query parameter, percent-decoded; "+" stays "+", as in signatures. None if it is absent."""
        for pair in self.query.split("&"):
            given, _, value = pair.partition("=")
            if unquote(given) == name:
                return unquote(value)
        return None

    @property
    def credentials(self) -> Credentials:
        scheme = self.headers.get("authorization", "").partition(" ")[0].lower()
        if scheme == "bearer":
            return Credentials.TOKEN
        if scheme:
            return Credentials.SHARED_KEY
        if self.parameter("sig") is None:
            return Credentials.NONE
        if self.parameter("skoid") is not None:
            return Credentials.DELEGATION_SAS
        is_account_sas = self.parameter("ss") is not None and self.parameter("srt") is not None
        return Credentials.ACCOUNT_SAS if is_account_sas else Credentials.SERVICE_SAS


def check(request: StorageRequest, account: Account, entra: Entra) -> None:
    """Return if Azure would go on to look at the request's signature, or at the operation. Raises Refusal."""
    properties = account.properties
    network_rules = properties.get("networkAcls") or {}
    if properties.get("publicNetworkAccess") == "Disabled" or network_rules.get("defaultAction") == "Deny":
        raise Refusal("AuthorizationFailure")
    if request.host.is_secondary and request.method not in _READ_METHODS:
        raise Refusal("InsufficientAccountPermissions")
    credentials = request.credentials
    if credentials in _KEY_BASED and properties.get("allowSharedKeyAccess") is False:
        raise Refusal("KeyBasedAuthenticationNotPermitted")
    if credentials is Credentials.TOKEN:
        _check_token(request, account, entra)
    elif credentials is Credentials.DELEGATION_SAS:
        _check_delegation(request, account)
    opens_to_public = "x-ms-blob-public-access" in request.headers
    is_anonymous_read = credentials is Credentials.NONE and request.host.service == "blob"
    if properties.get("allowBlobPublicAccess") is False and (is_anonymous_read or opens_to_public):
        raise Refusal("PublicAccessNotPermitted")


def unauthenticated(request: StorageRequest) -> Refusal:
    """What Azure answers where Azurite says no more than that it could not authenticate the request."""
    credentials = request.credentials
    if credentials is Credentials.NONE:
        if request.headers.get("x-ms-version", "") >= _CHALLENGE_VERSION:
            return Refusal("NoAuthenticationInformation")
        return Refusal("ResourceNotFound" if request.host.service == "blob" else "AuthenticationFailed")
    if credentials is Credentials.TOKEN:
        return Refusal("InvalidAuthenticationInfo")
    if credentials is Credentials.SHARED_KEY:
        return Refusal(
            "AuthenticationFailed",
            "The MAC signature found in the HTTP request is not the same as any computed signature.",
        )
    return Refusal("AuthenticationFailed", out_of_time(request) or "Signature did not match.")


def out_of_time(request: StorageRequest) -> str | None:
    """Azure's words for a SAS before its start or after its expiry; None if it is neither."""
    starts, expires = _moment(request.parameter("st")), _moment(request.parameter("se"))
    current = now()
    if (starts is None or starts <= current) and (expires is None or current <= expires):
        return None
    start, expiry = (format_datetime(m, usegmt=True) if m is not None else "" for m in (starts, expires))
    return (
        f"Signature not valid in the specified time frame: Start [{start}] - Expiry [{expiry}] - "
        f"Current [{format_datetime(current, usegmt=True)}]"
    )


def _check_token(request: StorageRequest, account: Account, entra: Entra) -> None:
    service = request.host.service
    token = request.headers["authorization"].partition(" ")[2]
    endpoint = f"https://{account.name}.{service}.core.windows.net"
    try:
        identity = entra.verify(token, audiences=[_STORAGE_AUDIENCE, endpoint])
    except Unauthorized as error:
        raise Refusal("InvalidAuthenticationInfo", str(error)) from None
    levels = ["Contributor", "Owner"]
    if request.method in _READ_METHODS:
        levels.append("Reader")
    roles = [f"{_ROLE_FAMILIES[service]} {level}" for level in levels] if service in _ROLE_FAMILIES else []
    if not any(identity.may(f"{role}@{account.name}") for role in roles):
        raise Refusal("AuthorizationPermissionMismatch")


def _check_delegation(request: StorageRequest, account: Account) -> None:
    """A user delegation key issued before the account's keys were revoked is void ("Revoke User Delegation Keys")."""
    issued = _moment(request.parameter("skt"))
    revoked = account.delegation_keys_revoked_at
    # `skt` has whole seconds only.
    if revoked is not None and issued is not None and issued < revoked - timedelta(seconds=1):
        raise Refusal("AuthenticationFailed", "Signature did not match.")


def _moment(text: str | None) -> datetime | None:
    """A time of a SAS, to the second or shorter forms of ISO 8601; None if absent or malformed."""
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC) if moment is not None else None
