"""Storage accounts: their keys, stored access policies, user delegation keys, shares and request log."""

import base64
import os
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from local.tenant.model.clock import now
from local.tenant.model.names import SUBSCRIPTION_ID


def new_storage_key() -> str:
    """Return an account key: 64 random bytes in base64, 88 characters, with the marker that scanners search."""
    key = base64.b64encode(os.urandom(64)).decode()
    return f"{key[:76]}+ASt{key[80:]}"


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """The fields of a stored access policy as they were written. None: the element is missing; "": it is empty."""

    start: str | None = None
    expiry: str | None = None
    permission: str | None = None


@dataclass(frozen=True, slots=True)
class SignedIdentifier:
    """A stored access policy and its id. `policy` None: the identifier was written without an AccessPolicy."""

    id: str
    policy: AccessPolicy | None


@dataclass(frozen=True, slots=True)
class DelegationKey:
    """A user delegation key that was issued. Texts are as in the response of Get User Delegation Key."""

    object_id: str
    tenant_id: str
    start: str
    expiry: str
    service: str  # "b", "q", "t" or "f"
    version: str
    value: str = field(repr=False)
    issued_at: datetime


@dataclass
class Share:
    """A file share. It stores no files."""

    name: str
    last_modified: datetime
    etag: str
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass
class Account:
    """A storage account as ARM sees it. Azurite holds its data, under the same name and keys."""

    name: str
    resource_group: str
    tags: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(
        default_factory=lambda: {"key1": new_storage_key(), "key2": new_storage_key()}, repr=False
    )
    published_keys: dict[str, str] | None = field(default=None, repr=False)  # as the data plane last received them
    kerberos_keys: dict[str, str] = field(default_factory=dict, repr=False)  # kerb1 and kerb2, where a test sets them
    key_created: dict[str, datetime] = field(default_factory=lambda: {"key1": now(), "key2": now()})
    # Keys and their times as List Keys still shows them, where it lags behind; None: it does not.
    listed: tuple[dict[str, str], dict[str, datetime]] | None = field(default=None, repr=False)
    rotations: list[tuple[str, datetime]] = field(default_factory=list)
    properties: dict[str, Any] = field(
        default_factory=lambda: {
            "allowSharedKeyAccess": True,
            "allowBlobPublicAccess": True,
            "publicNetworkAccess": "Enabled",
            "networkAcls": {"bypass": "AzureServices", "defaultAction": "Allow"},
        }
    )
    # Of the resource in ARM, beside its properties: sku, and identity if one was set.
    members: dict[str, Any] = field(default_factory=lambda: {"sku": {"name": "Standard_RAGRS", "tier": "Standard"}})
    # SAS expiration policies as in ARM, each with the time from which the data plane enforces it.
    sas_policies: list[tuple[datetime, dict[str, Any]]] = field(default_factory=list)
    delegation_keys: list[DelegationKey] = field(default_factory=list)
    delegation_keys_revoked_at: datetime | None = None  # keys issued until then are void
    # By service and resource: ("blob", container), ("queue", queue), ("table", table in lower case), ("file", share).
    policies: dict[tuple[str, str], tuple[SignedIdentifier, ...]] = field(default_factory=dict)
    shares: dict[str, Share] = field(default_factory=dict)
    locks: list[str] = field(default_factory=list)  # "ReadOnly" | "CanNotDelete", management locks
    blob_service: dict[str, Any] = field(default_factory=dict)  # properties in ARM, beside the defaults
    logged: dict[str, tuple[str, ...]] = field(default_factory=dict)  # log categories by service, sent to a workspace
    created_at: datetime = field(default_factory=now)

    @property
    def id(self) -> str:
        return (
            f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.Storage/storageAccounts/{self.name}"
        )

    @property
    def accepted_keys(self) -> dict[str, str]:
        """The keys that the data plane accepts, by name. A change in ARM reaches it a moment later."""
        return self.keys if self.published_keys is None else self.published_keys

    def set_sas_policy(self, policy: dict[str, Any], *, enforced_from: datetime) -> None:
        """Set the SAS expiration policy: in ARM at once, in the data plane from then on."""
        self.properties["sasPolicy"] = policy
        self.sas_policies.append((enforced_from, policy))

    def sas_policy(self, at: datetime) -> dict[str, Any] | None:
        """Return the SAS expiration policy that the data plane enforces at that time, if there is one."""
        return next((policy for start, policy in reversed(self.sas_policies) if start <= at), None)

    def regenerate(self, key_name: str) -> None:
        """Replace the key with a new one and record when."""
        keys = self.kerberos_keys if key_name.startswith("kerb") else self.keys
        keys[key_name] = new_storage_key()
        moment = now()
        self.key_created[key_name] = moment
        self.rotations.append((key_name, moment))


@dataclass(frozen=True, slots=True)
class StorageLogLine:
    """One line of StorageBlobLogs or the like, as diagnostic settings send it to a workspace.

    `operation` is known for writes of access policies and for blobs alone. `authentication_type` is empty where the
    line has none. The requester is of a token, and empty without one.
    """

    account: str
    at: datetime
    category: str  # "StorageRead" | "StorageWrite" | "StorageDelete"
    status: int
    object_key: str
    address: str  # with the port
    agent: str
    authentication_hash: str
    response_size: int
    operation: str = ""
    uri: str = ""
    request_id: str = ""
    requester_upn: str = ""
    requester_object_id: str = ""
    requester_app_id: str = ""
    authentication_type: str = ""


@dataclass(frozen=True, slots=True)
class CustomLogRow:
    """A row of a custom table of the workspace, and from when it can be queried."""

    visible_from: datetime
    columns: dict[str, Any]


class Tables(Protocol):
    """Tables and containers of the data plane, for ARM. Names of tables are matched in any case."""

    async def table_name(self, account: str, name: str) -> str | None:
        """Return the name as it was created; None if there is no such table."""

    async def create_table(self, account: str, name: str) -> None: ...

    async def delete_table(self, account: str, name: str) -> None: ...

    async def containers(self, account: str) -> dict[str, str]:
        """Return the public access level of each container in ARM's terms: "None", "Blob" or "Container"."""
