"""What Microsoft Graph serves: users, groups, sent mail and the items of the SharePoint list."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from local.tenant.model.clock import now


@dataclass(frozen=True)
class Group:
    """A group of the directory: object ids of its users and of the groups in it. Groups may contain each other."""

    object_id: str
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class User:
    """A person or a mailbox of the directory."""

    object_id: str
    display_name: str
    user_principal_name: str
    mail: str | None
    account_enabled: bool = True


@dataclass(frozen=True)
class Mail:
    """A mail that was sent through Graph."""

    sender: str
    to: tuple[str, ...]
    cc: tuple[str, ...]
    subject: str
    body: str
    content_type: str
    sent_at: datetime


@dataclass
class Incident:
    """An item of the SharePoint list."""

    item_id: str
    sink: str
    fields: dict[str, Any]
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)
