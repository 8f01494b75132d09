"""secretlint: its JSON report (`secretlint --format json`), which masks secrets and has the files' whole text.

github.com/secretlint/secretlint, packages/@secretlint/types/src/SecretLintCoreResult.ts: for each file `filePath`,
`sourceContent` and `messages[]` with `loc.start.line` and `loc.end.line`. What leaked is read from the text there.
"""

from collections.abc import Iterator, Mapping

from shared.sources.entries import Entry, Invalid, InvalidPayload, Text, list_of, object_of, text_of
from shared.sources.json_body import parse
from shared.sources.scanner_place import Around, Place, where


def read(body: bytes) -> Iterator[Entry]:
    """Return one entry for each message. Raises InvalidPayload or InvalidRequest."""
    report = parse(body)
    if not isinstance(report, list):
        raise InvalidPayload("The body is not a report of secretlint: it is not a list of files.")
    for file in report:
        if not isinstance(file, Mapping):
            yield Invalid("The file is not an object.")
            continue
        content = text_of(file, "sourceContent")
        for message in list_of(file, "messages"):
            yield _entry(message, file=text_of(file, "filePath"), content=content)


def _entry(message: object, *, file: str | None, content: str | None) -> Entry:
    if not isinstance(message, Mapping):
        return Invalid("The message is not an object.")
    lines = object_of(message, "loc")
    place = Place.of(file, object_of(lines, "start").get("line"), object_of(lines, "end").get("line"))
    around = Around(content, place.first, place.last) if content is not None and place is not None else None
    return Text("", url=where(place, file=file), place=place, around=around, masked=True)
