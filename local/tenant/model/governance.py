"""What ARM knows about access to resources: role assignments, deny assignments and the activity log."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class DenyAssignment:
    """Denies a principal (everyone, by the id of zeros) some actions at a scope and below."""

    id: str
    name: str
    scope: str
    actions: tuple[str, ...]
    principal: str
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True)
class ActivityEvent:
    """A line of the activity log. `operation` is the name of the action, such as ".../regenerateKey/action".

    `body` is that of the request, in the event of its start alone. `address` is the client's.
    """

    at: datetime
    resource: str
    operation: str
    caller: str
    status: str = "Succeeded"
    object_id: str = ""
    client_id: str = ""
    operation_id: str = ""
    correlation_id: str = ""
    address: str = ""
    body: str = ""


@dataclass(frozen=True)
class RoleAssignment:
    """A built-in role of a principal at a scope. `role` is a GUID; `kind`: "User", "Group" or "ServicePrincipal"."""

    principal: str
    kind: str
    role: str
    scope: str
