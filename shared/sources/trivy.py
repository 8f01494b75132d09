"""Trivy: its JSON report (`trivy fs --scanners secret --format json`), which masks every secret.

github.com/aquasecurity/trivy, pkg/types/report.go and pkg/fanal/types/secret.go: `Results[].Target`, and in
`Secrets[]` `RuleID`, `StartLine`, `EndLine`, `Match`. What leaked is in the file alone.
"""

from collections.abc import Iterator, Mapping

from shared.sources.entries import Entry, Invalid, InvalidPayload, Text, list_of, text_of
from shared.sources.json_body import parse
from shared.sources.scanner_place import Place, where


def read(body: bytes) -> Iterator[Entry]:
    """Return one entry for each secret. Raises InvalidPayload or InvalidRequest."""
    report = parse(body)
    if not isinstance(report, Mapping) or "SchemaVersion" not in report:
        raise InvalidPayload("The body is not a report of Trivy: it has no `SchemaVersion`.")
    for result in list_of(report, "Results"):
        if not isinstance(result, Mapping):
            yield Invalid("The result is not an object.")
            continue
        for secret in list_of(result, "Secrets"):
            yield _entry(secret, text_of(result, "Target"))


def _entry(secret: object, target: str | None) -> Entry:
    if not isinstance(secret, Mapping):
        return Invalid("The secret is not an object.")
    place = Place.of(target, secret.get("StartLine"), secret.get("EndLine"))
    return Text(text_of(secret, "Match") or "", url=where(place, file=target), place=place, masked=True)
