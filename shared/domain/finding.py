"""A finding: a credential leaked, according to a reporter. Secret-free from here on (design decision 4).

An event's `data` is a finding, `{"credential": {…}, "source", "url", "detected_at"}`; or an alert's facts about an
unknown token, `{"evidence": {…}, …}`; or a credential of another service, `{"other_service": {…}, …}`, which is named
and not revoked; or, where the settings allow it, a raw report, `{"secret": "<what leaked, with
its surroundings>", …}`. `candidates` are other readings of the credential (`readings.py`). `alert` names the alert
that reported it, which is closed in the end (`alert.py`). `submitted_by` is the object id of the intake's caller.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Self

from shared.domain import event_size, readings
from shared.domain.alert import AlertEvidence, AlertReference, InvalidAlert, moment_in
from shared.domain.caller import Caller
from shared.domain.guid import is_guid
from shared.domain.other_service import InvalidOtherService, OtherServiceCredential
from shared.domain.readings import Reading
from shared.domain.target import ActionKind
from shared.errors import MalformedEvent
from shared.redaction import redact
from shared.sas import Credential, InvalidCredential, Kind, Leak, foreign_credentials, located_leaks

REPORTED = "Sasquash.Finding.Reported.v1"

_LONGEST_SECRET = 1024 * 1024  # an event holds no more
_LONGEST_TEXT = {"source": 200, "url": 2048}


@dataclass(frozen=True, slots=True)
class Report:
    """One event of type `REPORTED`, in either schema. `data` is as sent: hostile."""

    event_id: str
    event_type: str
    source: str
    data: object


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
    approve.
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
        own = self.credential
        return (own.kind, own.key_sha256 or own.signature_sha256 or "") if own is not None else None

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
        return replace(self, credential=None, candidates=(), unread=0) == replace(
            other, credential=None, candidates=(), unread=0
        )

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
        if self.credential is not None and self.candidates:
            data["candidates"] = [one.to_json(self.credential) for one in self.candidates]
        if self.credential is not None:
            return data | {"credential": self.credential.to_json()}
        if self.evidence is not None:
            return data | {"evidence": self.evidence.to_json()}
        if self.other is not None:
            return data | {"other_service": self.other.to_json()}
        raise ValueError("neither an unreadable report nor a person's order is published")


@dataclass(frozen=True, slots=True)
class Reported:
    """A finding on its way to the ledger. `token` is the leaked SAS itself where the report had it.

    It stays in memory: a user delegation SAS is asked with it once whether it lives, and then it is gone.
    """

    finding: Finding
    token: str | None = field(default=None, repr=False)


def report_of_event(event: Mapping[str, object]) -> Report:
    """Return the report in an event as it is written in JSON, in either schema. Raises MalformedEvent.

    CloudEvents 1.0, JSON format; "Azure Event Grid event schema".
    """
    names = ("id", "type", "source") if "specversion" in event else ("id", "eventType", "topic")
    texts = [event.get(name) for name in names]
    if not all(isinstance(text, str) for text in texts[:2]):
        raise MalformedEvent("The event has no id or no type.")
    source = texts[2] if isinstance(texts[2], str) else ""
    return Report(str(texts[0]), str(texts[1]), source or str(event.get("subject") or ""), event.get("data"))


def read(report: Report, *, raw_allowed: bool, now: datetime) -> tuple[Reported, ...]:
    """Return what `report` reports: one finding, or for a raw report one for each credential in its text.

    Raises MalformedEvent, whose message names the field and the rule and repeats nothing of the data.
    """
    if report.event_type != REPORTED:
        raise MalformedEvent(f"The event's type is not {REPORTED}: filter the subscription on it.")
    data = report.data
    if not isinstance(data, Mapping):
        raise MalformedEvent("The event's data is not an object.")
    source = _described(data, "source") or _described({"source": report.source}, "source") or "unknown"
    url = _described(data, "url")
    detected_at = _moment(data.get("detected_at"), now=now)
    alert, by = _alert(data), _submitter(data)
    if "evidence" in data:
        evidence = _evidence(data["evidence"])
        found = Finding.of_evidence(evidence, source=source, url=url, detected_at=detected_at, alert=alert)
        return (Reported(replace(found, submitted_by=by)),)
    blank = Finding("", None, source, url, detected_at, alert=alert, submitted_by=by)
    if "other_service" in data:
        return _of_others((_other_service(data["other_service"]),), blank)
    if "secret" in data:
        return _in_secret(_secret(data["secret"], raw_allowed=raw_allowed), blank)
    credential = _credential(data.get("credential"))
    found = replace(blank, fingerprint=credential.fingerprint, credential=credential)
    return (Reported(_with_candidates(found, data["candidates"]) if "candidates" in data else found),)


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


def unreadable(report: Report, *, now: datetime) -> Finding:
    """Return what stands for a report that could not be read; it holds nothing of the report's data."""
    identity = hashlib.sha256(f"report|{report.source}|{report.event_id}".encode(errors="surrogatepass")).hexdigest()
    source = _described({"source": report.source}, "source") or "unknown"
    return Finding(identity, None, source, None, now)


