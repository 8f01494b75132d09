"""The lines of a report that has one JSON object a line (jsonlines.org). Pure."""

import json
from collections.abc import Iterator
from typing import Any

from shared.sources.entries import Invalid, InvalidPayload


def decoded(body: bytes) -> str:
    """Return the text of a body. Raises InvalidPayload where it is not UTF-8."""
    try:
        return body.decode("utf-8-sig")  # PowerShell writes a byte order mark before the first line
    except UnicodeDecodeError:
        raise InvalidPayload("The body is not UTF-8.") from None


def lines_of(text: str) -> Iterator[str]:
    """Yield the lines that are not blank, one at a time: a report may have millions of empty ones.

    Only a line feed ends one. Other separators may stand in a text of JSON.
    """
    start = 0
    while start <= len(text):
        end = text.find("\n", start)
        end = end if end >= 0 else len(text)
        if line := text[start:end].strip():
            yield line
        start = end + 1


def values_of(text: str) -> Iterator[Any]:
    """Yield the value of each line that is not blank; `Invalid` for one that is not JSON."""
    for line in lines_of(text):
        try:
            yield json.loads(line)
        except (ValueError, RecursionError):
            yield Invalid("The line is not JSON.")
