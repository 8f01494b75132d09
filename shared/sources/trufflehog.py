"""TruffleHog: the output of `trufflehog … --json`, one result on each line; or a JSON array of results.

github.com/trufflesecurity/trufflehog, pkg/output/json.go and pkg/detectors/azure*. The Azure detectors split tokens
from their URLs: this module joins them again.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from shared.sources.entries import Entry, Invalid, InvalidPayload, Skip, Skipped, Text, object_of, text_of
from shared.sources.json_body import parse

_NOT_AN_OBJECT = Invalid("The line is not a JSON object.")
_PLACES = ("link", "repository", "file", "path", "url", "bucket", "image")


def read(body: bytes) -> Iterator[Entry]:
    """Return one entry for each result. Raises InvalidPayload where `body` is not UTF-8."""
    text = _decoded(body)
    if text.lstrip().startswith("["):
        results = parse(text.encode())
        yield from (_entry(result) for result in (results if isinstance(results, list) else [results]))
        return
    for line in filter(str.strip, _lines(text)):
        yield _line(line)


def _lines(text: str) -> Iterator[str]:
    """Yield the lines one at a time: a report may have millions of empty ones.

    Only a line feed ends one (pkg/output/json.go). Other separators may stand in a text of JSON.
    """
    start = 0
    while (end := text.find("\n", start)) >= 0:
        yield text[start:end]
        start = end + 1
    yield text[start:]


def _decoded(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")  # PowerShell writes a byte order mark before the first line
    except UnicodeDecodeError:
        raise InvalidPayload("The body is not UTF-8.") from None


def _line(line: str) -> Entry:
    try:
        return _entry(json.loads(line))
    except (ValueError, RecursionError):
        return Invalid("The line is not JSON.")


def _entry(result: object) -> Entry:
    if not isinstance(result, Mapping):
        return _NOT_AN_OBJECT
    found = _text(result)
    if found is None:
        return Skipped(Skip.REDACTED) if text_of(result, "Redacted") else Invalid("`Raw` is missing or not a string.")
    return Text(found, url=_place(result), detected_at=None)


def _text(result: Mapping[str, Any]) -> str | None:
    """Return the secret with its URL. `RawV2` is both, joined without the "?" between them, or a JSON object."""
    parts = object_of(result, "SecretParts")
    url, key = text_of(parts, "url"), text_of(parts, "key")
    if url and key:
        return f"{url}?{key.removeprefix('?')}"
    raw, both = text_of(result, "Raw"), text_of(result, "RawV2")
    if raw and both and raw.startswith("http") and both.startswith(raw):
        return f"{raw}?{both[len(raw) :].removeprefix('?')}"
    return "\n".join(text for text in (_connection(both), both, raw) if text) or None


def _connection(both: str | None) -> str | None:
    """Return a storage key with its account as a connection string, None where `both` is neither."""
    try:
        pair = json.loads(both or "")
    except (ValueError, RecursionError):
        return None
    if not isinstance(pair, Mapping):
        return None
    account, key = text_of(pair, "accountName"), text_of(pair, "accountKey")
    return f"AccountName={account};AccountKey={key}" if account and key else None


def _place(result: Mapping[str, Any]) -> str | None:
    """Return where it was found: a link, else another location with its line."""
    data = object_of(object_of(result, "SourceMetadata"), "Data")
    for place in data.values():
        if isinstance(place, Mapping):
            where = next((text for name in _PLACES if (text := text_of(place, name))), None)
            line = place.get("line")
            at = f":{line}" if isinstance(line, int) and text_of(place, "link") is None else ""
            return f"{where}{at}" if where else None
    return None
