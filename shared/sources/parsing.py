"""From the entries of a payload to findings, and to the result of each entry. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from shared.domain import event_size
from shared.domain.alert import AlertReference
from shared.domain.finding import Finding, Reported, merged
from shared.domain.report import FoundInText, described
from shared.errors import InvalidRequest
from shared.sources.entries import Alert, Entry, Invalid, Skip, Skipped, Text
from shared.sources.findings import Found
from shared.sources.windows import Windows

_LONGEST_URL = 2048
_LONGEST_SOURCE = 200
_MOST_FOUND = 50_000  # in the items of a posted report: more than its 4 MiB hold, each once
_TOO_LARGE = (
    "A credential is too large to be published: with its address and the place where it was found it has over "
    f"{event_size.LARGEST} bytes. Submit it by the responders' API (POST /api/revocations). What else was found in "
    "the item is published."
)


class TooManyItems(InvalidRequest):
    """A report has more items than one request may have."""

    code = "too_many_items"


class Result(StrEnum):
    """The result of an item."""

    ACCEPTED = "accepted"
    IGNORED = "ignored"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a report. `reason` is a code where it is ignored, a sentence where it is invalid.

    An invalid item may have findings, which are published all the same. `alert` is the alert that it names;
    `pending`: the alert is read later, from a queue. `verified`: its tool says that its credentials work.
    """

    result: Result
    reason: str | None = None
    findings: tuple[Finding, ...] = ()
    alert: AlertReference | None = None
    pending: bool = False
    verified: bool = False

    def read_as(self, found: tuple[Finding, ...] | None) -> "Item":
        """Return an alert's item with its findings; None: the alert is read later."""
        if found is None:
            return replace(self, pending=True)
        if not found:
            return replace(self, result=Result.IGNORED, reason=Skip.NO_CREDENTIAL.value)
        return replace(self, findings=found)

    @property
    def _other_services(self) -> tuple[str, ...]:
        """The other services whose credentials it has."""
        others = (finding.other for finding in self.findings)
        return tuple(dict.fromkeys(one.service.value for one in others if one is not None))

    def response(self, number: int) -> "ItemResponse":
        """Return the sender's response for the item with this number, from 0."""
        is_accepted = self.result is Result.ACCEPTED
        return ItemResponse(
            item=number,
            result=self.result,
            reason=UNSET if self.reason is None else self.reason,
            findings=tuple(finding.fingerprint for finding in self.findings) if is_accepted else UNSET,
            other_services=self._other_services or UNSET,
            pending=self.pending if is_accepted else UNSET,
            alert=UNSET if self.alert is None else str(self.alert),
        )


class ItemResponse(Struct, frozen=True, kw_only=True):
    """The result of one item of a report."""

    item: Annotated[int, Meta(ge=0, description="Its position in the report, from 0.")]
    result: Result
    reason: Annotated[
        str | UnsetType,
        Meta(
            description="A sentence that names the error of an invalid item; of an item that the command "
            "`python -m shared.intake` ignored, the reason's code."
        ),
    ] = UNSET
    findings: Annotated[
        tuple[Annotated[str, Meta(pattern="^[0-9a-f]{64}$")], ...] | UnsetType,
        Meta(description="The records' ids."),
    ] = UNSET
    other_services: Annotated[
        tuple[str, ...] | UnsetType,
        Meta(
            description="The other Azure services whose credentials it has. Sasquash does not revoke them: their "
            "records say so."
        ),
    ] = UNSET
    pending: Annotated[bool | UnsetType, Meta(description="Whether its alert is read later.")] = UNSET
    alert: Annotated[str | UnsetType, Meta(description="The alert that it names, in words.")] = UNSET


