"""SARIF 2.1.0, the log format of static analysis: the results of any tool, with all text that they bring.

OASIS, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0": 3.27 (result: message, locations,
relatedLocations, codeFlows, properties), 3.24 (artifact: contents), 3.29 (physicalLocation), 3.30 (region), 3.36
(codeFlow), 3.11 (message: arguments).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.sources.entries import Entry, Invalid, InvalidPayload, Text, list_of, object_of, text_of
from shared.sources.json_body import parse
from shared.sources.scanner_place import Around, Place

_MASKED = re.compile(r"\*{6,}|REDACTED")
_BARE_KEY = re.compile(r"\s*[A-Za-z0-9+/]{86}==\s*")
_KEY_RULE = re.compile(r"(?i)azure.{0,40}(?:account|storage).{0,20}key|DS173237")
_VERIFIED = "Active Credential"  # kingfisher's `validation_status`
_LONGEST_PROPERTY = 65_536  # characters
_MOST_PROPERTIES = 100


@dataclass(frozen=True, slots=True)
class _Run:
    """What the results of a run refer to: where the repository is, its files' contents, and its rules."""

    repository: str | None
    artifacts: list[Any]
    by_uri: Mapping[str, str]

    @classmethod
    def of(cls, run: Mapping[str, Any]) -> "_Run":
        artifacts = list_of(run, "artifacts")
        contents = {
            uri: text
            for artifact in artifacts
            if isinstance(artifact, Mapping)
            and (uri := text_of(object_of(artifact, "location"), "uri")) is not None
            and (text := text_of(object_of(artifact, "contents"), "text")) is not None
        }
        return cls(_repository(run), artifacts, contents)

    def content(self, location: Mapping[str, Any]) -> str | None:
        """Return the content of the file that an artifactLocation names, if the log has it."""
        uri, index = text_of(location, "uri"), location.get("index")
        if uri in self.by_uri:
            return self.by_uri[uri or ""]
        if isinstance(index, int) and 0 <= index < len(self.artifacts):
            artifact = self.artifacts[index]
            return text_of(object_of(artifact, "contents"), "text") if isinstance(artifact, Mapping) else None
        return None


def read(body: bytes) -> Iterator[Entry]:
    """Return one entry for each result. Raises InvalidPayload or InvalidRequest."""
    log = parse(body)
    if not isinstance(log, Mapping) or not isinstance(log.get("runs"), list):
        raise InvalidPayload("The body is not a SARIF log: it has no `runs`.")
    for run in log["runs"]:
        if not isinstance(run, Mapping):
            yield Invalid("The run is not an object.")
            continue
        known = _Run.of(run)
        for result in list_of(run, "results"):
            yield _entry(result, known)


def _entry(result: object, run: _Run) -> Entry:
    if not isinstance(result, Mapping):
        return Invalid("The result is not an object.")
    own, others = list(_physical(list_of(result, "locations"))), list(_elsewhere(result))
    texts = [text for place in (*own, *others) for text in _texts(place)]
    texts += _said(result)
    if not texts:
        return Invalid("The result has neither a snippet nor a message.")
    labeled = (_labeled(text, result) for text in dict.fromkeys(texts))
    place = next((found for each in own if (found := _lines(each)) is not None), None)
    return Text(
        "\n".join(labeled),
        url=_place(own, run.repository),
        place=place,
        around=_around(own, run, place),
        masked=bool(_MASKED.search("\n".join(texts))),
        verified=_is_verified(result),
    )


def _physical(locations: list[Any]) -> Iterator[Mapping[str, Any]]:
    for location in locations:
        if isinstance(location, Mapping):
            yield object_of(location, "physicalLocation")


def _elsewhere(result: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the places beside the result's own: related ones, and those of its code flows."""
    yield from _physical(list_of(result, "relatedLocations"))
    for flow in list_of(result, "codeFlows"):
        for thread in list_of(flow, "threadFlows") if isinstance(flow, Mapping) else ():
            steps = list_of(thread, "locations") if isinstance(thread, Mapping) else []
            yield from _physical([step.get("location") for step in steps if isinstance(step, Mapping)])


def _texts(place: Mapping[str, Any]) -> Iterator[str]:
    """Return the wider snippet first: it has the token's host and path."""
    for name in ("contextRegion", "region"):
        text = text_of(object_of(object_of(place, name), "snippet"), "text")
        if text:
            yield text


def _said(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts of the message and of the properties, those of the result's locations included."""
    message = object_of(result, "message")
    yield from (text for name in ("text", "markdown") if (text := text_of(message, name)))
    yield from (text for text in list_of(message, "arguments") if isinstance(text, str))
    bags = [object_of(result, "properties")]
    for location in list_of(result, "locations"):
        if isinstance(location, Mapping):
            bags.append(object_of(location, "properties"))
            yield from filter(None, [text_of(object_of(location, "message"), "text")])
    for bag in bags:
        for value in list(bag.values())[:_MOST_PROPERTIES]:
            if isinstance(value, str) and len(value) <= _LONGEST_PROPERTY:
                yield value


def _is_verified(result: Mapping[str, Any]) -> bool:
    """Whether a tool has verified the secret. Kingfisher says so in the properties of the locations."""
    bags = (object_of(one, "properties") for one in list_of(result, "locations") if isinstance(one, Mapping))
    return any(text_of(bag, "validation_status") == _VERIFIED for bag in bags)


def _labeled(text: str, result: Mapping[str, Any]) -> str:
    """Return a text; a key alone with its name, where the rule is one of storage keys: it could be any service's."""
    rule = text_of(result, "ruleId") or text_of(object_of(result, "rule"), "id") or ""
    return f"AccountKey={text.strip()}" if _BARE_KEY.fullmatch(text) and _KEY_RULE.search(rule) else text


def _lines(place: Mapping[str, Any]) -> Place | None:
    region = object_of(place, "region")
    uri = text_of(object_of(place, "artifactLocation"), "uri")
    return Place.of(uri, region.get("startLine"), region.get("endLine"))


def _around(own: list[Mapping[str, Any]], run: _Run, place: Place | None) -> Around | None:
    content = next((text for each in own if (text := run.content(object_of(each, "artifactLocation")))), None)
    return Around(content, place.first, place.last) if content is not None and place is not None else None


def _place(places: list[Mapping[str, Any]], repository: str | None) -> str | None:
    for place in places:
        file = text_of(object_of(place, "artifactLocation"), "uri")
        line = object_of(place, "region").get("startLine")
        if file:
            at = f"{file}:{line}" if isinstance(line, int) else file
            return f"{repository.rstrip('/')}/{at}" if repository and "://" not in at else at
    return repository


def _repository(run: Mapping[str, Any]) -> str | None:
    for control in list_of(run, "versionControlProvenance"):
        if isinstance(control, Mapping):
            return text_of(control, "repositoryUri")
    return None
