"""Access to a storage endpoint: what Azure checks and Azurite does not.

Azurite checks Shared Key signatures, and what a SAS permits. What depends on the properties of the account or on
Entra ID is checked here, before a request reaches Azurite. `sas` reads and verifies the SAS.
"""

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote

from starlette.datastructures import Headers

from local.entra.service import Entra, Unauthorized
from local.network.hostnames import StorageHost
from local.storage.errors import Refusal
from local.tenant.model import Account, Identity

_ROLE_FAMILIES = {
    "blob": "Storage Blob Data",
    "queue": "Storage Queue Data",
    "table": "Storage Table Data",
    "file": "Storage File Data Privileged",
}
_EVENT_GRID = "topic"  # the identity of the topic
_STORAGE_AUDIENCE = "https://storage.azure.com"
_READ_METHODS = ("GET", "HEAD", "OPTIONS")
_CHALLENGE_VERSION = "2019-12-12"  # from this version on, an anonymous request gets a 401 challenge


class Credentials(StrEnum):
    """The kind of credentials that a request has."""

    NONE = "none"
    TOKEN = "token"
    SHARED_KEY = "shared key"
    ACCOUNT_SAS = "account SAS"
    SERVICE_SAS = "service SAS"
    DELEGATION_SAS = "user delegation SAS"


_KEY_BASED = (Credentials.SHARED_KEY, Credentials.ACCOUNT_SAS, Credentials.SERVICE_SAS)


@dataclass(frozen=True, slots=True)
class StorageRequest:
    """The parts of a request that access depends on. `path` and `query` are as sent."""

    host: StorageHost
    method: str
    path: str
    query: str
    headers: Headers
    address: str = "127.0.0.1"  # of the client

    def parameter(self, name: str) -> str | None:
        """Return a query parameter, percent-decoded; "+" stays "+", as in signatures. None if it is absent."""
        for pair in self.query.split("&"):
            given, _, value = pair.partition("=")
            if unquote(given) == name:
                return unquote(value)
        return None

    @property
    def decoded_path(self) -> str:
        return unquote(self.path)

    @property
    def acl_of(self) -> str | None:
        """The container, queue, table or share whose access policies it gets or sets; None for other requests."""
        wanted = {"blob": "container", "file": "share"}.get(self.host.service)
        name = self.decoded_path.strip("/")
        if self.parameter("comp") != "acl" or self.parameter("restype") != wanted or not name or "/" in name:
            return None
        return name

    @property
    def adds_message(self) -> bool:
        """Whether it is Put Message: `POST /{queue}/messages`."""
        parts = self.decoded_path.strip("/").split("/")
        return self.host.service == "queue" and self.method == "POST" and len(parts) == 2 and parts[1] == "messages"

    @property
    def gets_delegation_key(self) -> bool:
        return self.parameter("restype") == "service" and self.parameter("comp") == "userdelegationkey"

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


def check(request: StorageRequest, account: Account, entra: Entra) -> Identity | None:
    """Check what precedes the signature and the operation. Raises Refusal.

    Returns the identity of the request's token; None if it has no token.
    """
    properties = account.properties
    if not _is_reached(request, account, entra):
        raise Refusal("AuthorizationFailure")
    if request.host.is_secondary and request.method not in _READ_METHODS:
        raise Refusal("InsufficientAccountPermissions")
    credentials = request.credentials
    if credentials in _KEY_BASED and properties.get("allowSharedKeyAccess") is False:
        raise Refusal("KeyBasedAuthenticationNotPermitted")
    identity = _check_token(request, account, entra) if credentials is Credentials.TOKEN else None
    opens_to_public = "x-ms-blob-public-access" in request.headers
    is_anonymous_read = credentials is Credentials.NONE and request.host.service == "blob"
    if properties.get("allowBlobPublicAccess") is False and (is_anonymous_read or opens_to_public):
        raise Refusal("PublicAccessNotPermitted")
    return identity


def _is_reached(request: StorageRequest, account: Account, entra: Entra) -> bool:
    """Whether the account's network rules let the request in. Where they deny, only trusted services are let in.

    "Azure Storage: trusted services": Event Grid may publish to storage queues. "Storage queue as an event handler":
    with a firewall, only by a system-assigned identity.
    """
    rules = account.properties.get("networkAcls") or {}
    if account.properties.get("publicNetworkAccess") == "Disabled":
        return False
    if rules.get("defaultAction") != "Deny":
        return True
    trusts = "AzureServices" in str(rules.get("bypass", "AzureServices"))
    return trusts and request.credentials is Credentials.TOKEN and _is_of_event_grid(request, account, entra)


def _is_of_event_grid(request: StorageRequest, account: Account, entra: Entra) -> bool:
    try:
        return _identity_of(request, account, entra).name == _EVENT_GRID
    except Refusal:
        return False


def unauthenticated(request: StorageRequest) -> Refusal:
    """Return Azure's specific error where Azurite only says that it could not authenticate the request."""
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
    return Refusal("AuthenticationFailed", "Signature did not match.")


def may_use_data(identity: Identity, request: StorageRequest, account: Account) -> bool:
    """Return whether a data role of the identity allows the method of the request.

    The role is assigned on the account, or on the container, queue or table of the request ("Assign an Azure role for
    access to queue data", scopes).
    """
    levels = ["Contributor", "Owner"]
    if request.method in _READ_METHODS or request.gets_delegation_key:
        levels.append("Reader")
    if request.adds_message:
        levels.append("Message Sender")
    family = _ROLE_FAMILIES.get(request.host.service)
    scopes = (account.name, f"{account.name}/{request.decoded_path.strip('/').partition('/')[0]}")
    return family is not None and any(identity.may(f"{family} {level}@{at}") for level in levels for at in scopes)


def _identity_of(request: StorageRequest, account: Account, entra: Entra) -> Identity:
    """Return the identity of the request's token. Raises Refusal."""
    token = request.headers["authorization"].partition(" ")[2]
    endpoint = f"https://{account.name}.{request.host.service}.core.windows.net"
    try:
        return entra.verify(token, audiences=[_STORAGE_AUDIENCE, endpoint])
    except Unauthorized as error:
        raise Refusal("InvalidAuthenticationInfo", str(error)) from None


def _check_token(request: StorageRequest, account: Account, entra: Entra) -> Identity:
    service = request.host.service
    identity = _identity_of(request, account, entra)
    delegates = request.gets_delegation_key and identity.may(
        f"Storage {service.capitalize()} Delegator@{account.name}"
    )
    if not delegates and not may_use_data(identity, request, account):
        raise Refusal("AuthorizationPermissionMismatch")
    return identity