def in_text(
    text: str,
    *,
    source: str,
    url: str | None,
    detected_at: datetime,
    reported_by: Caller | None = None,
    reason: str = "",
    alert: AlertReference | None = None,
    lines: tuple[int, int] | None = None,
) -> tuple[Reported, ...]:
    """Return what is found for each credential in `text`; `text` itself is kept nowhere.

    Those of other Azure services come last. `lines` are the first and the last line, from 1, in which a credential
    has to stand; None for all.
    """
    blank = Finding(
        "",
        None,
        redact(source),
        url and redact(url),
        detected_at,
        reported_by=reported_by,
        reason=redact(reason),
        alert=alert,
    )
    return _in_secret(text, blank, lines=lines)


def _in_secret(text: str, blank: Finding, *, lines: tuple[int, int] | None = None) -> tuple[Reported, ...]:
    """Return `blank` for each credential in a text, those of other services last."""

    def is_wanted(at: int) -> bool:
        return lines is None or lines[0] <= text.count("\n", 0, at) + 1 <= lines[1]

    leaks = located_leaks(text)
    known = {leak.credential.signature_sha256 or leak.credential.key_sha256 for _, leak in leaks}
    others = (one for one in foreign_credentials(text) if one.sha256 not in known and is_wanted(one.at))
    return (
        *(_of_leak(leak, blank) for at, leak in leaks if is_wanted(at)),
        *_of_others((OtherServiceCredential(one.service, one.sha256) for one in others), blank),
    )


def _of_leak(leak: Leak, blank: Finding) -> Reported:
    found = replace(blank, fingerprint=leak.credential.fingerprint, credential=leak.credential)
    return Reported(found.with_readings(leak.others), leak.token)


def _of_others(others: Iterable[OtherServiceCredential], blank: Finding) -> tuple[Reported, ...]:
    return tuple(Reported(replace(blank, fingerprint=one.fingerprint, other=one)) for one in others)


def _credential(data: object) -> Credential:
    try:
        credential = Credential.from_json(data)
    except InvalidCredential as error:
        raise MalformedEvent(f"The event's data.credential is not valid: {error}") from None
    # What is stored from here on must be of no use to anyone.
    if readings.holds_secret(credential):
        raise MalformedEvent(
            "The event's data.credential holds what looks like a signature or a key, outside its hashes. Event "
            "Grid has stored it: treat it as exposed, and have the publisher send secret-free findings."
        )
    return credential


def _with_candidates(finding: Finding, data: object) -> Finding:
    if finding.credential is None:
        return finding
    candidates, unread = readings.parse(data, finding.credential)
    return replace(finding, candidates=candidates, unread=unread)


def _evidence(data: object) -> AlertEvidence:
    try:
        return AlertEvidence.from_json(data)
    except InvalidAlert as error:
        raise MalformedEvent(f"The event's data.evidence is not valid: {error}") from None


def _alert(data: Mapping[object, object]) -> AlertReference | None:
    """Return the finding's alert; None if it is malformed, since a leak counts without it, too."""
    if "alert" not in data:
        return None
    try:
        return AlertReference.from_json(data["alert"])
    except InvalidAlert:
        return None


def _submitter(data: Mapping[object, object]) -> str | None:
    """Return the object id of the intake's caller; None where there is none, or what is there is none."""
    value = data.get("submitted_by")
    return value.lower() if is_guid(value) else None


def _other_service(data: object) -> OtherServiceCredential:
    try:
        return OtherServiceCredential.from_json(data)
    except InvalidOtherService as error:
        raise MalformedEvent(f"The event's data.other_service is not valid: {error}") from None


def _secret(secret: object, *, raw_allowed: bool) -> str:
    if not raw_allowed:
        raise MalformedEvent(
            "The event carries a raw secret, which SASQUASH_RAW_EVENTS forbids. Event Grid has stored it: report "
            "the leak again through the intake, and have the publisher send secret-free findings."
        )
    if not isinstance(secret, str) or len(secret) > _LONGEST_SECRET:
        raise MalformedEvent(f"The event's data.secret is not a text of at most {_LONGEST_SECRET} characters.")
    return secret


def _described(data: Mapping[object, object], name: str) -> str | None:
    """Return a descriptive field, cleaned: an incomplete report is still processed."""
    value = data.get(name)
    if not isinstance(value, str):
        return None
    longest = _LONGEST_TEXT[name]
    # Cut before and after: cleaning takes time, and "REDACTED" may be longer than what it replaces.
    printable = "".join(character for character in value[: 2 * longest] if character.isprintable())
    return redact(printable)[:longest] or None


def _moment(value: object, *, now: datetime) -> datetime:
    """Return when the leak was found, in UTC; `now` if the report has no valid time."""
    return min(moment_in(value if isinstance(value, str) else None) or now, now).astimezone(UTC)
