"""A finding: a credential leaked, according to a reporter. Secret-free from here on (design decision 4)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self

from shared.domain import event_size, readings
from shared.domain.alert import AlertEvidence, AlertReference
from shared.domain.caller import Caller
from shared.domain.other_service import OtherServiceCredential
from shared.domain.readings import Reading
from shared.domain.target import ActionKind
from shared.domain.unread_place import UnreadPlace
from shared.sas import Credential, Kind


@dataclass(frozen=True, slots=True)
class Order:
    """An action without a leaked credential: a person ordered it, or an alert's evidence asks for it.

    It takes two people in all (`decision/people.py`).
    """

    account: str
    action: ActionKind
    target: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One leaked credential, with place and time. Holds no credential.

    `credential` is None when a report could not be read, and for an order: `fingerprint` then stands for the report
    or the order itself. `reported_by` and `reason` are a responder's, who reported or ordered it over HTTP.
    `evidence` is the basis of an order that no person gave; `other` is a credential of another service, which is
    reported and not revoked. `alert` is closed once the leak is revoked. `candidates`
    are other readings of the secret, nearest first; `unread` counts those that were left out because they are none.
    `submitted_by` is the object id of the intake's caller, as the event claims: the record's plan is not theirs to
    approve. `unread_places` are places where its tool has found it, and whose text could not be read: only where its
    account is not known.
    """

    fingerprint: str
    credential: Credential | None
    source: str
    url: str | None
    detected_at: datetime
    order: Order | None = None
    reported_by: Caller | None = None
    reason: str = ""
    evidence: AlertEvidence | None = None
    alert: AlertReference | None = None
    candidates: tuple[Reading, ...] = ()
    unread: int = 0
    submitted_by: str | None = None
    other: OtherServiceCredential | None = None
    unread_places: tuple[UnreadPlace, ...] = ()

    @property
    def readings(self) -> tuple[Credential, ...]:
        """The credential, and what it may be instead: the readings that have its host.

        They differ from it by their path, or by the values of their parameters. `everywhere` has the others, too.
        """
        return self.readings_at(self.host)

    @property
    def everywhere(self) -> tuple[Credential, ...]:
        """The credential and all its readings, whatever their hosts."""
        own = self.credential
        if own is None:
            return ()
        others = (one.of_same_kind(own) for one in self.candidates)
        return readings.distinct((own, *(one for one in others if one is not None)))

    @property
    def host(self) -> str | None:
        """The host of its credential."""
        return self.credential.host if self.credential is not None else None

    def readings_at(self, host: str | None) -> tuple[Credential, ...]:
        """Return the readings that have this host."""
        return tuple(one for one in self.everywhere if one.host == host)

    @property
    def secret(self) -> tuple[Kind, str] | None:
        """What is the same wherever the secret is written: its kind and its hash; None without a credential."""
        return secret_of(self.credential) if self.credential is not None else None

    @property
    def identity(self) -> object:
        """What is the same wherever it leaked: its secret; without a credential, its id."""
        return self.secret or self.fingerprint

    def with_readings(self, credentials: Iterable[Credential]) -> "Finding":
        """Return the finding with these readings of its secret instead of its candidates."""
        own = self.credential
        if own is None:
            return self
        _, *others = readings.distinct((own, *credentials))
        clean = (Reading.of(one) for one in others if not readings.holds_secret(one))
        return replace(self, candidates=tuple(clean))

    def read_as(self, credential: Credential) -> "Finding":
        """Return the finding whose credential is one of its readings; the others stay its candidates."""
        if credential == self.credential:
            return self
        return replace(self, credential=credential).with_readings(self.everywhere)

    def read_for(self, other: "Finding") -> "Finding":
        """Return it as another report of the leak of `other`, which has the same secret at another place."""
        if other.credential is None:
            return self
        as_other = replace(self, fingerprint=other.fingerprint, credential=other.credential)
        return as_other.with_readings(self.everywhere)

    def is_same_report(self, other: "Finding") -> bool:
        """Whether both are of one report, whichever reading of the secret each has."""
        own, others = (
            replace(one, credential=None, candidates=(), unread=0, unread_places=()) for one in (self, other)
        )
        return own == others

    def as_event_holds(self) -> "Finding | None":
        """Return the finding with the readings of its secret that an event can carry, alone; None: with none."""
        own = self.everywhere
        kept = [one for one in own if event_size.fits(replace(self, credential=one, candidates=()).to_data())]
        if len(kept) == len(own):
            return self
        return replace(self, credential=kept[0], candidates=()).with_readings(kept) if kept else None

    @classmethod
    def of_evidence(
        cls,
        evidence: AlertEvidence,
        *,
        source: str,
        url: str | None,
        detected_at: datetime,
        alert: AlertReference | None,
    ) -> Self:
        """Return the finding that asks for the key to be regenerated that `evidence` names."""
        order = Order(evidence.account, ActionKind.ACCOUNT_KEY, evidence.key)
        return cls(evidence.fingerprint, None, source, url, detected_at, order, evidence=evidence, alert=alert)

    def to_data(self) -> dict[str, object]:
        """The `data` of a `REPORTED` event."""
        data: dict[str, object] = {
            "source": self.source,
            "url": self.url,
            "detected_at": self.detected_at.isoformat(),
        }
        if self.alert is not None:
            data["alert"] = self.alert.to_json()
        if self.submitted_by is not None:
            data["submitted_by"] = self.submitted_by
        if self.unread_places:
            data["unread_places"] = [place.value for place in self.unread_places]
        if self.credential is not None and self.candidates:
            data["candidates"] = [one.to_json(self.credential) for one in self.candidates]
        if self.credential is not None:
            return data | {"credential": self.credential.to_json()}
        if self.evidence is not None:
            return data | {"evidence": self.evidence.to_json()}
        if self.other is not None:
            return data | {"other_service": self.other.to_json()}
        raise ValueError("neither an unreadable report nor a person's order is published")


