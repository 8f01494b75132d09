"""SARIF 2.1.0, the log format of static analysis: the results of any tool, with the text of their locations.

OASIS, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0", 3.27 (result), 3.29
(physicalLocation), 3.30 (region).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from shared.sources.entries import Entry, Invalid, InvalidPayload, Text, list_of, object_of, text_of
from shared.sources.json_body import parse


def read(body: bytes) -> Iterator[Entry]:
    """Return one entry for each result. Raises InvalidPayload or InvalidRequest."""
    log = parse(body)
    if not isinstance(log, Mapping) or not isinstance(log.get("runs"), list):
        raise InvalidPayload("The body is not a SARIF log: it has no `runs`.")
    for run in log["runs"]:
        if not isinstance(run, Mapping):
            yield Invalid("The run is not an object.")
            continue
        repository = _repository(run)
        for result in list_of(run, "results"):
            yield _entry(result, repository)


def _entry(result: object, repository: str | None) -> Entry:
    if not isinstance(result, Mapping):
        return Invalid("The result is not an object.")
    places = [
        object_of(place, "physicalLocation") for place in list_of(result, "locations") if isinstance(place, Mapping)
    ]
    texts = [text for place in places for text in _texts(place)]
    message = object_of(result, "message")
    texts += [text for name in ("text", "markdown") if (text := text_of(message, name))]
    if not texts:
        return Invalid("The result has neither a snippet nor a message.")
    return Text("\n".join(dict.fromkeys(texts)), url=_place(places, repository))


def _texts(place: Mapping[str, Any]) -> Iterator[str]:
    """Return the wider snippet first: it has the token's host and path."""
    for name in ("contextRegion", "region"):
        text = text_of(object_of(object_of(place, name), "snippet"), "text")
        if text:
            yield text


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
