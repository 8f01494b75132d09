"""The record of one leak: what leaked, what was decided and why, what was done, what is proven, who was told.

Everything a person on call may ask is in here (design decision 11), and nothing that could be used, but for the
proof tokens: what they hang on was ended by the pull that they are stored with, and they go once they have served.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from shared.domain.account import AccountFacts, PolicyReading
from shared.domain.alert import AlertReference
from shared.domain.caller import Caller
from shared.domain.finding import Finding
from shared.domain.target import ActionKind, Lockdown
from shared.domain.usage import Usage
from shared.sas import Service


class State(StrEnum):
    """Where a revocation stands; docs/design.md says what each means."""

    RECEIVED = "received"
    OBSERVED = "observed"
    AWAITING_APPROVAL = "awaiting_approval"
    CONTAINED = "contained"
    PROVEN = "proven"
    CLOSED = "closed"
    DISMISSED = "dismissed"
    UNRESOLVED = "unresolved"
    FAILED = "failed"


class Reason(StrEnum):
    """Why a record ended where it did without a kill; each belongs to one state (`STATE_OF`)."""

    EXPIRED = "expired"
    COVERED = "covered"
    NOT_OURS = "not_ours"
    INVALID = "invalid"
    NO_KEY_MATCHES = "no_key_matches"
    REJECTED = "rejected"
    UNKNOWN_VERSION = "unknown_version"
    PATH_LOST = "path_lost"
    LOOSE = "loose"
    MALFORMED = "malformed"  # a report that could not be read
    POLICY_GONE = "policy_gone"  # dormant: a policy made anew under its id would revive it
    POLICY_EXPIRED = "policy_expired"  # dormant: a policy whose end is moved would revive it
    LOCKDOWN_UNDONE = "lockdown_undone"  # what the lockdown had kept out may come in again
    OWN_STORAGE = "own_storage"  # the account is Sasquash's own
    UNDECIDED = "undecided"  # nobody decided on its plan in time
    BLOCKED = "blocked"
    UNDELIVERED = "undelivered"  # Event Grid gave up on the event
    UNREAD = "unread"  # an alert was reported, and can't be read where it is
    CRASHED = "crashed"  # an error that nobody foresaw kept stopping it
    STILL_ALIVE = "still_alive"  # pulled, and yet accepted


STATE_OF = {
    Reason.EXPIRED: State.DISMISSED,
    Reason.COVERED: State.DISMISSED,
    Reason.NOT_OURS: State.DISMISSED,
    Reason.INVALID: State.DISMISSED,
    Reason.REJECTED: State.DISMISSED,
    Reason.NO_KEY_MATCHES: State.UNRESOLVED,
    Reason.UNKNOWN_VERSION: State.UNRESOLVED,
    Reason.PATH_LOST: State.UNRESOLVED,
    Reason.LOOSE: State.UNRESOLVED,
    Reason.MALFORMED: State.UNRESOLVED,
    Reason.POLICY_GONE: State.UNRESOLVED,
    Reason.POLICY_EXPIRED: State.UNRESOLVED,
    Reason.LOCKDOWN_UNDONE: State.UNRESOLVED,
    Reason.OWN_STORAGE: State.UNRESOLVED,
    Reason.UNDECIDED: State.UNRESOLVED,
    Reason.BLOCKED: State.FAILED,
    Reason.UNDELIVERED: State.FAILED,
    Reason.UNREAD: State.FAILED,
    Reason.CRASHED: State.FAILED,
    Reason.STILL_ALIVE: State.FAILED,
}

# A repeated report of one of these is attributed again: a key may have come back, a right been granted.
REOPENED_BY_A_NEW_REPORT = frozenset({State.OBSERVED, State.UNRESOLVED, State.FAILED})


_NOBODY = "nobody (its deadline passed, and SASQUASH_AT_DEADLINE is revoke)"
_MOST_CHANGES = 30  # a leak that is reported every minute is reopened as often, and the record must stay small


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done. `digest` covers account, action, target and version: a person's decision binds to it.

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
    """A token of our own that hangs on what is to die. `query` is the only credential that is stored, once that died.

    One by a key reads one object that does not exist, for half an hour; one of a stored access policy may do what the
    policy gives.
    """

    service: Service
    url: str  # https://<account>.<service>.…/<a random object>, without the query
    query: str = field(repr=False)
    expires: datetime
    accepted_before: bool | None = None  # None: could not be told


@dataclass(frozen=True, slots=True)
class Execution:
    """The lever was pulled. `old_sha256` and `new_sha256` are of the key or the policy; empty where there is none.

    `notes` are English, one sentence each: what came with it that a person should know.
    """

    action: ActionKind
    target: str
    at: datetime
    old_sha256: str
    new_sha256: str
    confirmed_by: str  # "answer" | "listing" (by what is there now: the answer was lost, or nothing had to change)
    correlation_id: str | None
    verification_tokens: tuple[VerificationToken, ...] = ()
    notes: tuple[str, ...] = ()


class Outcome(StrEnum):
    """What a proof has come to."""

    PENDING = "pending"
    PROVEN = "proven"
    ARM_ONLY = "arm_only"
    STILL_ALIVE = "still_alive"


@dataclass(frozen=True, slots=True)
class Verification:
    """What is known of the credential's death. `evidence` is one English sentence an item.

    `accepted`: a proof token was accepted at last sight.
    """

    outcome: Outcome
    at: datetime
    evidence: tuple[str, ...]
    accepted: bool = False


@dataclass(frozen=True, slots=True)
class Liveness:
    """What Azure said to the leaked token itself: asked once, and only of a user delegation SAS.

    `alive` is None where it could not be told. `said` is one English sentence.
    """

    at: datetime
    alive: bool | None
    said: str


@dataclass(frozen=True, slots=True)
class Approval:
    """A yes to the plan with this digest: a person's, or of the deadline, where `by` is None."""

    by: Caller | None
    at: datetime
    digest: str
    reason: str

    @property
    def name(self) -> str:
        """Who said it, for people to read."""
        return self.by.name if self.by is not None else _NOBODY

    @property
    def who(self) -> str:
        """Who said it, with what tells two people of one name apart."""
        return str(self.by) if self.by is not None else _NOBODY


