"""The model of the whole tenant, which all stand-ins share."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from local.tenant.model.directory import Directory
from local.tenant.model.governance import ActivityEvent, DenyAssignment, RoleAssignment
from local.tenant.model.graph import Group, Incident, Mail, User
from local.tenant.model.identity import Identity
from local.tenant.model.names import CONSOLE_CLIENT_ID, KEY_VAULT
from local.tenant.model.registration import Registration, sasquash
from local.tenant.model.storage import Account, CustomLogRow, StorageLogLine, Tables
from local.tenant.model.vault import Vault
from local.tenant.senders import Alerts, Senders


@dataclass(frozen=True)
class RecordedRequest:
    """One request as the front received it. `url` has every `sig` value replaced by "REDACTED"."""

    sequence: int
    at: datetime
    method: str
    url: str
    status: int | None  # None: a fault withheld the response
    duration_ms: float
    identity: str | None  # the name of the identity that its token belongs to


@dataclass
class Cloud:
    """The whole tenant: what every stand-in reads and writes."""

    accounts: dict[str, Account] = field(default_factory=dict)
    other_subscriptions: dict[str, str] = field(default_factory=dict)  # names by id: without accounts in ARM
    elsewhere: dict[str, str] = field(default_factory=dict)  # accounts that ARM does not show: tenant id by name
    identities: dict[str, Identity] = field(default_factory=dict)  # by name
    registrations: dict[str, Registration] = field(  # by client id
        default_factory=lambda: {CONSOLE_CLIENT_ID: sasquash()}
    )
    directory: Directory = field(default_factory=Directory)
    deny_assignments: list[DenyAssignment] = field(default_factory=list)
    activity: list[ActivityEvent] = field(default_factory=list)
    role_assignments: list[RoleAssignment] = field(default_factory=list)
    scope_tags: dict[str, dict[str, str]] = field(default_factory=dict)  # by lower-case id of group or subscription
    security_contact: str = ""  # of the subscription: addresses, separated by ";"
    groups: dict[str, Group] = field(default_factory=dict)  # by object id
    app_owners: dict[str, tuple[str, ...]] = field(default_factory=dict)  # users' object ids, by the app's
    users: dict[str, User] = field(default_factory=dict)  # by user principal name, lower case
    mails: list[Mail] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)
    vaults: dict[str, Vault] = field(default_factory=lambda: {KEY_VAULT: Vault(KEY_VAULT)})  # by name, lower case
    events: list[dict[str, Any]] = field(default_factory=list)  # envelope and deliveries, no raw secret
    dead_letters: list[dict[str, Any]] = field(default_factory=list)
    requests: list[RecordedRequest] = field(default_factory=list)
    storage_log: list[StorageLogLine] = field(default_factory=list)  # of accounts with diagnostic settings
    history: list[CustomLogRow] = field(default_factory=list)  # table SasquashHistory_CL of the workspace
    history_delay: float = 0.0  # seconds from the acceptance of a row until it can be queried (minutes in Azure)
    telemetry: list[dict[str, Any]] = field(default_factory=list)  # requests and dependencies as they were tracked
    alerts: Alerts = field(default_factory=Alerts)  # alerts of scanners and of Defender
    senders: Senders = field(default_factory=Senders)
    time_factor: float = 1.0  # divides schedules and visibility timeouts, not the 30 s of an event delivery
    regenerate_seconds: float = 0.25  # how long ARM takes (about 0.6 s in Azure); the old key is accepted meanwhile
    sas_policy_seconds: float = 0.0  # how long until the data plane enforces a changed SAS expiration policy
    publish_keys: Callable[[], Awaitable[None]] | None = None  # passes the keys of `accounts` to the data plane
    tables: Tables | None = None
    _publications: int = 0
    _published: int = 0

    async def keys_changed(self) -> None:
        """Return once the data plane accepts exactly the keys that `accounts` holds now."""
        self._publications += 1
        number = self._publications
        sent = [(account, dict(account.keys)) for account in self.accounts.values()]
        if self.publish_keys is not None:
            await self.publish_keys()
        if number > self._published:  # two at once may end in either order
            self._published = number
            for account, keys in sent:
                account.published_keys = keys

    async def regenerate(self, account: Account, key_name: str) -> None:
        """Regenerate a key of `account`. When this returns, the data plane refuses the old one."""
        await asyncio.sleep(self.regenerate_seconds)
        account.regenerate(key_name)
        await self.keys_changed()

    def identity_of(self, object_id: str) -> Identity | None:
        return next((i for i in self.identities.values() if i.object_id == object_id), None)

    def has_storage(self, account: str) -> bool:
        """Return whether the host names of a storage account resolve."""
        return account in self.accounts or account in self.elsewhere
