"""Nosey Parker: its JSON report, or its JSON lines (`noseyparker report --format json` or `jsonl`).

github.com/praetorian-inc/noseyparker, `noseyparker generate json-schema`: a list of findings, or one a line, each
with `matches[]`. A match has `snippet.before`, `matching` and `after` (256 bytes on either side), the lines of what
matched (`location.source_span`), and its `provenance[]`: a file, a file of a git repository with its first commit, or
any object that an enumerator wrote.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from shared.sources.entries import Entry, Invalid, Text, list_of, object_of, text_of
from shared.sources.json_body import parse
from shared.sources.json_lines import decoded, values_of
from shared.sources.scanner_place import Around, Place, where

_APART = re.compile(r"[\s\"'<>]")


def read(body: bytes) -> Iterator[Entry]:
    """Return one entry for each match. Raises InvalidPayload where `body` is not UTF-8."""
    text = decoded(body)
    if text.lstrip().startswith("["):
        for finding in parse(text.encode()):
            yield from _matches(finding)
        return
    for finding in values_of(text):
        yield from [finding] if isinstance(finding, Invalid) else _matches(finding)


def _matches(finding: object) -> Iterator[Entry]:
    matches = finding.get("matches") if isinstance(finding, Mapping) else None
    if not isinstance(matches, list):
        yield Invalid("The finding is not an object with a list `matches`.")
        return
    yield from (_entry(match) for match in matches)


def _entry(match: object) -> Entry:
    if not isinstance(match, Mapping):
        return Invalid("The match is not an object.")
    snippet = object_of(match, "snippet")
    matching = text_of(snippet, "matching")
    if matching is None:
        return Invalid("`snippet.matching` is missing or not a string.")
    sources = [one for one in list_of(match, "provenance") if isinstance(one, Mapping)]
    place = next((found for one in sources if (found := _place(one, match)) is not None), None)
    url = next((text for one in sources if (text := _url(one, place)) is not None), None)
    return Text(matching, url=url, place=place, around=_around(match, snippet, matching))


def _place(source: Mapping[str, Any], match: Mapping[str, Any]) -> Place | None:
    span = object_of(object_of(match, "location"), "source_span")
    first, last = (object_of(span, name).get("line") for name in ("start", "end"))
    commit = object_of(source, "first_commit")
    if commit:
        sha = object_of(commit, "commit_metadata").get("commit_id")
        return Place.of(commit.get("blob_path"), first, last, commit=sha)
    return Place.of(source.get("path"), first, last)


def _url(source: Mapping[str, Any], place: Place | None) -> str | None:
    """Return where a match is: its file, behind the repository's path where there is one."""
    repository, file = text_of(source, "repo_path"), where(place, file=text_of(source, "path"))
    folder = repository.rstrip("/").removesuffix("/.git") if repository else None
    return f"{folder}/{file}" if folder and file else folder or file


def _around(match: Mapping[str, Any], snippet: Mapping[str, Any], matching: str) -> Around:
    """Return the text around a match. A word that the snippet cuts is left out: a cut token is an altered one."""
    before, after = text_of(snippet, "before") or "", text_of(snippet, "after") or ""
    span = object_of(object_of(match, "location"), "offset_span")
    if span.get("start") != _size(before):  # else the file begins there
        cut = _APART.search(before)
        before = before[cut.start() :] if cut else ""
    end, size = span.get("end"), object_of(match, "blob_metadata").get("num_bytes")
    if not isinstance(end, int) or end + _size(after) != size:
        ends = [each.end() for each in _APART.finditer(after)]
        after = after[: ends[-1]] if ends else ""
    first = before.count("\n") + 1
    return Around(f"{before}{matching}{after}", first, first + matching.count("\n"))


def _size(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))
