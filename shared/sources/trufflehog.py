"""TruffleHog: the output of `trufflehog … --json`, one result on each line; or a JSON array of results.

github.com/trufflesecurity/trufflehog, pkg/output/json.go and pkg/detectors/azure*. The Azure detectors split tokens
from their URLs: this module joins them again.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from shared.sources.entries import Entry, Invalid, Text, list_of, object_of, text_of
from shared.sources.json_body import parse
from shared.sources.json_lines import decoded, values_of
from shared.sources.scanner_place import Place

_NOT_AN_OBJECT = Invalid("The line is not a JSON object.")
_PLACES = ("repository", "path", "url", "bucket", "image")


def read(body: bytes) -> Iterator[Entry]:
    """Return one entry for each result. Raises InvalidPayload where `body` is not UTF-8."""
    text = decoded(body)
    if text.lstrip().startswith("["):
        results = parse(text.encode())
        yield from (_entry(result) for result in (results if isinstance(results, list) else [results]))
        return
    for result in values_of(text):  # pkg/output/json.go
        yield result if isinstance(result, Invalid) else _entry(result)


def _entry(result: object) -> Entry:
    if not isinstance(result, Mapping):
        return _NOT_AN_OBJECT
    found, place = _text(result), _reported_lines(result)
    if found is None:
        masked = Text("", url=_place(result), place=place, masked=True)
        return masked if text_of(result, "Redacted") else Invalid("`Raw` is missing or not a string.")
    return Text(found, url=_place(result), place=place, verified=result.get("Verified") is True)


def _text(result: Mapping[str, Any]) -> str | None:
    """Return the secret with its URL. `RawV2` is both, joined without the "?" between them, or a JSON object."""
    parts = object_of(result, "SecretParts")
    url, key = text_of(parts, "url"), text_of(parts, "key")
    if url and key:
        return f"{url}?{key.removeprefix('?')}"
    raw, both = text_of(result, "Raw"), text_of(result, "RawV2")
    if raw and both and raw.startswith("http") and both.startswith(raw):
        return f"{raw}?{both[len(raw) :].removeprefix('?')}"
    texts = (_connection(both), both, raw, *_legacy(result))
    return "\n".join(text for text in texts if text) or None


def _legacy(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts of `--json-legacy`, which has no `Raw` (pkg/output/legacy_json.go)."""
    if "stringsFound" in result:
        yield text_of(result, "diff") or ""
        yield from (text for text in list_of(result, "stringsFound") if isinstance(text, str))


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
    """Return where it was found: a link, else the file with repository, line and commit, else another location."""
    place = _metadata(result)
    link, file, line = text_of(place, "link"), text_of(place, "file") or text_of(result, "path"), place.get("line")
    if link is not None:
        return link
    if file is None:
        where = next((text for name in _PLACES if (text := text_of(place, name))), None)
        return f"{where}:{line}" if where and isinstance(line, int) else where
    repository = text_of(place, "repository") or text_of(place, "repository_local_path")
    lines = _reported_lines(result)
    where = str(lines) if lines is not None else file
    return f"{repository.rstrip('/')}/{where}" if repository else where


def _reported_lines(result: Mapping[str, Any]) -> Place | None:
    place = _metadata(result)
    return Place.of(place.get("file"), place.get("line"), commit=place.get("commit"))


def _metadata(result: Mapping[str, Any]) -> Mapping[str, Any]:
    data = object_of(object_of(result, "SourceMetadata"), "Data")
    return next((place for place in data.values() if isinstance(place, Mapping)), {})
