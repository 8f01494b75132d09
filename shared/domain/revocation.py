"""The record of one leak: what leaked, the decision and its reason, the execution, verification and notifications.

It answers every question of a person on call (design decision 11) and holds no credential that works. Verification
tokens are the exception: the execution that they are stored with revoked them, and they are removed after use.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.domain.account import AccountFacts, PolicyReading
from shared.domain.alert import AlertReference
from shared.domain.approval import Approval, AtDeadline, EvidenceCheck, Rejection
from shared.domain.changed_by import Unknown
from shared.domain.elsewhere import NOWHERE, Elsewhere
from shared.domain.execution import (
    Execution,
    KeyDistribution,
    Liveness,
    LockedDown,
    Plan,
    Verification,
)
from shared.domain.finding import Finding
from shared.domain.known_paths import KnownPaths
from shared.domain.named_alerts import NamedAlerts
from shared.domain.readings import Reading
from shared.domain.refusal import Refusal, refused_again
from shared.domain.signer import Signer
from shared.domain.states import STATE_OF, Reason, State
from shared.domain.target import ActionKind
from shared.domain.text import LONGEST, RichText, clean
from shared.domain.usage import Usage
from shared.errors import Blocked
from shared.sas import Credential, signed_parts

_MOST_CHANGES = 30  # a leak that is reported every minute is reopened each time, and the record must stay small
_LONGEST_CAUSE = 300
_ORDERS_TRIED_FOR = timedelta(days=7)  # an order that is months old would surprise people
_MOST_CLOSED = 20  # of 1500 characters; the history has them all


@dataclass(frozen=True, slots=True)
class Change:
    """A state that the record reached, when, and its reason if any.

    `revivals` is how often the record had been revived by then, this change included (`news.py`). `cause` is why it
    is `blocked` (`Refusal.cause_id`), else empty.
    """

    state: State
    at: datetime
    reason: Reason | None = None
    revivals: int = 0
    cause: str = ""


@dataclass(frozen=True, slots=True)
class ForeignChange:
    """What Azure's logs said at `at` about who made a change that is not ours.

    `change` is the record's change that it led to. `unknown`: nobody is named, and why.
    """

    change: Change
    at: datetime
    said: RichText
    unknown: Unknown | None = None


@dataclass(frozen=True, slots=True)
class Notification:
    """A mail that was sent, and the state in it.

    `change` is the one that it was about, None in rows of earlier versions. `again` is the `reported_again_at` that
    it was about, if any, and `confirmed_at` the time of the check that confirmed the evidence by then.
    """

    state: State
    to: tuple[str, ...]
    at: datetime
    reason: Reason | None = None
    change: Change | None = None
    again: datetime | None = None
    confirmed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Filed:
    """The incident, and the state in it. `sink` is where it is; empty in records of version 0.2.

    `shared`: it is the incident of several unconfirmed findings (`persistence.hourly_groups`), and `item_id` is the
    group's id, by which it is filed. `change` is the change that it shows, None in rows of earlier versions, and
    `confirmed_at` the time of the check that it shows, if that confirmed the evidence.
    """

    item_id: str
    state: State
    reason: Reason | None = None
    sink: str = ""
    shared: bool = False
    change: Change | None = None
    confirmed_at: datetime | None = None


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
    logs_searched_at: datetime | None = None  # for the account of a token that was reported without one
    duplicate_of: str = ""  # the id of the record that decides on the same secret
    liveness: Liveness | None = None
    first_approval: Approval | None = None  # of two: it is not enough alone
    approval: Approval | None = None  # with which there are enough
    rejections: tuple[Rejection, ...] = ()
    evidence_check: EvidenceCheck | None = None  # None: not read again yet, or there is no evidence
    reported_again_at: datetime | None = None  # after it was rejected, and to be notified
    key_distribution: KeyDistribution | None = None
    lockdown: LockedDown | None = None
    waits_for_arm: bool = False  # an action was decided on, but ARM accepted no more writes
    refusal: Refusal | None = None  # the latest one of its action; None: there was none, or it was reopened since
    signer: Signer | None = None  # which key signed it, once verified; it stays when the key is gone
    undone: Execution | None = None  # the execution of before the last revival, which somebody undid
    changed_by: ForeignChange | None = None  # None: not looked up yet, or nobody else has changed anything
    closed_alerts: tuple[ClosedAlert, ...] = ()  # the latest; `named_alerts` knows more
    named_alerts: NamedAlerts = field(default_factory=NamedAlerts)  # those beyond the sightings, and what is settled
    usage: Usage | None = None  # None: not checked yet
    remains: tuple[RichText, ...] | None = None  # what stays exposed, in English; None: not checked yet
    paths: KnownPaths = field(default_factory=KnownPaths)
    elsewhere: Elsewhere = NOWHERE  # readings at other hosts, until one is proven
    head: HistoryHead | None = None  # None: its history is empty, or of version 0.2
    etag: str = ""
    written: Change | None = None  # the latest change that the ledger knows; only in memory, as is the ETag
    as_read: tuple[tuple[str, str], ...] = field(default=(), compare=False)  # its columns of JSON; only in memory

    @classmethod
    def of(cls, finding: Finding, *, now: datetime) -> "Revocation":
        """Return the record of a finding that has just been reported. It keeps the finding's readings as `paths`."""
        kept = replace(finding, candidates=(), unread=0)
        new = cls(kept, now, changes=(Change(State.RECEIVED, now),))
        return new.with_readings(finding)

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

    @property
    def everywhere(self) -> Finding:
        """The finding with all readings that are known of its secret, those at other hosts included."""
        finding, credential = self.to_weigh, self.finding.credential
        if credential is None:
            return finding
        return finding.with_readings((*finding.readings, *self.elsewhere.credentials(credential)))

    def with_place(self, credential: Credential) -> "Revocation":
        """Return the record with another reading of its secret, to be tried."""
        return self.with_readings(self.finding.with_readings([credential]))

    def duplicate(self, of: str, *, now: datetime) -> "Revocation":
        """Return the record as a duplicate of the record with that id."""
        detail = f"Record {of[:12]} has the same secret, which was reported for another address. It decides."
        return replace(self.end(Reason.DUPLICATE, now=now, detail=detail), duplicate_of=of)

    def weighed(self, finding: Finding) -> bool:
        """Whether `finding` has all readings that are known of the record's secret."""
        tried = {signed_parts(one) for one in finding.readings}
        return all(signed_parts(one) in tried for one in self.to_weigh.readings)

    def with_verified(self, credential: Credential) -> "Revocation":
        """Return the record after one of its readings was verified: the path is final."""
        paths = self.paths.of_verified(credential, self.finding.credential or credential)
        return replace(self, finding=replace(self.finding, credential=credential), paths=paths)

    def with_readings(self, finding: Finding) -> "Revocation":
        """Return the record with the readings of another report of its leak, as many as fit."""
        credential = self.finding.credential
        if credential is None or self.paths.verified:
            return self
        by_person = finding.reported_by is not None
        paths = self.paths.with_report(credential, finding.readings_at(credential.host), by_person=by_person)
        elsewhere = self.elsewhere.with_report(credential, finding.everywhere)
        if (paths, elsewhere) == (self.paths, self.elsewhere):
            return self
        return replace(self, paths=paths, elsewhere=elsewhere)

    def tried_at(self, readings: Iterable[Reading]) -> "Revocation":
        """Return the record after no key signed these readings at other hosts."""
        return replace(self, elsewhere=self.elsewhere.tried_at(readings))

    def read_at(self, host: str) -> "Revocation":
        """Return the record with its readings at another host: the account of its own is none that is monitored."""
        own = self.finding.credential
        if own is None:
            return self
        known = (*self.elsewhere.tried, *self.elsewhere.waiting)
        first, *others = (one.applied_to(own) for one in known if one.host == host)
        moved = replace(self, finding=replace(self.finding, credential=first), paths=KnownPaths())
        moved = moved.with_readings(moved.finding.with_readings(others))
        return replace(moved, elsewhere=self.elsewhere.left(own))

    def placed(self, credential: Credential, signer: Signer) -> "Revocation":
        """Return the record after one of its readings at other hosts was proven: it is the leak's place."""
        return replace(
            self,
            finding=replace(self.finding, credential=credential),
            paths=KnownPaths(known=(), verified=True),
            elsewhere=NOWHERE,
            signer=signer,
        )

    def unknown_paths(self, finding: Finding, *, before: "Revocation | None" = None) -> tuple[Credential, ...]:
        """Return the readings of a report that may matter, and that the record does not have.

        Also those that were not tried `before`, and gave way to the report.
        """
        credential = self.finding.credential
        if credential is None or self.paths.verified:
            return ()
        given_way = before.paths.untried(credential) if before is not None else ()
        return self.paths.unknown(credential, (*finding.readings_at(credential.host), *given_way))

    def has_new_places(self, finding: Finding) -> bool:
        """Whether a report has readings at other hosts that the record does not have, and that may matter."""
        credential = self.finding.credential
        if credential is None or self.paths.verified:
            return False
        return bool(self.elsewhere.unknown(credential, finding.everywhere))

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
        """The alerts of other tools about this leak that have a place, each once."""
        return tuple(dict.fromkeys((*self.shown_alerts, *self.named_alerts.waiting)))

    @property
    def shown_alerts(self) -> tuple[AlertReference, ...]:
        """The alerts of the first reports, which the record shows with their places."""
        known = (self.finding.alert, *(sighting.alert for sighting in self.sightings))
        return tuple(dict.fromkeys(alert for alert in known if alert is not None))

    def has_settled(self, alert: AlertReference) -> bool:
        """Whether an alert needs no more work: it was closed, or left open for good."""
        return self.named_alerts.has_settled(alert) or any(settled.alert == alert for settled in self.closed_alerts)

    def with_settled(self, settled: Iterable[ClosedAlert], *, now: datetime) -> "Revocation":
        """Return the record after these alerts were checked. Another instance may have settled one of them, too."""
        new = tuple(one for one in settled if not self.has_settled(one.alert))
        alerts = (*(one.alert for one in self.closed_alerts), *(one.alert for one in new))
        return replace(
            self,
            closed_alerts=(*self.closed_alerts, *new)[-_MOST_CLOSED:],
            named_alerts=self.named_alerts.with_settled(alerts, now=now),
        )

    def reach(self, state: State, *, now: datetime, detail: str, reason: Reason | None = None) -> "Revocation":
        """Return this record in `state`. The latest changes are kept: the history has them all.

        `detail` is stored in its harmless form, whatever it quotes.
        """
        changes = self.changes_with(Change(state, now, reason))
        return replace(self, state=state, reason=reason, detail=clean(detail, limit=LONGEST), changes=changes)

    def changes_with(self, change: Change) -> tuple[Change, ...]:
        """Return the latest changes with another one, which says how often the record was revived by then."""
        revivals = self.changes[-1].revivals if self.changes else 0
        last = replace(change, revivals=revivals + (change.reason is Reason.REVIVED))
        return (*self.changes, last)[-_MOST_CHANGES:]

    def end(self, reason: Reason, *, now: datetime, detail: str) -> "Revocation":
        """Return this record in the state that `reason` belongs to."""
        return self.reach(STATE_OF[reason], now=now, detail=detail, reason=reason)

    def blocked(self, error: Blocked, *, now: datetime) -> "Revocation":
        """Return this record after a refusal: `failed`, and to be tried again until the leak expires.

        An order is tried again for a week: it has no end of its own, and nobody expects it later.
        """
        cause = clean(error.cause, limit=_LONGEST_CAUSE)
        refusal = refused_again(self.refusal, cause, is_lasting=error.is_lasting, now=now)
        credential, next_at = self.finding.credential, refusal.next_at
        ends = credential.ends if credential is not None else refusal.since + _ORDERS_TRIED_FOR
        if next_at is not None and ends is not None and ends < next_at:
            next_at = ends if credential is not None else None  # at the end of a token its record ends, too
        ended = self.end(Reason.BLOCKED, now=now, detail=str(error))
        last = replace(ended.changes[-1], cause=refusal.cause_id)
        return replace(ended, changes=(*ended.changes[:-1], last), refusal=replace(refusal, next_at=next_at))

    @property
    def next_attempt(self) -> datetime | None:
        """When an action that was refused is tried again; None where none is."""
        return self.refusal.next_at if self.reason is Reason.BLOCKED and self.refusal is not None else None

    def reached(self, state: State) -> datetime | None:
        """When the record last reached `state`."""
        return next((change.at for change in reversed(self.changes) if change.state is state), None)

    @property
    def ineffective(self) -> ActionKind | None:
        """The action that Azure did not enforce for this leak, if there is one: another has to stop it."""
        locked = self.lockdown
        return locked.action if locked is not None and locked.ineffective_at is not None else None

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
