"""What an event or a text reports: from it to findings, which hold no secret. Pure.

An event's `data` is a finding, `{"credential": {…}, "source", "url", "detected_at"}`; or an alert's facts about an
unknown token, `{"evidence": {…}, …}`; or a credential of another service, `{"other_service": {…}, …}`, which is named
and not revoked; or, where the settings allow it, a raw report, `{"secret": "<what leaked, with
its surroundings>", …}`. `candidates` are other readings of the credential (`readings.py`). `alert` names the alert
that reported it, which is closed in the end (`alert.py`). `submitted_by` is the object id of the intake's caller,
`unread_places` say why the text around the secret was not read (`unread_place.py`).
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Self

from shared.domain import readings, unread_place
from shared.domain.alert import AlertEvidence, AlertReference, InvalidAlert, moment_in
from shared.domain.caller import Caller
from shared.domain.finding import Finding, Reported, secret_of
from shared.domain.guid import is_guid
from shared.domain.other_service import InvalidOtherService, OtherServiceCredential
from shared.errors import MalformedEvent
from shared.redaction import redact
from shared.sas import Credential, InvalidCredential, Leak, foreign_credentials, located_leaks

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
        return FoundInText.of(_secret(data["secret"], raw_allowed=raw_allowed)).reported(blank)
    credential = _credential(data.get("credential"))
    unread = unread_place.parse(data.get("unread_places")) if credential.host is None else ()
    found = replace(blank, fingerprint=credential.fingerprint, credential=credential, unread_places=unread)
    return (Reported(_with_candidates(found, data["candidates"]) if "candidates" in data else found),)


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
) -> tuple[Reported, ...]:
    """Return what is found for each credential in `text`; `text` itself is kept nowhere.

    Those of other Azure services come last.
    """
    blank = described(
        source=source, url=url, detected_at=detected_at, reported_by=reported_by, reason=reason, alert=alert
    )
    return FoundInText.of(text).reported(blank)


def described(
    *,
    source: str,
    url: str | None,
    detected_at: datetime,
    reported_by: Caller | None = None,
    reason: str = "",
    alert: AlertReference | None = None,
) -> Finding:
    """Return what is said about all that is found in a text: a finding without its credential."""
    return Finding(
        "",
        None,
        redact(source),
        url and redact(url),
        detected_at,
        reported_by=reported_by,
        reason=redact(reason),
        alert=alert,
    )


@dataclass(frozen=True, slots=True)
class FoundInText:
    """The credentials of a text, each with its line, from 1: one search serves every place in the text.

    `identities` are those of its findings (`Finding.identity`).
    """

    leaks: tuple[tuple[int, Leak], ...] = field(repr=False)
    others: tuple[tuple[int, OtherServiceCredential], ...]
    identities: frozenset[object]
    by_c3id: Mapping[str, Leak] = field(repr=False)

    @classmethod
    def of(cls, text: str) -> Self:
        """Search a text. Linear."""
        leaks = located_leaks(text)
        known = {leak.credential.signature_sha256 or leak.credential.key_sha256 for _, leak in leaks}
        others = [
            (one.at, OtherServiceCredential(one.service, one.sha256))
            for one in foreign_credentials(text)
            if one.sha256 not in known
        ]
        line_of = _lines_of(text, (at for at, _ in (*leaks, *others)))
        return cls(
            tuple((line_of[at], leak) for at, leak in leaks),
            tuple((line_of[at], other) for at, other in others),
            frozenset((*(secret_of(leak.credential) for _, leak in leaks), *(one.fingerprint for _, one in others))),
            {leak.credential.c3id: leak for _, leak in leaks},
        )

    def located(self, finding: Finding) -> Finding:
        """Return a finding with the host, the path and the readings that its secret has in this text."""
        leak = self.by_c3id.get(finding.credential.c3id) if finding.credential is not None else None
        return finding if leak is None else _of_leak(leak, finding).finding

    def reported(self, blank: Finding, *, lines: tuple[int, int] | None = None) -> tuple[Reported, ...]:
        """Return `blank` for each credential, those of other services last.

        `lines` are the first and the last line in which a credential has to stand; None for all.
        """

        def is_wanted(line: int) -> bool:
            return lines is None or lines[0] <= line <= lines[1]

        return (
            *(_of_leak(leak, blank) for line, leak in self.leaks if is_wanted(line)),
            *_of_others((other for line, other in self.others if is_wanted(line)), blank),
        )


def _lines_of(text: str, offsets: Iterable[int]) -> dict[int, int]:
    """Return the line of each offset, from 1."""
    lines, line, counted = dict[int, int](), 1, 0
    for at in sorted(offsets):
        line += text.count("\n", counted, at)
        lines[at], counted = line, at
    return lines


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
