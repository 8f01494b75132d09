"""GitGuardian's ggshield: its JSON report (`ggshield secret scan … --json`), which masks secrets by default.

github.com/GitGuardian/ggshield, doc/schemas/secret.json: `entities_with_incidents[]` of the scan and of its `scans[]`
(one for each commit, whose `id` is the commit), each with `filename` and `incidents[].occurrences[]`. An incident has
an occurrence for each part of a secret, such as the account and the key.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from shared.sources.entries import Entry, Invalid, InvalidPayload, Text, list_of, text_of
from shared.sources.json_body import parse
from shared.sources.scanner_place import Place, where

_MASK = "***"  # ggshield/utils/text_utils.py, censor_string: most of a value is put out of sight with asterisks


def read(body: bytes) -> Iterator[Entry]:
    """Return one entry for each occurrence. Raises InvalidPayload or InvalidRequest."""
    report = parse(body)
    if not isinstance(report, Mapping) or not any(name in report for name in ("entities_with_incidents", "scans")):
        raise InvalidPayload("The body is not a report of ggshield: it has no `entities_with_incidents`.")
    yield from _entities(report, commit=None)
    for scan in list_of(report, "scans"):
        if isinstance(scan, Mapping):
            yield from _entities(scan, commit=scan.get("id"))
        else:
            yield Invalid("The scan is not an object.")


def _entities(scan: Mapping[str, Any], *, commit: object) -> Iterator[Entry]:
    for entity in list_of(scan, "entities_with_incidents"):
        if not isinstance(entity, Mapping):
            yield Invalid("The entity is not an object.")
            continue
        for incident in list_of(entity, "incidents"):
            yield from _incident(incident, file=text_of(entity, "filename"), commit=commit)


def _incident(incident: object, *, file: str | None, commit: object) -> Iterator[Entry]:
    if not isinstance(incident, Mapping):
        yield Invalid("The incident is not an object.")
        return
    occurrences = list_of(incident, "occurrences")
    matches = [text_of(one, "match") or "" for one in occurrences if isinstance(one, Mapping)]
    verified = text_of(incident, "validity") == "valid"
    for occurrence in occurrences:
        if not isinstance(occurrence, Mapping):
            yield Invalid("The occurrence is not an object.")
            continue
        place = _place(occurrence, file=file, commit=commit)
        own = text_of(occurrence, "match") or ""
        text = "\n".join(dict.fromkeys((own, *matches)))
        is_masked = not own or _MASK in own
        yield Text(text, url=where(place, file=file), place=place, masked=is_masked, verified=verified)


def _place(occurrence: Mapping[str, Any], *, file: str | None, commit: object) -> Place | None:
    """Return its lines: those after the commit, where a commit was scanned."""
    lines = [occurrence.get("post_" + name) or occurrence.get(name) for name in ("line_start", "line_end")]
    return Place.of(file, *lines, commit=commit)
