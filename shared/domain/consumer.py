"""Who uses a storage account's keys: Azure resources that hold one, and clients that the storage logs show. Pure.

What can't be read is a list of its own, and never counts as "none": "nobody uses it" is said only where every kind of
resource was read, and the logs cover the days that were asked for.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from shared.domain.usage import Client


class Certainty(StrEnum):
    """How sure it is that a resource uses the key."""

    CERTAIN = "certain"  # Azure says so
    MAY = "may"  # Azure says that it uses the account, and not with which credential


class Recovery(StrEnum):
    """How a consumer gets the new key once the old one is gone."""

    ITSELF = "itself"  # without anybody's doing
    SASQUASH = "sasquash"  # by a call that Sasquash makes
    PERSON = "person"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """An Azure resource that uses a key of the account, or may.

    `resource_id` and `name` are hostile text. `kind` names the service in English ("App Service"). `key` is "key1" or
    "key2", None where it is not known which. `basis` is a sentence: the ground of `certainty`. `minutes` is how long
    the recovery takes at most, None where nobody can say. `by_hand` is the command for a person, if there is one.
    """

    resource_id: str
    name: str
    kind: str
    key: str | None
    certainty: Certainty
    basis: str
    recovery: Recovery
    minutes: int | None = None
    by_hand: str = ""

    @property
    def is_bound(self) -> bool:
        """Whether a decision depends on it: it fails for certain, and nobody but a person repairs it."""
        return self.certainty is Certainty.CERTAIN and self.recovery is Recovery.PERSON


@dataclass(frozen=True, slots=True)
class NotRead:
    """What could not be read, and why, in English: a kind of resource, a subscription, the logs."""

    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumersByResource:
    """What Azure Resource Manager shows. `left_out` counts consumers beyond those that are kept."""

    at: datetime
    found: tuple[Consumer, ...] = ()
    not_read: tuple[NotRead, ...] = ()
    left_out: int = 0

    def of_key(self, key: str) -> "ConsumersByResource":
        """Return those that a change of `key` concerns: its own, and those of which the key is not known."""
        return replace(self, found=tuple(each for each in self.found if each.key in (None, key)))


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherSas:
    """A SAS of the same key that is in use, proven by its signature: it ends with the key.

    `grants` and `resource` are English and hostile text, as in the list of SAS in use.
    """

    signature_sha256: str
    grants: str
    resource: str
    expires: datetime | None
    last_used: datetime
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumersByUse:
    """Who used the key with this SHA-256 (hex) in the last `days` before `at`, by the storage logs.

    `unknown` says in one or two English sentences why the use is not known, and is empty where it is. `covered_days`
    is for how many days the logs certainly cover the account.
    """

    at: datetime
    key: str
    key_sha256: str
    days: int
    covered_days: int = 0
    clients: tuple[Client, ...] = ()
    other_sas: tuple[OtherSas, ...] = ()
    other_sas_left_out: int = 0
    unknown: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What is known of the consumers of an account's keys, from the daily check. A plan has it at once."""

    account: str
    account_id: str
    by_resource: ConsumersByResource | None = None
    by_use: tuple[ConsumersByUse, ...] = ()  # one for each key

    def use_of(self, key_sha256: str) -> ConsumersByUse | None:
        """Return the use of the key as it is now; lines of an earlier key of the same name don't count."""
        return next((each for each in self.by_use if each.key_sha256 == key_sha256), None)


def bound(consumers: Iterable[Consumer]) -> frozenset[str]:
    """Return the ids, in lower case, of the consumers that a decision binds to."""
    return frozenset(each.resource_id.lower() for each in consumers if each.is_bound)
