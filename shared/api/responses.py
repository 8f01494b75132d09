"""JSON responses that no cache stores."""

from collections.abc import Mapping

import azure.functions as func
import msgspec

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def as_json(
    value: object,
    *,
    status: int = 200,
    media_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> func.HttpResponse:
    """Return `value` as JSON: times in RFC 3339, enums by their values."""
    return of_json(msgspec.json.encode(value), status=status, media_type=media_type, headers=headers)


def of_json(
    content: bytes,
    *,
    status: int = 200,
    media_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> func.HttpResponse:
    """Return JSON as it was encoded before."""
    return func.HttpResponse(
        content,
        status_code=status,
        mimetype=media_type,
        headers={**_HEADERS, **(headers or {})},
    )
