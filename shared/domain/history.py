"""The history of a record: lines that are chained by hash, and what a copy of them shows. Pure.

Each line has the hash of the line before it, and the record has that of the last one (`Head`). So a line that was
changed, removed, added in between or moved is found by reading the lines alone. Who can rewrite all of them and the
record cannot rewrite the copy (`shared/cloud/history_copy.py`): there the hash of each line stays as it was sent.

Canonical form of a line, whose SHA-256 is its hash: a JSON array (RFC 8259) without spaces, in ASCII (other
characters as `\\uXXXX`), of these texts, `null` where there is none:

    ["sasquash-history-1", fingerprint, chain, line (a number, from 1), hash of the line before (empty for the first),
     time (UTC, YYYY-MM-DDTHH:MM:SS.ffffffZ), who, state, what, evidence, correlation id]

Lines of version 0.2 have no link. The chain of such a record begins at its first line that has one.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from shared.domain.revocation import HistoryHead
from shared.domain.states import State

_FORM = "sasquash-history-1"


@dataclass(frozen=True, slots=True)
class Link:
    """A line's place in its chain. `line` counts from 1; `previous` is the hash of the line before, or empty."""

    chain: str
    line: int
    previous: str
    sha256: str


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One line of a record's history: what happened, who did it, and the evidence.

    `evidence` is English, or empty; by `correlation_id` Azure's own log knows the change. `link` is None in lines of
    version 0.2.
    """

    at: datetime
    who: str
    state: State
    what: str
    evidence: str = ""
    correlation_id: str | None = None
    link: Link | None = None


@dataclass(frozen=True, slots=True)
class CopiedLine:
    """A line as the copy has it."""

    chain: str
    line: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ChainEnd:
    """The last line of a chain whose record retention has removed."""

    chain: str
    line: int
    sha256: str


class Integrity(StrEnum):
    """What is known of a record's history."""

    INTACT = "intact"  # every line is chained, and is in the copy
    BROKEN = "broken"  # a line was changed, removed, added or moved
    UNCONFIRMED = "unconfirmed"  # nothing is wrong, but not every line could be compared


@dataclass(frozen=True, slots=True)
class Judgment:
    """Whether a history is intact, and one English sentence that says why."""

    integrity: Integrity
    said: str


def chained(entry: HistoryEntry, head: HistoryHead | None, *, fingerprint: str) -> tuple[HistoryEntry, HistoryHead]:
    """Return a new line with its link to the last one, and the head that the record has with it.

    A chain is named by the time of its first line: a leak that is reported again after its record was pruned has
    another one. The head's time never goes back, whatever the clocks of instances say: lines are stored by it.
    """
    if head is None:
        head = HistoryHead(f"{entry.at.astimezone(UTC):%Y%m%dT%H%M%S%f}", 0, "", entry.at)
    link = Link(head.chain, head.line + 1, head.sha256, "")
    sha256 = hash_of(replace(entry, link=link), fingerprint=fingerprint)
    linked = replace(entry, link=replace(link, sha256=sha256))
    return linked, HistoryHead(link.chain, link.line, sha256, max(entry.at, head.at))


