"""What the stand-ins share: one tenant with its identities, storage accounts, mailboxes, incidents and events.

Everything is kept in memory and in one process; a restart is an empty cloud. Secrets (account keys) are in here
because ARM's and Azurite's stand-ins need them; nothing here is ever written to disk.
"""

import asyncio
import base64
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from local.tenant.senders import Alerts, Senders
from local.tenant.vault_model import Vault

TENANT_ID = "7e1d5f0a-6c1b-4f0e-9d51-0a6d1c3e9b11"
TENANT_DOMAIN = "contoso.com"
SUBSCRIPTION_ID = "3d8f6a52-91c4-4b7e-8f0d-5b2a7c9e1f33"
LOCATION = "westeurope"

DESK_CLIENT_ID = "d3a1f6b8-5c2e-4f7a-9b0d-8e4c6a2f1d57"  # the registration that people sign in to at the desk
STATE_ACCOUNT = "sasquashstate"  # Sasquash's own storage: its tables, queues and host leases
TOPIC_HOST = "sasquash.westeurope-1.eventgrid.azure.net"
KEY_VAULT = "sasquash-vault"
SHAREPOINT_SITE = "contoso.sharepoint.com,5f0c7a1e-52c5-4f3b-8d0a-2f6f1f0c9a77,1c9b2b7d-0c52-4a0c-9d3e-7b1a5d2c4e66"
SHAREPOINT_LIST = "b7d0a9c4-3f6e-4d2b-9a51-6e8c0f1d2b35"
MAIL_SENDER = "sasquash@contoso.com"
SECURITY_MAILBOX = "security@contoso.com"


def new_storage_key() -> str:
    """A storage account key: 64 random bytes in base64, 88 characters, with the mark by which scanners know one."""
    key = base64.b64encode(os.urandom(64)).decode()
    return f"{key[:76]}+ASt{key[80:]}"


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Identity:
    """A principal of the tenant and everything it may do.

    `rights` holds, in one flat set: ARM actions ("Microsoft.Storage/storageAccounts/listkeys/action"), Graph app
    roles ("Mail.Send"), "EventGrid/events/send", storage data roles ("Storage Table Data Contributor@<account>"),
    and the app roles of Sasquash's own API ("Sasquash.Reader"). A right that ends in "/*" or "@*" covers what
    begins so.
    """

    name: str
    object_id: str
    client_id: str
    rights: frozenset[str]
    used: set[str] = field(default_factory=set, compare=False, repr=False)  # what of `rights` let it in

    def may(self, right: str) -> bool:
        """Whether it holds `right`; then that is noted in `used`."""
        wanted = right.lower()
        for held in self.rights:
            if wanted == held.lower() or (held.endswith(("/*", "@*")) and wanted.startswith(held[:-1].lower())):
                self.used.add(held)
                return True
        return False


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """The fields of a stored access policy as they were written; None: no such element, "": an empty one."""

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
    """A user delegation key that was handed out. Texts are as in the answer of Get User Delegation Key."""

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
    """A file share; nothing is stored in it."""

    name: str
    last_modified: datetime
    etag: str
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass
class Account:
    """A storage account: ARM's view of it. Its data lives in Azurite under the same name and keys."""

    name: str
    resource_group: str
    tags: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(
        default_factory=lambda: {"key1": new_storage_key(), "key2": new_storage_key()}, repr=False
    )
    kerberos_keys: dict[str, str] = field(
        default_factory=dict, repr=False
    )  # kerb1, kerb2: only where a test asks for them
    key_created: dict[str, datetime] = field(default_factory=lambda: {"key1": now(), "key2": now()})
    rotations: list[tuple[str, datetime]] = field(default_factory=list)
    properties: dict[str, Any] = field(
        default_factory=lambda: {
            "allowSharedKeyAccess": True,
            "allowBlobPublicAccess": True,
            "publicNetworkAccess": "Enabled",
            "networkAcls": {"bypass": "AzureServices", "defaultAction": "Allow"},
        }
    )
    delegation_keys: list[DelegationKey] = field(default_factory=list)
    delegation_keys_revoked_at: datetime | None = None  # what was issued until then is void
    # By service and resource: ("blob", container), ("queue", queue), ("table", table in lower case), ("file", share).
    policies: dict[tuple[str, str], tuple[SignedIdentifier, ...]] = field(default_factory=dict)
    shares: dict[str, Share] = field(default_factory=dict)
    locks: list[str] = field(default_factory=list)  # "ReadOnly" | "CanNotDelete", management locks
    blob_service: dict[str, Any] = field(default_factory=dict)  # ARM's properties of it, beside the defaults
    logged: dict[str, tuple[str, ...]] = field(default_factory=dict)  # log categories by service, to a workspace
    created_at: datetime = field(default_factory=now)

    @property
    def id(self) -> str:
        return (
            f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.Storage/storageAccounts/{self.name}"
        )


