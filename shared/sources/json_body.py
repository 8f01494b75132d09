"""Parses the body of a request: JSON in UTF-8 that every parser reads the same way (RFC 8259, RFC 7493).

Bodies contain leaked credentials: no message repeats any part of a body, not even an unknown field's name.
"""

import json
import re
from typing import Any, NoReturn

from shared.errors import InvalidRequest

LONGEST = 1024 * 1024  # bytes
_HALF_A_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")


class UnsupportedMediaType(InvalidRequest):
    """The Content-Type is not JSON."""

    code = "unsupported_media_type"


class TooLarge(InvalidRequest):
    """The body exceeds the limit."""

    code = "too_large"


def read(body: bytes, *, content_type: str) -> dict[str, Any]:
    """Return the JSON object in `body`. Raises UnsupportedMediaType, TooLarge or InvalidRequest."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType("The body must be JSON: send it with Content-Type application/json.")
    if len(body) > LONGEST:
        raise TooLarge(f"The body is over {LONGEST} bytes. Send the part of the text that holds the credential.")
    value = parse(body)
    if not isinstance(value, dict):
        raise InvalidRequest("The body is not a JSON object.")
    return value


def parse(body: bytes) -> Any:
    """Return the JSON value in `body`. Raises InvalidRequest."""
    try:
        text = body.decode()
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse)
        if _HALF_A_CHARACTER.search(text):
            json.dumps(value, ensure_ascii=False).encode()  # fails for an unpaired surrogate, which has no UTF-8 form
    except RecursionError:
        raise InvalidRequest("The body is nested too deeply.") from None
    except ValueError:  # without a cause: it contains the body
        raise InvalidRequest("The body is not valid JSON in UTF-8.") from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise InvalidRequest("The body has a duplicate field.")
    return fields


def _refuse(_constant: str) -> NoReturn:
    raise ValueError