def secret_of(credential: Credential) -> tuple[Kind, str]:
    """Return the kind of a credential and the hash of its secret."""
    return credential.kind, credential.key_sha256 or credential.signature_sha256 or ""


@dataclass(frozen=True, slots=True)
class Reported:
    """A finding on its way to the ledger. `token` is the leaked SAS itself where the report had it.

    It stays in memory: a user delegation SAS is asked with it once whether it lives, and then it is gone.
    """

    finding: Finding
    token: str | None = field(default=None, repr=False)


def merged(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings of one report, each with all readings that the report has of its secret.

    There is one for each secret; several where an event can't carry all readings.
    """
    by_secret: dict[object, list[Finding]] = {}
    for finding in found:
        by_secret.setdefault(finding.secret or finding.fingerprint, []).append(finding)
    return tuple(part for same in by_secret.values() for part in _parts(same))


def _parts(same: list[Finding]) -> Iterator[Finding]:
    first = same[0]
    clean = (one for finding in same for one in finding.everywhere if not readings.holds_secret(one))
    left = tuple(sorted(readings.distinct(clean), key=lambda one: one.host is None))
    if not left:
        yield first
    while left:
        own, *others = left
        part = replace(first, fingerprint=own.fingerprint, credential=own).with_readings(others)
        part = replace(part, candidates=_carried(part, own))
        yield part
        left = tuple(others[len(part.candidates) :])


def _carried(finding: Finding, own: Credential) -> tuple[Reading, ...]:
    """Return the first of the finding's candidates, as many as one event can carry."""
    left = event_size.LARGEST - event_size.size_of(replace(finding, candidates=()).to_data() | {"candidates": []})
    kept: list[Reading] = []
    for one in readings.bounded(finding.candidates, own):
        left -= event_size.size_of(one.to_json(own)) + len(", ")
        if left < 0:
            break
        kept.append(one)
    return tuple(kept)