class AtDeadline(StrEnum):
    """What becomes of a plan that nobody decides on in time."""

    ESCALATE = "escalate"
    REVOKE = "revoke"


class KeyDistributionOutcome(StrEnum):
    """What came of handing the new key over to its consumers."""

    DONE = "done"
    NOT_ASKED = "not_asked"  # no tag names a secret
    DECLINED = "declined"  # what is there is not the old key, or not a place that the settings allow


@dataclass(frozen=True, slots=True)
class KeyDistribution:
    """Whether the new key is where its consumers fetch it. `secret` is the secret's id without a version."""

    outcome: KeyDistributionOutcome
    at: datetime
    said: str  # one English sentence
    secret: str | None = None


@dataclass(frozen=True, slots=True)
class LockedDown:
    """What was locked, and how it was before. `before` and `after` are ARM's properties as JSON text.

    Written with `after` empty before the lock is put on, so that the way back is never lost.
    """

    kind: Lockdown
    at: datetime
    before: str
    after: str = ""
    undone_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A state that the record reached, when, and for which reason if there is one."""

    state: State
    at: datetime
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Notification:
    """A mail that went out, and what it told."""

    state: State
    to: tuple[str, ...]
    at: datetime
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Filed:
    """The incident, and what it shows."""

    item_id: str
    state: State
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class StepLease:
    """A worker is at a step that must not be done by two at once, and has it until then.

    `holder` is an id of this one claim: two may be made at the same moment.
    """

    step: str
    until: datetime
    holder: str = ""


@dataclass(frozen=True, slots=True)
class Owner:
    """Somebody to tell, and how they were found."""

    address: str
    name: str | None
    found_by: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """Another report of the same leak, and the alert behind it."""

    source: str
    url: str | None
    detected_at: datetime
    alert: AlertReference | None = None


@dataclass(frozen=True, slots=True)
class ClosedAlert:
    """An alert that was closed where it had been reported. `said` is one English sentence."""

    alert: AlertReference
    at: datetime
    said: str


@dataclass(frozen=True, slots=True)
class Revocation:
    """One leak's record. Made by `of`, changed by `reach`, `end` and `dataclasses.replace`, kept by the ledger."""

    finding: Finding
    received_at: datetime
    state: State = State.RECEIVED
    reason: Reason | None = None
    detail: str = ""
    account: AccountFacts | None = None
    key_name: str | None = None  # who signed it, by arithmetic
    key_sha256: str | None = None
    attributed_at: datetime | None = None
    policy: PolicyReading | None = None  # as it stood when it was decided, where one governs the leak
    decided_by: str = ""  # the mode or rule that decided, in English
    plan: Plan | None = None
    deadline: datetime | None = None
    at_deadline: AtDeadline = AtDeadline.ESCALATE
    execution: Execution | None = None
    verification: Verification | None = None
    filed: Filed | None = None
    notifications: tuple[Notification, ...] = ()
    announced: tuple[Change, ...] = ()
    leases: tuple[StepLease, ...] = ()
    owners: tuple[Owner, ...] | None = None  # None: not looked up yet
    owners_rejected: tuple[str, ...] = ()
    sightings: tuple[Sighting, ...] = ()
    changes: tuple[Change, ...] = ()
    account_lookups: int = 0
    liveness: Liveness | None = None
    approval: Approval | None = None
    key_distribution: KeyDistribution | None = None
    lockdown: LockedDown | None = None
    waits_for_arm: bool = False  # a lever was decided on, and ARM took no more changes
    closed_alerts: tuple[ClosedAlert, ...] = ()
    usage: Usage | None = None  # None: not asked yet
    remains: tuple[str, ...] | None = None  # what stays open although it is dead, in English; None: not looked at yet
    etag: str = ""
    written: Change | None = None  # the latest change that the ledger knows; only in memory, as is the ETag

    @classmethod
    def of(cls, finding: Finding, *, now: datetime) -> "Revocation":
        """Return the record of a finding that has just been reported."""
        return cls(finding, now, changes=(Change(State.RECEIVED, now),))

    @property
    def fingerprint(self) -> str:
        """The leak's identity: 64 hex digits."""
        return self.finding.fingerprint

    @property
    def account_name(self) -> str | None:
        """The account's name: as ARM has it, else as it was ordered, else as the leak spells it."""
        finding = self.finding
        if self.account is not None:
            return self.account.name
        if finding.order is not None:
            return finding.order.account
        return finding.credential.account if finding.credential is not None else None

    @property
    def alerts(self) -> tuple[AlertReference, ...]:
        """The alerts of other tools about this leak, each once."""
        known = (self.finding.alert, *(sighting.alert for sighting in self.sightings))
        return tuple(dict.fromkeys(alert for alert in known if alert is not None))

    def reach(self, state: State, *, now: datetime, detail: str, reason: Reason | None = None) -> "Revocation":
        """Return this record in `state`. The latest changes are kept: the history has them all."""
        changes = (*self.changes, Change(state, now, reason))[-_MOST_CHANGES:]
        return replace(self, state=state, reason=reason, detail=detail, changes=changes)

    def end(self, reason: Reason, *, now: datetime, detail: str) -> "Revocation":
        """Return this record in the state that `reason` belongs to."""
        return self.reach(STATE_OF[reason], now=now, detail=detail, reason=reason)

    def reached(self, state: State) -> datetime | None:
        """When the record last reached `state`."""
        return next((change.at for change in reversed(self.changes) if change.state is state), None)

    @property
    def waiting_since(self) -> datetime:
        """Since when the record waits for a verdict: its report, or the one that reopened it."""
        return self.reached(State.RECEIVED) or self.received_at
