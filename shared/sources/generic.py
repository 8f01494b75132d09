"""The generic format, for tools without a format of their own here (Wiz, SOCRadar, a script):

    {"findings": [{"text": "<leaked text with its surroundings>", "url": "<where>", "detected_at": "<ISO 8601>"}]}

See docs/sources.md. Other fields are ignored. The webhooks of some tools are read, too (`notices.py`).
"""

from collections.abc import Iterator, Mapping

from shared.sources.entries import Entry, Invalid, InvalidPayload, Text, text_of
from shared.sources.json_body import parse
from shared.sources.notices import notice


def read(body: bytes) -> Iterator[Entry]:
    """Return one entry for each finding. Raises InvalidPayload or InvalidRequest."""
    report = parse(body)
    if not isinstance(report, Mapping) or not isinstance(report.get("findings"), list):
        known = notice(report)
        if known is None:
            raise InvalidPayload(
                "The body is not an object with a list `findings`, each with a `text`. Post that, or the report of a "
                "tool to the source of its name (docs/sources.md)."
            )
        yield known
        return
    yield from (_entry(finding) for finding in report["findings"])


def _entry(finding: object) -> Entry:
    if not isinstance(finding, Mapping):
        return Invalid("The finding is not an object.")
    text = text_of(finding, "text")
    if text is None:
        return Invalid("`text` is missing, empty or not a string.")
    return Text(text, url=text_of(finding, "url"), detected_at=text_of(finding, "detected_at"))
