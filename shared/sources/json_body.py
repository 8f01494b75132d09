"""Reads the body of a request: JSON in UTF-8 that means the same to whoever reads it (RFC 8259, RFC 7493).

A leaked credential travels in these bodies: no message repeats any part of one, not even an unknown field's name.
"""

import json
from typing import Any, NoReturn

import azure.functions as func

from shared.errors import InvalidRequest

LONGEST = 1024 * 1024  # bytes


class UnsupportedMediaType(InvalidRequest):
    """The body is not said to be JSON."""

    code = "unsupported_media_type"


class TooLarge(InvalidRequest):
    """The body is longer than any report has to be."""

    code = "too_large"


def read(request: func.HttpRequest) -> dict[str, Any]:
    """Return the JSON object in the body. Raises UnsupportedMediaType, TooLarge or InvalidRequest."""
    media_type = request.headers.get("content-type", "").partition(";")[0]
    if media_type.strip().lower() != "application/json":
        raise UnsupportedMediaType("The body must be JSON: send it with Content-Type application/json.")
    body = request.get_body()
    if len(body) > LONGEST:
        raise TooLarge(f"The body is over {LONGEST} bytes. Send the part of the text that holds the credential.")
    value = parse(body)
    if not isinstance(value, dict):
        raise InvalidRequest("The body is not a JSON object.")
    return value


def parse(body: bytes) -> Any:
    """Return the JSON value in `body`. Raises InvalidRequest."""
    try:
        value = json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_refuse)
        json.dumps(value, ensure_ascii=False).encode()  # fails for half of a surrogate pair, which has no UTF-8 form
    except RecursionError:
        raise InvalidRequest("The body is nested too deep.") from None
    except ValueError:  # without a cause: it holds the body
        raise InvalidRequest("The body is not valid JSON in UTF-8.") from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise InvalidRequest("The body has a field twice.")
    return fields


def _refuse(_constant: str) -> NoReturn:
    raise ValueError
