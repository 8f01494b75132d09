"""Groups what Azure keeps refusing by account and cause, for the daily reminder. Pure.

Records are counted as they are read, and of each group only the worst are kept: floods are large.
"""

import hashlib
from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from shared.actions.registry import ACTION_SPECS
from shared.domain.decision.effective_permissions import of_record
from shared.domain.pending_steps import mailed_at_once
from shared.domain.refusal import Refusal
from shared.domain.revocation import Revocation
from shared.domain.states import Reason
from shared.domain.text import Code
from shared.sas import Severity, assess

SHOWN = 20  # leaks of a mail
MOST_GROUPS = 500  # of confirmed leaks, and as many of the others; leaks of further ones are only counted
_MOST_OWNERS = 20
_MOST_COMMANDS = 3
_RECENTLY = timedelta(hours=20)  # less than a day: the first refusal was mailed, and the next pass reminds people
_SEVERITIES = [severity.value for severity in reversed(Severity)]
_BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RefusedLeak:
    """One leak, or order, as a reminder lists it. Its texts come from outside, unchanged."""

    fingerprint: str
    c3id: str
    severity: str
    source: str
    since: datetime
    ends: datetime | None

    @property
    def rank(self) -> tuple[int, datetime, str]:
        """Its place among others, the worst first: by severity, then by time."""
        return (_SEVERITIES.index(self.severity), self.since, self.fingerprint)


@dataclass(slots=True, kw_only=True)
class RefusedGroup:
    """The leaks of one account that Azure refuses to revoke for one cause.

    `detail` says what to do about the newest one, `commands` revoke some by hand. `next_at` is the next attempt at
    any of them, None where Sasquash tries none again. `worst` are the first `SHOWN`, the worst first.
    """

    account: str
    cause: str
    total: int = 0
    orders: int = 0  # of `total`
    since: datetime
    next_at: datetime | None = None
    newest: str = ""  # its fingerprint
    detail: str = ""
    commands: dict[Code, None] = field(default_factory=dict)
    owners: dict[str, None] = field(default_factory=dict)  # addresses, in lower case
    worst: list[RefusedLeak] = field(default_factory=list)
    _newest_at: datetime = _BEGINNING

    @property
    def id(self) -> str:
        """The group's identity, the same every day: 32 hex digits."""
        return hashlib.sha256(f"{self.account}|{self.cause}".encode(errors="surrogatepass")).hexdigest()[:32]

    def add(self, revocation: Revocation, refusal: Refusal, *, now: datetime) -> None:
        """Count a record of the group."""
        self.total += 1
        self.orders += revocation.finding.credential is None
        self.since = min(self.since, refusal.since)
        if refusal.next_at is not None:
            self.next_at = min(self.next_at or refusal.next_at, refusal.next_at)
        if revocation.changes[-1].at > self._newest_at:
            self._newest_at, self.newest = revocation.changes[-1].at, revocation.fingerprint
            self.detail = revocation.detail
        if len(self.commands) < _MOST_COMMANDS and (by_hand := _by_hand(revocation)) is not None:
            self.commands.setdefault(by_hand)
        for owner in revocation.owners or ():
            if len(self.owners) < _MOST_OWNERS:
                self.owners.setdefault(owner.address.lower())
        insort(self.worst, _leak(revocation, refusal, now=now), key=lambda leak: leak.rank)
        del self.worst[SHOWN:]


class RefusedGroups:
    """The groups of confirmed leaks, each with a reminder of its own, and those of the others, which share one.

    Anybody can make up what nobody confirmed, for every account there is: however much comes, it is one mail, which
    wakes no owner. `is_partial`: not all records were read.
    """

    def __init__(self, *, now: datetime) -> None:
        self._now = now
        self._confirmed: dict[tuple[str, str], RefusedGroup] = {}
        self._unconfirmed: dict[tuple[str, str], RefusedGroup] = {}
        self.confirmed_beyond = 0  # leaks of groups that are not kept
        self.unconfirmed_beyond = 0
        self.is_partial = False

    def add(self, revocation: Revocation) -> None:
        """Count a record, if people are to be reminded of it."""
        refusal = _to_remind_of(revocation, now=self._now)
        if refusal is None:
            return
        is_confirmed = mailed_at_once(revocation)
        groups = self._confirmed if is_confirmed else self._unconfirmed
        key = (revocation.account_name or "", refusal.cause)
        if key not in groups and len(groups) >= MOST_GROUPS:
            self.confirmed_beyond += is_confirmed
            self.unconfirmed_beyond += not is_confirmed
            return
        group = groups.setdefault(key, RefusedGroup(account=key[0], cause=key[1], since=refusal.since))
        group.add(revocation, refusal, now=self._now)

    @classmethod
    def of(cls, revocations: Iterable[Revocation], *, now: datetime) -> "RefusedGroups":
        """Return the groups of these records."""
        groups = cls(now=now)
        for revocation in revocations:
            groups.add(revocation)
        return groups

    @property
    def confirmed(self) -> list[RefusedGroup]:
        """The groups of confirmed leaks."""
        return list(self._confirmed.values())

    @property
    def unconfirmed(self) -> list[RefusedGroup]:
        """The groups of leaks that nobody confirmed."""
        return list(self._unconfirmed.values())


def _to_remind_of(revocation: Revocation, *, now: datetime) -> Refusal | None:
    """Return why a record is refused, if people are to be reminded: not before a day, and not after its end.

    An order ends with its last attempt. Records of earlier versions do not say since when they are refused.
    """
    if revocation.reason is not Reason.BLOCKED:
        return None
    refusal = revocation.refusal or Refusal(revocation.detail[:300], revocation.changes[-1].at, None)
    credential = revocation.finding.credential
    if credential is None and refusal.next_at is None:
        return None
    has_ended = credential is not None and credential.ends is not None and credential.ends <= now
    return None if has_ended or now - refusal.since < _RECENTLY else refusal


def _by_hand(revocation: Revocation) -> Code | None:
    plan, account = revocation.plan, revocation.account
    if plan is None or account is None:
        return None
    return ACTION_SPECS[plan.action].by_hand(account.id, plan.target)


def _leak(revocation: Revocation, refusal: Refusal, *, now: datetime) -> RefusedLeak:
    credential, granted = revocation.finding.credential, of_record(revocation)
    return RefusedLeak(
        fingerprint=revocation.fingerprint,
        c3id=credential.c3id if credential is not None else revocation.fingerprint[:20],
        severity=(assess(granted, now=now).severity if granted is not None else Severity.HIGH).value,
        source=revocation.finding.source,
        since=refusal.since,
        ends=credential.ends if credential is not None else None,
    )
