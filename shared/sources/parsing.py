"""From a payload's entries to findings, and to what its sender is told of each. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from shared.domain.alert import AlertReference
from shared.domain.finding import Finding, in_text
from shared.sources.entries import Alert, Entry, Invalid, Skip, Skipped, Text
from shared.sources.findings import Found

_LONGEST_URL = 2048
_LONGEST_SOURCE = 200


class Result(StrEnum):
    """What became of an item."""

    ACCEPTED = "accepted"
    IGNORED = "ignored"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a report. `reason` is a code where it is ignored, a sentence where it is invalid.

    `alert` is to be read, or was; `pending`: the queue goes on with that.
    """

    result: Result
    reason: str | None = None
    findings: tuple[Finding, ...] = ()
    alert: AlertReference | None = None
    pending: bool = False

    def read_as(self, found: tuple[Finding, ...] | None) -> "Item":
        """Return an alert's item with what was read of it; None: it takes longer."""
        if found is None:
            return replace(self, pending=True)
        if not found:
            return replace(self, result=Result.IGNORED, reason=Skip.NO_CREDENTIAL.value)
        return replace(self, findings=found)

    def to_json(self, number: int) -> dict[str, object]:
        """Return what the sender is told of the item with this number, from 0."""
        told: dict[str, object] = {"item": number, "result": self.result.value}
        if self.reason is not None:
            told["reason"] = self.reason
        if self.result is Result.ACCEPTED:
            told["findings"] = [finding.fingerprint for finding in self.findings]
            told["pending"] = self.pending
        if self.alert is not None:
            told["alert"] = str(self.alert)
        return told


def items_of(entries: Iterable[Entry], *, source: str, now: datetime) -> tuple[Item, ...]:
    """Return an item an entry. Raises what reading the payload raises."""
    return tuple(_item(entry, source=source, now=now) for entry in entries)


def _item(entry: Entry, *, source: str, now: datetime) -> Item:
    match entry:
        case Text():
            return _of_text(entry, source=source, now=now)
        case Alert(reference):
            return Item(Result.ACCEPTED, alert=reference)
        case Skipped(why):
            return Item(Result.IGNORED, why.value)
        case Invalid(why):
            return Item(Result.INVALID, why)


def _of_text(entry: Text, *, source: str, now: datetime) -> Item:
    url = "".join(char for char in entry.url[:_LONGEST_URL] if char.isprintable()) if entry.url else None
    found = in_text(
        entry.text,
        source=source[:_LONGEST_SOURCE],
        url=url or None,
        detected_at=Found(lambda: now).at(entry.detected_at),
    )
    if not found:
        return Item(Result.IGNORED, Skip.NO_CREDENTIAL.value)
    return Item(Result.ACCEPTED, findings=tuple(reported.finding for reported in found))
