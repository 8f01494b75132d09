"""A planned action, its execution, and what came of it: verification, key distribution, how to undo a lockdown."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from shared.domain.target import BLOCKS_WHILE_IN_EFFECT, MAY_STAY, ActionKind
from shared.sas import Service

OTHERS = "others"
"""What confirms an execution that is not ours: the leak was verified before, and its key or policy has changed."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A planned action. `digest` covers account, action, target and version: a person's decision binds to it.

    `target` is one that the action's `check_target` accepts. `version` is the SHA-256 (hex) of the key, or of the
    policy as it stands: with it the digest goes stale. `steps` (in order) and `impact` are English sentences.
    """

    action: ActionKind
    account_id: str
    target: str
    version: str
    reason: str
    steps: tuple[str, ...]
    impact: tuple[str, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class VerificationToken:
    """A token of our own that the action revokes, too. `query` is the only credential that is stored, once revoked.

    A token signed by a key can read one object that does not exist, for half an hour; a token of a stored access
    policy has the policy's permissions.
    """

    service: Service
    url: str  # https://<account>.<service>.…/<a random object>, without the query
    query: str = field(repr=False)
    expires: datetime
    accepted_before: bool | None = None  # None: unknown


@dataclass(frozen=True, slots=True)
class Execution:
    """An action ran: ours, or what somebody else did to the same effect (`OTHERS`).

    `old_sha256` and `new_sha256` are of the key or the policy; empty where there is none.
    `notes` are English, one sentence each: side effects that people should know.
    """

    action: ActionKind
    target: str
    at: datetime
    old_sha256: str
    new_sha256: str
    confirmed_by: str  # "answer" | "listing" (the state after it: its answer was lost, or nothing to change) | OTHERS
    correlation_id: str | None
    verification_tokens: tuple[VerificationToken, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_ours(self) -> bool:
        """Whether Sasquash ran it."""
        return self.confirmed_by != OTHERS

    @property
    def revokes(self) -> bool:
        """Whether the credential is gone, not only blocked while the action is in effect."""
        return self.action not in BLOCKS_WHILE_IN_EFFECT


class Outcome(StrEnum):
    """The result of a verification."""

    PENDING = "pending"
    PROVEN = "proven"
    ARM_ONLY = "arm_only"
    STILL_ALIVE = "still_alive"
    IN_EFFECT = "in_effect"  # the action blocks the credential; it is not revoked
    NOT_ENFORCED = "not_enforced"  # ARM shows the change, and Azure Storage did not follow in time


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether the credential is still accepted. `evidence` is one English sentence an item.

    `accepted`: a verification token was accepted at the last check.
    """

    outcome: Outcome
    at: datetime
    evidence: tuple[str, ...]
    accepted: bool = False


@dataclass(frozen=True, slots=True)
class Liveness:
    """Azure's response to the leaked token itself, at one path: requested only for a user delegation SAS.

    `alive` is None if unknown; False says that the token does not work at `path`. `said` is one English sentence.
    """

    at: datetime
    alive: bool | None
    said: str
    path: str | None = None


class KeyDistributionOutcome(StrEnum):
    """The result of a key distribution."""

    DONE = "done"
    NOT_ASKED = "not_asked"  # no tag names a secret
    DECLINED = "declined"  # the secret does not hold the old key, or the settings do not allow it


@dataclass(frozen=True, slots=True)
class KeyDistribution:
    """Whether the new key is where its consumers read it. `secret` is the secret's id without a version."""

    outcome: KeyDistributionOutcome
    at: datetime
    said: str  # one English sentence
    secret: str | None = None


@dataclass(frozen=True, slots=True)
class LockedDown:
    """A change that blocks a leak, and the state before it. `before` and `after` are ARM's properties as JSON text.

    Recorded with `after` empty before the change, so that it can always be undone. `kind` is the target of `action`.
    `ineffective_at` is when Azure had not enforced the change in time: the action is not run for this leak again.
    """

    kind: str
    at: datetime
    before: str
    after: str = ""
    undone_at: datetime | None = None
    action: ActionKind = ActionKind.LOCKDOWN
    ineffective_at: datetime | None = None

    @property
    def name(self) -> str:
        """What people call the change: "lockdown"."""
        return BLOCKS_WHILE_IN_EFFECT[self.action]

    @property
    def keeps_open(self) -> bool:
        """Whether its record stays open until it is undone. With `after` empty it never took effect."""
        return bool(self.after) and self.undone_at is None and self.action not in MAY_STAY
