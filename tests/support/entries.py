"""The entries of a report, as the reader of its source returns them."""

import json

from shared.api.intake.registry import TEXT_READERS
from shared.sources import generic
from shared.sources.entries import Entry, Text


def read(source: str, payload: object) -> list[Entry]:
    """Return the entries of a payload: bytes as they are, else as JSON."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return list(TEXT_READERS.get(source, generic.read)(body))


def only(source: str, payload: object) -> Text:
    """Return the only entry of a payload, which is a text."""
    [entry] = read(source, payload)
    assert isinstance(entry, Text), entry
    return entry
