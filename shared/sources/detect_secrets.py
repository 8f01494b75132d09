"""detect-secrets: its baseline (`detect-secrets scan`), which has hashes alone.

github.com/Yelp/detect-secrets, detect_secrets/core/baseline.py: `results` by file, each with `type`, `line_number`
and `hashed_secret`. What leaked is in the file alone, and most of what it names is of no interest here.
"""

from collections.abc import Iterator, Mapping

from shared.sources.entries import Entry, Invalid, InvalidPayload, Text, object_of
from shared.sources.json_body import parse
from shared.sources.scanner_place import Place, where


def read(body: bytes) -> Iterator[Entry]:
    """Return one entry for each result. Raises InvalidPayload or InvalidRequest."""
    report = parse(body)
    if not isinstance(report, Mapping) or not isinstance(report.get("results"), Mapping):
        raise InvalidPayload("The body is not a baseline of detect-secrets: it has no `results`.")
    for file, found in object_of(report, "results").items():
        for result in found if isinstance(found, list) else [None]:
            yield _entry(file, result)


def _entry(file: str, result: object) -> Entry:
    if not isinstance(result, Mapping):
        return Invalid("The result is not an object.")
    place = Place.of(file, result.get("line_number"))
    return Text("", url=where(place, file=file), place=place, masked=True)
