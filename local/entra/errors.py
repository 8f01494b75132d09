"""Refusals of the token endpoint, in the shape of RFC 6749 section 5.2, with Entra's AADSTS number.

learn.microsoft.com, "Microsoft Entra authentication and authorization error codes".
"""

import uuid
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.entra.tokens import AUTHORITY


class OAuthError(Exception):
    """A 400 response: `error` of RFC 6749, and the number and text of Entra."""

    def __init__(self, error: str, number: int, text: str, *, suberror: str | None = None) -> None:
        super().__init__(text)
        self.error = error
        self.number = number
        self.text = text
        self.suberror = suberror


async def answer(_request: Request, error: Exception) -> Response:
    """Return the response for an OAuthError."""
    assert isinstance(error, OAuthError)
    body = {
        "error": error.error,
        "error_description": f"AADSTS{error.number}: {error.text}",
        "error_codes": [error.number],
        "timestamp": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}",
        "trace_id": str(uuid.uuid4()),
        "correlation_id": str(uuid.uuid4()),
        "error_uri": f"{AUTHORITY}/error?code={error.number}",
    }
    if error.suberror is not None:
        body["suberror"] = error.suberror
    return JSONResponse(body, status_code=400, headers={"cache-control": "no-store"})
