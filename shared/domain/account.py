"""A storage account as it was read under its lock: properties in ARM, keys, stored access policies."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.target import PolicyTarget
from shared.sas import Service, key_sha256
from shared.sas.classify import moment

# Tags of an account that Sasquash heeds, beside those that name owners (docs/settings.md).
MODE_TAG = "sasquash-mode"
KEY_VAULT_TAG = "sasquash-key-vault"
KEY_VAULT_FORMAT_TAG = "sasquash-key-vault-format"
POLICY_REMOVAL_TAG = "sasquash-policy-removal"
TAGS = frozenset({MODE_TAG, KEY_VAULT_TAG, KEY_VAULT_FORMAT_TAG, POLICY_REMOVAL_TAG})


class Removal(StrEnum):
    """How a stored access policy is revoked: its expiry is set into the past, or it is deleted."""

    TOMBSTONE = "tombstone"
    DELETE = "delete"


def tag_in(tags: Mapping[str, str], name: str) -> str | None:
    """Return what the tag `name` (in lower case) says, None where there is none: ARM compares names without case."""
    return next((value.strip() for given, value in tags.items() if given.lower() == name), None)


KEPT_OUT = {
    "AuthorizationFailure": "the account's network rules keep us out",
    "KeyBasedAuthenticationNotPermitted": "shared key access is switched off for the account",
}
"""Refusals (403) that are made before Azure Storage reads a signature, by error code, with the cause in English."""


@dataclass(frozen=True, slots=True)
class SasPolicy:
    """The account's SAS expiration policy: the longest that a SAS may be valid, and whether Azure refuses others.

    `period` is None where ARM says one that we can't read. `blocks_unbound` says whether Azure refuses user
    delegation SAS that are not bound to a user. `text` is all that ARM says of it, as JSON with its names in order;
    empty where that is too long to be kept, and in rows of earlier versions. Source: "Configure an expiration policy
    for shared access signatures" (MicrosoftDocs/azure-docs, 2025-07-30); ARM, SasPolicy (2026-09-01).
    """

    period: timedelta | None
    blocks: bool
    blocks_unbound: bool = False
    text: str = field(default="", compare=False)

    def refuses(self, parameters: Mapping[str, str]) -> bool:
        """Return whether Azure refuses a SAS with these decoded parameters, whatever key signed it.

        A SAS must have a start, and be valid no longer than the period. The action does not apply to a service SAS
        with a stored access policy.
        """
        is_delegated = "skoid" in parameters
        if is_delegated and self.blocks_unbound and "sduoid" not in parameters:
            return True
        if not self.blocks or ("si" in parameters and not is_delegated):
            return False
        starts, expires = moment(parameters.get("st")), moment(parameters.get("se"))
        return self.period is None or starts is None or expires is None or expires - starts > self.period


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """The account's properties in ARM. `tags` are hostile text.

    `network_rules` is ARM's networkAcls as JSON text with its names in order, "{}" where there is none, and empty
    where it is too long to be kept. `keys_created` has no entry for a key made before ARM kept these times.
    """

    id: str
    name: str
    subscription: str
    resource_group: str
    tags: dict[str, str]
    endpoints: dict[Service, str]  # https URLs
    secondary_endpoints: dict[Service, str]
    shared_key_access: bool = True
    public_network_access: str = "Enabled"
    network_rules: str = ""
    sas_policy: SasPolicy | None = None
    keys_created: dict[str, datetime] = field(default_factory=dict)  # by key name; ARM's keyCreationTime

    @property
    def removal(self) -> Removal:
        """The way to revoke policies, from its tag. Anything but "delete" is the safe default."""
        wanted = (tag_in(self.tags, POLICY_REMOVAL_TAG) or "").lower()
        return Removal.DELETE if wanted == Removal.DELETE else Removal.TOMBSTONE


@dataclass(frozen=True, slots=True)
class AccountKey:
    """One of an account's two keys. `value` is the secret itself: it stays in memory and out of every repr."""

    value: str = field(repr=False)
    created: datetime | None

    @property
    def sha256(self) -> str:
        return key_sha256(self.value)


class PolicyState(StrEnum):
    """The state of a stored access policy. All but LIVE reject every token of it for now."""

    LIVE = "live"
    EXPIRED = "expired"
    TOMBSTONE = "tombstone"  # ours
    GONE = "gone"
    UNREACHABLE = "unreachable"  # nothing is known, and nothing can be done about it from here


class Via(StrEnum):
    """How a policy was read, and can be changed."""

    DATA_PLANE = "data plane"
    ARM = "ARM"


@dataclass(frozen=True, slots=True)
class PolicyReading:
    """One stored access policy as it was read.

    `version` is the SHA-256 (hex) of all that the policy says, of nothing where there is none. `detail` says in
    English why it is UNREACHABLE, or is empty.
    """

    target: PolicyTarget
    state: PolicyState
    version: str
    via: Via
    permissions: str | None = None
    expires: datetime | None = None
    detail: str = ""
