"""The form for every tool without one of its own here (Wiz, SOCRadar, a script):

    {"findings": [{"text": "<what leaked, with its surroundings>", "url": "<where>", "detected_at": "<ISO 8601>"}]}

docs/sources.md describes it. Further fields are allowed, and ignored.
"""

from collections.abc import Iterator, Mapping

from shared.sources.entries import Entry, Invalid, InvalidPayload, Text, text_of
from shared.sources.json_body import parse


def read(body: bytes) -> Iterator[Entry]:
    """Return an entry a finding. Raises InvalidPayload or InvalidRequest."""
    report = parse(body)
    if not isinstance(report, Mapping) or not isinstance(report.get("findings"), list):
        raise InvalidPayload("The body is not an object with a list `findings`.")
    yield from (_entry(finding) for finding in report["findings"])


def _entry(finding: object) -> Entry:
    if not isinstance(finding, Mapping):
        return Invalid("The finding is not an object.")
    text = text_of(finding, "text")
    if text is None:
        return Invalid("`text` is missing, empty or no text.")
    return Text(text, url=text_of(finding, "url"), detected_at=text_of(finding, "detected_at"))
