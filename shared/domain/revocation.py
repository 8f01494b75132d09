"""The record of one leak: what leaked, the decision and its reason, the execution, verification and notifications.

It answers every question of a person on call (design decision 11) and holds no credential that works. Verification
tokens are the exception: the execution that they are stored with revoked them, and they are removed after use.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from shared.domain.account import AccountFacts, PolicyReading
from shared.domain.alert import AlertReference
from shared.domain.caller import Caller
from shared.domain.finding import Finding
from shared.domain.known_paths import KnownPaths
from shared.domain.target import BLOCKS_WHILE_IN_EFFECT, ActionKind, Lockdown
from shared.domain.text import LONGEST, RichText, clean
from shared.domain.usage import Usage
from shared.sas import Credential, Service, signed_address


class State(StrEnum):
    """The state of a revocation; docs/design.md explains each."""

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
    """Why a record ended without a revocation; each reason belongs to one state (`STATE_OF`)."""

    EXPIRED = "expired"
    COVERED = "covered"
    NOT_OURS = "not_ours"  # certain: the account is of another tenant
    NOT_COVERED = "not_covered"  # an account of ours or of an unknown tenant, in no monitored subscription
    INVALID = "invalid"
    NO_KEY_MATCHES = "no_key_matches"
    REJECTED = "rejected"
    UNKNOWN_VERSION = "unknown_version"
    PATH_LOST = "path_lost"
    LOOSE = "loose"
    MALFORMED = "malformed"  # a report that could not be read
    POLICY_GONE = "policy_gone"  # dormant: re-creating the policy re-enables the token
    POLICY_EXPIRED = "policy_expired"  # dormant: extending the policy re-enables the token
    LOCKDOWN_UNDONE = "lockdown_undone"  # what the lockdown blocked may work again
    OWN_STORAGE = "own_storage"  # the account is Sasquash's own
    UNDECIDED = "undecided"  # no decision on its plan before the deadline
    BLOCKED = "blocked"
    UNDELIVERED = "undelivered"  # Event Grid gave up on the event
    UNREAD = "unread"  # the reported alert can't be read
    CRASHED = "crashed"  # an unexpected error occurred on each attempt
    STILL_ALIVE = "still_alive"  # the action ran, but the credential is still accepted
    TAMPERED = "tampered"  # the histories of records were changed after they were written


STATE_OF = {
    Reason.EXPIRED: State.DISMISSED,
    Reason.COVERED: State.DISMISSED,
    Reason.NOT_OURS: State.DISMISSED,
    Reason.INVALID: State.DISMISSED,
    Reason.REJECTED: State.DISMISSED,
    Reason.NOT_COVERED: State.UNRESOLVED,
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
    Reason.TAMPERED: State.FAILED,
}

# What the path of a leak decides on: another path may have another result.
OF_THE_PATH = frozenset({Reason.NO_KEY_MATCHES, Reason.PATH_LOST, Reason.UNKNOWN_VERSION})

# A repeated report of one of these is attributed again: a key may be back, or a right granted.
REOPENED_BY_A_NEW_REPORT = frozenset({State.OBSERVED, State.UNRESOLVED, State.FAILED})


MOST_ALERTS = 20
"""How many alerts of one record are checked and closed. Further ones stay open, and the record says so."""

_NOBODY = "nobody (deadline passed, SASQUASH_AT_DEADLINE is revoke)"
_MOST_CHANGES = 30  # a leak that is reported every minute is reopened each time, and the record must stay small


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
    """An action ran. `old_sha256` and `new_sha256` are of the key or the policy; empty where there is none.

    `notes` are English, one sentence each: side effects that people should know.
    """

    action: ActionKind
    target: str
    at: datetime
    old_sha256: str
    new_sha256: str
    confirmed_by: str  # "answer" | "listing" (the current state: the answer was lost, or nothing had to change)
    correlation_id: str | None
    verification_tokens: tuple[VerificationToken, ...] = ()
    notes: tuple[str, ...] = ()

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


class EvidenceOutcome(StrEnum):
    """What the service of an alert says about the evidence that a report quotes from it."""

    CONFIRMED = "confirmed"
    DIFFERS = "differs"  # the service has no such alert, or the alert says something else
    UNCHECKED = "unchecked"  # it could not be read


@dataclass(frozen=True, slots=True)
class EvidenceCheck:
    """The alert was read again at its service, before people were asked. `said` is one or two English sentences."""

    outcome: EvidenceOutcome
    at: datetime
    said: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """A rejection of the plan by a person."""

    by: Caller
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Approval:
    """An approval of the plan with this digest: by a person, or by the deadline if `by` is None."""

    by: Caller | None
    at: datetime
    digest: str
    reason: str

    @property
    def name(self) -> str:
        """Who approved, for people to read."""
        return self.by.name if self.by is not None else _NOBODY

    @property
    def who(self) -> str:
        """Who approved, with the object id, which is unique."""
        return str(self.by) if self.by is not None else _NOBODY


class AtDeadline(StrEnum):
    """What happens to a plan without a decision at its deadline."""

    ESCALATE = "escalate"
    REVOKE = "revoke"


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
    """A lockdown and the state before it. `before` and `after` are ARM's properties as JSON text.

    Recorded with `after` empty before the lockdown, so that it can always be undone.
    """

    kind: Lockdown
    at: datetime
    before: str
    after: str = ""
    undone_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A state that the record reached, when, and its reason if any."""

    state: State
    at: datetime
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Notification:
    """A mail that was sent, and the state in it."""

    state: State
    to: tuple[str, ...]
    at: datetime
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Filed:
    """The incident, and the state in it. `sink` is where it is; empty in records of version 0.2.

    `shared`: it is the incident of several unconfirmed findings (`persistence.hourly_groups`), and `item_id` is the
    group's id, by which it is filed.
    """

    item_id: str
    state: State
    reason: Reason | None = None
    sink: str = ""
    shared: bool = False