@dataclass(frozen=True)
class DenyAssignment:
    """Keeps a principal (or everyone, by the id of zeros) from some actions below a scope."""

    id: str
    name: str
    scope: str
    actions: tuple[str, ...]
    principal: str
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True)
class ActivityEvent:
    """A line of the activity log: who did what to a resource. `operation` is the action's name."""

    at: datetime
    resource: str
    operation: str
    caller: str
    status: str = "Succeeded"


@dataclass(frozen=True)
class RoleAssignment:
    """Who has a built-in role where. `role` is its GUID, `kind` "User", "Group" or "ServicePrincipal"."""

    principal: str
    kind: str
    role: str
    scope: str


@dataclass(frozen=True)
class Group:
    """A group of the directory: object ids of users, and of groups in it, which may hold it in turn."""

    object_id: str
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class User:
    """A person or mailbox that Graph knows."""

    object_id: str
    display_name: str
    user_principal_name: str
    mail: str | None
    account_enabled: bool = True


@dataclass(frozen=True)
class Mail:
    sender: str
    to: tuple[str, ...]
    cc: tuple[str, ...]
    subject: str
    body: str
    content_type: str
    sent_at: datetime


@dataclass
class Incident:
    """One item of the SharePoint list."""

    item_id: str
    sink: str
    fields: dict[str, Any]
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class StorageLogLine:
    """One line of StorageBlobLogs and its like: what the account's diagnostic settings send to a workspace."""

    account: str
    at: datetime
    category: str  # "StorageRead" | "StorageWrite" | "StorageDelete"
    status: int
    object_key: str
    address: str  # with its port
    agent: str
    authentication_hash: str
    response_size: int


@dataclass(frozen=True)
class RecordedRequest:
    """One request as the front saw it. `url` has every `sig` value replaced by "REDACTED"."""

    sequence: int
    at: datetime
    method: str
    url: str
    status: int | None  # None: the answer was withheld by a fault
    duration_ms: float
    identity: str | None  # name of the identity whose token it carried


class Tables(Protocol):
    """Tables and containers of the data plane, as ARM sees and makes them. A table's name is matched in any case."""

    async def table_name(self, account: str, name: str) -> str | None:
        """Return the name as it was created; None if there is no such table."""

    async def create_table(self, account: str, name: str) -> None: ...

    async def delete_table(self, account: str, name: str) -> None: ...

    async def containers(self, account: str) -> dict[str, str]:
        """Return how public each container is, as ARM has it: "None", "Blob" or "Container"."""


@dataclass
class Cloud:
    """The whole tenant."""

    accounts: dict[str, Account] = field(default_factory=dict)
    identities: dict[str, Identity] = field(default_factory=dict)  # by name
    deny_assignments: list[DenyAssignment] = field(default_factory=list)
    activity: list[ActivityEvent] = field(default_factory=list)
    role_assignments: list[RoleAssignment] = field(default_factory=list)
    scope_tags: dict[str, dict[str, str]] = field(
        default_factory=dict
    )  # by a group's or subscription's id, lower case
    security_contact: str = ""  # of the subscription: addresses, separated by ";"
    groups: dict[str, Group] = field(default_factory=dict)  # by object id
    app_owners: dict[str, tuple[str, ...]] = field(default_factory=dict)  # users' object ids, by the app's
    users: dict[str, User] = field(default_factory=dict)  # by user principal name, lower case
    mails: list[Mail] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)
    vaults: dict[str, Vault] = field(default_factory=lambda: {KEY_VAULT: Vault(KEY_VAULT)})  # by name, lower case
    events: list[dict[str, Any]] = field(default_factory=list)  # eventgrid.py: envelope, deliveries, no raw secret
    dead_letters: list[dict[str, Any]] = field(default_factory=list)
    requests: list[RecordedRequest] = field(default_factory=list)
    storage_log: list["StorageLogLine"] = field(default_factory=list)  # of services that are logged
    telemetry: list[dict[str, Any]] = field(default_factory=list)  # requests and dependencies, as they were tracked
    alerts: Alerts = field(default_factory=Alerts)  # what other tools keep
    senders: Senders = field(default_factory=Senders)
    time_factor: float = 1.0  # schedules and visibility time-outs are divided by it, never the 30 s of a delivery
    regenerate_seconds: float = 0.25  # ARM takes its time: about 0.6 s in Azure, and the old key lives so long
    publish_keys: Callable[[], Awaitable[None]] | None = None  # makes the data plane use the keys of `accounts`
    tables: Tables | None = None

    async def keys_changed(self) -> None:
        """Return once the data plane accepts exactly the keys that `accounts` holds now."""
        if self.publish_keys is not None:
            await self.publish_keys()

    async def regenerate(self, account: Account, key_name: str) -> None:
        """Give `account` a new key; the old one is refused by the data plane when this returns."""
        await asyncio.sleep(self.regenerate_seconds)
        ring = account.kerberos_keys if key_name.startswith("kerb") else account.keys
        ring[key_name] = new_storage_key()
        moment = now()
        account.key_created[key_name] = moment
        account.rotations.append((key_name, moment))
        await self.keys_changed()

    def identity_of(self, object_id: str) -> Identity | None:
        return next((i for i in self.identities.values() if i.object_id == object_id), None)