def hash_of(entry: HistoryEntry, *, fingerprint: str) -> str:
    """Return the SHA-256 (hex) of a line in its canonical form. The line has a link."""
    link = entry.link
    if link is None:
        raise ValueError("a line without a link has no hash")
    at = f"{entry.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    place = (_FORM, fingerprint, link.chain, link.line, link.previous)
    said = (at, entry.who, entry.state.value, entry.what, entry.evidence, entry.correlation_id)
    canonical = json.dumps([*place, *said], ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def judge(
    lines: Sequence[HistoryEntry],
    head: HistoryHead | None,
    *,
    fingerprint: str,
    copied: Iterable[CopiedLine] | None,
    pruned: Iterable[ChainEnd] = (),
) -> Judgment:
    """Return what is known of a history, whose `lines` are in the order in which they are stored.

    `copied` are the lines of the record in the copy, read before those that are stored; None where it can't be read.
    `pruned` are the ends of the chains of earlier records of the leak, which retention has removed.
    """
    sent = tuple(copied) if copied is not None else None
    broken = next(_broken_links(lines, head, fingerprint), None)
    if broken is None and sent is not None:
        broken = _contradiction(lines, not_pruned(sent, pruned))
    if broken is not None:
        return Judgment(Integrity.BROKEN, broken)
    doubt = _doubt(lines, head, None if sent is None else {(line.chain, line.line) for line in sent})
    if doubt is not None:
        return Judgment(Integrity.UNCONFIRMED, doubt)
    return Judgment(Integrity.INTACT, f"All {len(lines)} lines are chained, and the copy has each of them.")


def missing(lines: Iterable[HistoryEntry], copied: Iterable[CopiedLine]) -> tuple[HistoryEntry, ...]:
    """Return the lines with a link that the copy does not have."""
    known = {(line.chain, line.line) for line in copied}
    return tuple(entry for entry in lines if entry.link and (entry.link.chain, entry.link.line) not in known)


def _broken_links(lines: Sequence[HistoryEntry], head: HistoryHead | None, fingerprint: str) -> Iterator[str]:
    """Yield what the lines and the record's head alone show."""
    before: Link | None = None
    seen: set[str] = set()
    for entry in lines:
        link = entry.link
        if link is None:
            continue
        if before is None or link.chain != before.chain:
            # Version 0.2 drops the head of a record that it writes. The next line begins another chain then.
            if link.chain in seen or link.line != 1 or link.previous:
                yield f"Line {link.line} does not follow the line before it."
            seen.add(link.chain)
        elif link.line != before.line + 1:
            yield f"Line {before.line + 1} is missing, or was moved: line {link.line} stands in its place."
        elif link.previous != before.sha256:
            yield f"Line {link.line} was not written after the line that stands before it."
        if hash_of(entry, fingerprint=fingerprint) != link.sha256:
            yield f"Line {link.line} was changed: its hash is another."
        before = link
    if head is not None and (before is None or (before.chain, before.line) != (head.chain, head.line)):
        last = before.line if before is not None and before.chain == head.chain else 0
        yield f"The record has {head.line} lines, and its history ends with line {last}."
    if head is not None and before is not None and before.sha256 != head.sha256:
        yield f"The last line is not the one that the record names: line {head.line} was replaced."


def not_pruned(copied: Iterable[CopiedLine], pruned: Iterable[ChainEnd]) -> tuple[CopiedLine, ...]:
    """Return the lines of the copy that retention has not removed.

    Also those beyond the end of a chain that it has removed: lines were cut off before.
    """
    ends = {end.chain: end for end in pruned}
    return tuple(line for line in copied if not _is_within(line, ends.get(line.chain)))


def _is_within(line: CopiedLine, end: ChainEnd | None) -> bool:
    if end is None:
        return False
    return line.line < end.line or (line.line, line.sha256) == (end.line, end.sha256)


def _contradiction(lines: Sequence[HistoryEntry], copied: Iterable[CopiedLine]) -> str | None:
    """Return how the copy contradicts the lines; None if it does not. A line that it lacks contradicts nothing."""
    stored = {(entry.link.chain, entry.link.line): entry.link.sha256 for entry in lines if entry.link is not None}
    sent: dict[tuple[str, int], set[str]] = defaultdict(set)
    for line in copied:
        sent[line.chain, line.line].add(line.sha256)
    for place in sorted(sent):
        if place not in stored:
            return f"Line {place[1]} is in the copy, and no longer in the record."
        if sent[place] != {stored[place]}:
            return f"Line {place[1]} is another in the copy."
    return None


def _doubt(
    lines: Sequence[HistoryEntry], head: HistoryHead | None, copied: set[tuple[str, int]] | None
) -> str | None:
    """Return why a history that nothing contradicts is not confirmed; None if it is."""
    links = [entry.link for entry in lines if entry.link is not None]
    unlinked = len(lines) - len(links)
    if not links:
        return "No line is chained: version 0.2 of Sasquash wrote them."
    if unlinked:
        return f"{unlinked} lines are not chained: version 0.2 of Sasquash wrote them."
    if head is None or len({link.chain for link in links}) > 1:
        return "Version 0.2 of Sasquash changed the record meanwhile: lines between two chains can't be confirmed."
    if copied is None:
        return "The chain is whole. The copy is not set up, or could not be read."
    absent = sum((link.chain, link.line) not in copied for link in links)
    if absent:
        return f"The chain is whole. The copy does not have {absent} of {len(links)} lines: not yet, or no longer."
    return None
