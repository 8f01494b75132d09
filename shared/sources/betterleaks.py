"""Betterleaks: its JSON report, or its JSON lines.

github.com/betterleaks/betterleaks, version 2: `findings[]` with `rule_id`, `match.full`, `match.value`,
`location.path` and its lines, `attributes` ("git.sha"), and `component_sets`, whose components are other matches of
the same rule, such as the account.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from shared.sources.entries import Entry, Invalid, Text, list_of, object_of, text_of
from shared.sources.json_lines import decoded, lines_of
from shared.sources.scanner_place import Place, where

_MASK = "REDACTED"


def read(body: bytes) -> Iterator[Entry]:
    """Return one entry for each finding. Raises InvalidPayload where `body` is not UTF-8."""
    text = decoded(body)
    whole = _parsed(text)
    if isinstance(whole, Mapping) and isinstance(whole.get("findings"), list):
        yield from (_entry(finding) for finding in whole["findings"])
        return
    for line in lines_of(text):
        value = _parsed(line)
        yield _entry(value) if isinstance(value, Mapping) else Invalid("The line is not a JSON object.")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _entry(finding: object) -> Entry:
    if not isinstance(finding, Mapping):
        return Invalid("The finding is not an object.")
    match = object_of(finding, "match")
    texts = [text for name in ("full", "value") if (text := text_of(match, name)) is not None]
    if not texts:
        return Invalid("`match.full` and `match.value` are missing or not strings.")
    place = _place(finding)
    url = where(place)
    if any(_MASK in text for text in texts):
        return Text("", url=url, place=place, masked=True)
    return Text("\n".join(dict.fromkeys((*texts, *_components(finding)))), url=url, place=place)


def _components(finding: Mapping[str, Any]) -> Iterator[str]:
    for components in list_of(finding, "component_sets"):
        for component in list_of(components, "components") if isinstance(components, Mapping) else ():
            match = object_of(component, "match") if isinstance(component, Mapping) else {}
            text = text_of(match, "full") or text_of(match, "value")
            if text is not None:
                yield text


def _place(finding: Mapping[str, Any]) -> Place | None:
    location = object_of(finding, "location")
    commit = object_of(finding, "attributes").get("git.sha")
    return Place.of(location.get("path"), location.get("start_line"), location.get("end_line"), commit=commit)
