"""Gitleaks: its JSON report, an array of findings.

github.com/gitleaks/gitleaks, report/finding.go.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from shared.sources.entries import Entry, Invalid, InvalidPayload, Text, text_of
from shared.sources.json_body import parse
from shared.sources.scanner_place import Place

_MASK = "REDACTED"  # what --redact replaces a secret with


def read(body: bytes) -> Iterator[Entry]:
    """Return one entry for each finding. Raises InvalidPayload or InvalidRequest."""
    report = parse(body)
    if report is None:
        return  # old versions write null when they find nothing
    if not isinstance(report, list):
        raise InvalidPayload("The body is not a JSON array of findings.")
    yield from (_entry(finding) for finding in report)


def _entry(finding: object) -> Entry:
    if not isinstance(finding, Mapping):
        return Invalid("The finding is not a JSON object.")
    match, secret = text_of(finding, "Match"), text_of(finding, "Secret")
    place = Place.of(
        finding.get("File"), finding.get("StartLine"), finding.get("EndLine"), commit=finding.get("Commit")
    )
    if secret == _MASK:
        return Text("", url=_place(finding), place=place, masked=True)
    if match is None and secret is None:
        return Invalid("`Match` and `Secret` are missing or not strings.")
    # The group of the rule may be shorter than the secret, while the match has all of it; or the reverse.
    text = match if match and secret and secret in match else "\n".join(filter(None, (match, secret)))
    return Text(text, url=_place(finding), place=place)


def _place(finding: Mapping[str, Any]) -> str | None:
    link, file, line = text_of(finding, "Link"), text_of(finding, "File"), finding.get("StartLine")
    if link or not file:
        return link
    return f"{file}:{line}" if isinstance(line, int) else file