def items_of(entries: Iterable[Entry], *, source: str, now: datetime, most: int | None = None) -> tuple[Item, ...]:
    """Return one item for each entry. Raises the errors of the iterator; TooManyItems for over `most` entries.

    They are counted before the first one is searched for credentials. With `most`, raises TooMuchAround, and
    TooManyItems for over 50,000 credentials, as well.
    """
    windows = Windows()
    if most is not None:
        entries = list(islice(entries, most + 1))
        if len(entries) > most:
            raise TooManyItems(
                f"The report has over {most} items, and nothing of it was published. Split it, or use the command "
                "`python -m shared.intake` (docs/sources.md)."
            )
        windows.check(entry.around for entry in entries if isinstance(entry, Text) and entry.around is not None)
    items, found = list[Item](), 0
    for entry in entries:
        items.append(_item(entry, source=source, now=now, windows=windows))
        found += len(items[-1].findings)
        if most is not None and found > _MOST_FOUND:  # places of one line may each name all that is in it
            raise TooManyItems(
                f"The report's items hold over {_MOST_FOUND} credentials, and nothing of it was published. Split it, "
                "or use the command `python -m shared.intake` (docs/sources.md)."
            )
    return tuple(items)


def joined(items: Sequence[Item]) -> tuple[tuple[Item, ...], tuple[Finding, ...]]:
    """Return the items of a report, and the findings to publish: one for each secret, with all that is read of it.

    A scanner pairs each secret of a file with each address in it. Each item names the records that its secrets have.
    The addresses at which the scanner has verified a secret are tried first. No other address is dropped: a report
    is hostile.
    """
    published = merged(finding for item in _verified_first(items) for finding in item.findings)
    by_secret: dict[object, Finding] = {}
    for finding in published:
        by_secret.setdefault(finding.identity, finding)
    named = (
        replace(item, findings=tuple(by_secret.get(one.identity, one) for one in item.findings)) for item in items
    )
    return tuple(named), published


def _verified_first(items: Sequence[Item]) -> list[Item]:
    return sorted(items, key=lambda item: not item.verified)


def _item(entry: Entry, *, source: str, now: datetime, windows: Windows) -> Item:
    match entry:
        case Text():
            return _of_text(entry, source=source, now=now, windows=windows)
        case Alert(reference):
            return Item(Result.ACCEPTED, alert=reference)
        case Skipped(why):
            return Item(Result.IGNORED, why.value)
        case Invalid(why):
            return Item(Result.INVALID, why)


def _found(entry: Text, blank: Finding, windows: Windows) -> tuple[Finding, ...]:
    """Return the findings of a text, each with the address that the text around it has; else those of its lines.

    A tool may cut a value out of a longer one, such as what looks like a key out of an encoded text: then its lines
    say what it is.
    """
    own = () if entry.masked else _findings(FoundInText.of(entry.text).reported(blank))
    window = windows.around(entry.around) if entry.around is not None else None
    if entry.around is None or window is None:
        return own
    there = window.found
    is_cut = any(one.identity not in there.identities for one in own) and entry.text in entry.around.text
    if is_cut or not own:
        of_lines = _findings(there.reported(blank, lines=(window.first, window.last)))
        if of_lines:
            return of_lines
    if there.identities and not own:  # a secret that stands there twice is found where it stands first
        own = _findings(windows.lines(entry.around).reported(blank))
    return tuple(_located(one, there, verified=entry.verified) for one in own)


def _located(finding: Finding, there: FoundInText, *, verified: bool) -> Finding:
    """Return a finding with the address that the text around it has; behind its own, where that one is verified."""
    located = there.located(finding)
    if verified and finding.host is not None:
        return finding.with_readings((*finding.everywhere, *located.everywhere))
    return located


def _findings(reported: Iterable[Reported]) -> tuple[Finding, ...]:
    return tuple(one.finding for one in reported)


def _of_text(entry: Text, *, source: str, now: datetime, windows: Windows) -> Item:
    url = "".join(char for char in entry.url[:_LONGEST_URL] if char.isprintable()) if entry.url else None
    at = Found(lambda: now).at(entry.detected_at)
    blank = described(source=source[:_LONGEST_SOURCE], url=url or None, detected_at=at)
    findings = _found(entry, blank, windows)
    if not findings:
        return Item(Result.IGNORED, (Skip.REDACTED if entry.masked else Skip.NO_CREDENTIAL).value)
    held = tuple(one for one in (finding.as_event_holds() for finding in findings) if one is not None)
    if held != findings:
        return Item(Result.INVALID, _TOO_LARGE, findings=held, verified=entry.verified)
    return Item(Result.ACCEPTED, findings=findings, verified=entry.verified)