@dataclass(frozen=True, slots=True)
class StepLease:
    """An instance runs a step that must not run twice at a time, and holds it until then.

    `holder` is the id of this lease: two may be requested at the same moment.
    """

    step: str
    until: datetime
    holder: str = ""


@dataclass(frozen=True, slots=True)
class Owner:
    """Somebody to notify, and how they were found."""

    address: str
    name: str | None
    found_by: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """Another report of the same leak, and its alert."""

    source: str
    url: str | None
    detected_at: datetime
    alert: AlertReference | None = None


@dataclass(frozen=True, slots=True)
class ClosedAlert:
    """An alert that needs no more work. `said` is one English sentence.

    Not `closed`: it was left open where it had been reported, because nothing proves that it is about this leak, or
    because its service does not permit it. Rows of earlier versions say that only in `said`.
    """

    alert: AlertReference
    at: datetime
    said: str
    closed: bool = True


@dataclass(frozen=True, slots=True)
class HistoryHead:
    """The last line of a record's history (`history.py`): its chain, number and hash.

    `at` is the time that the line is stored under: that of the line, or of an earlier one if clocks disagree.
    """

    chain: str
    line: int
    sha256: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Revocation:
    """One leak's record. Created by `of`, changed by `reach`, `end` and `replace`, stored by the ledger."""

    finding: Finding
    received_at: datetime
    state: State = State.RECEIVED
    reason: Reason | None = None
    detail: str = ""
    account: AccountFacts | None = None
    key_name: str | None = None  # the key that signed it, by signature verification
    key_sha256: str | None = None
    attributed_at: datetime | None = None
    policy: PolicyReading | None = None  # at the time of the decision, if the leak has one
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
    first_approval: Approval | None = None  # of two: it is not enough alone
    approval: Approval | None = None  # with which there are enough
    rejections: tuple[Rejection, ...] = ()
    evidence_check: EvidenceCheck | None = None  # None: not read again yet, or there is no evidence
    reported_again_at: datetime | None = None  # after it was rejected, and to be notified
    key_distribution: KeyDistribution | None = None
    lockdown: LockedDown | None = None
    waits_for_arm: bool = False  # an action was decided on, but ARM accepted no more writes
    closed_alerts: tuple[ClosedAlert, ...] = ()
    more_alerts: bool = False  # alerts were named beyond MOST_ALERTS: they are left open
    usage: Usage | None = None  # None: not checked yet
    remains: tuple[RichText, ...] | None = None  # what stays exposed, in English; None: not checked yet
    paths: KnownPaths = field(default_factory=KnownPaths)
    head: HistoryHead | None = None  # None: its history is empty, or of version 0.2
    etag: str = ""
    written: Change | None = None  # the latest change that the ledger knows; only in memory, as is the ETag

    @classmethod
    def of(cls, finding: Finding, *, now: datetime) -> "Revocation":
        """Return the record of a finding that has just been reported. It keeps the finding's readings as `paths`."""
        kept = replace(finding, candidates=(), unread=0)
        new = cls(kept, now, changes=(Change(State.RECEIVED, now),))
        return new.with_paths(finding)

    @property
    def fingerprint(self) -> str:
        """The leak's identity: 64 hex digits."""
        return self.finding.fingerprint

    @property
    def to_weigh(self) -> Finding:
        """The finding with all readings that are known of its secret."""
        credential = self.finding.credential
        if credential is None:
            return self.finding
        return self.finding.with_readings(self.paths.readings(credential))

    def weighed(self, finding: Finding) -> bool:
        """Whether `finding` has all readings that are known of the record's secret."""
        tried = {signed_address(one) for one in finding.readings}
        return all(signed_address(one) in tried for one in self.to_weigh.readings)

    def with_verified(self, credential: Credential) -> "Revocation":
        """Return the record after one of its readings was verified: the path is final."""
        paths = replace(self.paths, verified=True)
        return replace(self, finding=replace(self.finding, credential=credential), paths=paths)

    def with_paths(self, finding: Finding) -> "Revocation":
        """Return the record with the paths of another report of its leak, as many as fit."""
        credential = self.finding.credential
        if credential is None or self.paths.verified:
            return self
        by_person = finding.reported_by is not None
        paths = self.paths.with_report(credential, finding.readings, by_person=by_person)
        return replace(self, paths=paths) if paths != self.paths else self

    def unknown_paths(self, finding: Finding, *, before: "Revocation | None" = None) -> tuple[Credential, ...]:
        """Return the readings of a report that may matter, and that the record does not have.

        Also those that were not tried `before`, and gave way to the report.
        """
        credential = self.finding.credential
        if credential is None or self.paths.verified:
            return ()
        given_way = before.paths.untried(credential) if before is not None else ()
        return self.paths.unknown(credential, (*finding.readings, *given_way))

    @property
    def account_name(self) -> str | None:
        """The account's name: from ARM, else from the order, else from the leak."""
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
        """Return this record in `state`. The latest changes are kept: the history has them all.

        `detail` is stored in its harmless form, whatever it quotes.
        """
        changes = (*self.changes, Change(state, now, reason))[-_MOST_CHANGES:]
        return replace(self, state=state, reason=reason, detail=clean(detail, limit=LONGEST), changes=changes)

    def end(self, reason: Reason, *, now: datetime, detail: str) -> "Revocation":
        """Return this record in the state that `reason` belongs to."""
        return self.reach(STATE_OF[reason], now=now, detail=detail, reason=reason)

    def reached(self, state: State) -> datetime | None:
        """When the record last reached `state`."""
        return next((change.at for change in reversed(self.changes) if change.state is state), None)

    @property
    def accepted(self) -> bool:
        """Whether Azure has accepted the leaked token itself."""
        return self.liveness is not None and self.liveness.alive is True

    @property
    def proven(self) -> bool:
        """Whether the leaked credential is proven: by its signature, or because Azure accepted the token itself."""
        return self.finding.credential is not None and (self.key_name is not None or self.accepted)

    @property
    def approvals(self) -> tuple[Approval, ...]:
        """The approvals of its plan, the first one first."""
        return tuple(one for one in (self.first_approval, self.approval) if one is not None)

    @property
    def waiting_since(self) -> datetime:
        """Since when the record waits for a verdict: its report, or the one that reopened it."""
        return self.reached(State.RECEIVED) or self.received_at
