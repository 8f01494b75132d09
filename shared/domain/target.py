"""The containment actions and their targets, in a form that can be stored, shown and ordered."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from shared.domain.text import Foreign
from shared.sas import Service

KEY_NAMES = ("key1", "key2")  # kerb1 and kerb2 sign no SAS and are never touched
DELEGATION_KEYS = "all"  # user delegation keys can only be revoked together

# REST: "Naming and referencing containers, blobs, and metadata", and the like for queues, shares and tables; the
# names with "$" are the containers that Azure itself makes.
_RESOURCE_NAMES = {
    Service.BLOB: re.compile(r"\$(?:root|web|logs)|[a-z0-9](?:-?[a-z0-9]){2,62}"),
    Service.QUEUE: re.compile(r"[a-z0-9](?:-?[a-z0-9]){2,62}"),
    Service.FILE: re.compile(r"[a-z0-9](?:-?[a-z0-9]){2,62}"),
    Service.TABLE: re.compile(r"[A-Za-z][A-Za-z0-9]{2,62}"),
}
_RESOURCES = {
    Service.BLOB: "container",
    Service.QUEUE: "queue",
    Service.TABLE: "table",
    Service.FILE: "file share",
}
_LONGEST_NAME = 63
_LONGEST_POLICY = 64  # REST: "Define a stored access policy"


class InvalidTarget(ValueError):
    """A target that the action can't run on. The message names the rule and never repeats the text."""


class ActionKind(StrEnum):
    """The name of a containment action; each has a module in `shared/actions`."""

    ACCOUNT_KEY = "account_key"
    STORED_POLICY = "stored_policy"
    DELEGATION_KEY = "delegation_key"
    LOCKDOWN = "lockdown"
    SAS_EXPIRATION_BLOCK = "sas_expiration_block"


CUTS_OFF_MANY = frozenset({ActionKind.ACCOUNT_KEY, ActionKind.DELEGATION_KEY})
"""Actions that cut off far more than the leak: they are recorded per account and limited per day."""
CAN_BE_UNDONE_BY_OTHERS = frozenset({ActionKind.STORED_POLICY})
"""Actions that others can undo without us: re-creating a policy makes its tokens valid again."""
BLOCKS_WHILE_IN_EFFECT: Mapping[ActionKind, str] = MappingProxyType(
    {ActionKind.LOCKDOWN: "lockdown", ActionKind.SAS_EXPIRATION_BLOCK: "SAS expiration policy"}
)
"""Actions that block the leaked credential and revoke nothing: once undone, it works again. With their names."""
MAY_STAY = frozenset({ActionKind.SAS_EXPIRATION_BLOCK})
"""Of these, those whose change of the account may stay once the leak is revoked: its record is closed then."""


class Lockdown(StrEnum):
    """What can be locked: the use of account keys and what they sign, or the way in from public networks."""

    SHARED_KEY = "shared_key"
    NETWORK = "network"


@dataclass(frozen=True, slots=True)
class PolicyTarget:
    """A stored access policy: `policy` is its id on one container, queue, share or table. Raises InvalidTarget.

    As text it is "blob/models/partners": no resource's name has a "/", while a policy's id may.
    """

    service: Service
    resource: str
    policy: str

    def __post_init__(self) -> None:
        name = _RESOURCE_NAMES.get(self.service)
        if name is None or len(self.resource) > _LONGEST_NAME or not name.fullmatch(self.resource):
            raise InvalidTarget("the target names no container, queue, share or table")
        if not 0 < len(self.policy) <= _LONGEST_POLICY or not self.policy.isprintable():
            raise InvalidTarget(f"a policy's id has 1 to {_LONGEST_POLICY} printable characters")

    def __str__(self) -> str:
        return f"{self.service}/{self.resource}/{self.policy}"

    @property
    def title(self) -> str:
        """What people read: "the stored access policy 'partners' of container models"."""
        return f"the stored access policy '{Foreign(self.policy, limit=_LONGEST_POLICY)}' of {self.place}"

    @property
    def place(self) -> str:
        """Where the policy is: "container models"."""
        return f"{_RESOURCES[self.service]} {self.resource}"

    @classmethod
    def parse(cls, text: str) -> "PolicyTarget":
        """Read what `str` wrote. Raises InvalidTarget."""
        service, _, rest = text.partition("/")
        resource, _, policy = rest.partition("/")
        try:
            return cls(Service(service), resource, policy)
        except ValueError as error:
            raise InvalidTarget(
                str(error)
                if isinstance(error, InvalidTarget)
                else "the target's service is not blob, queue, file or table"
            ) from None
