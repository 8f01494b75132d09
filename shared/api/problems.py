"""Error responses: problem details (RFC 9457) with a stable code."""

import math
from dataclasses import dataclass
from typing import Annotated

import azure.functions as func
import msgspec
from msgspec import Meta

from shared import errors
from shared.api.request_body import CompressedBody, LengthRequired
from shared.api.responses import as_json
from shared.redaction import redact
from shared.sources import json_body
from shared.sources.parsing import TooManyItems
from shared.sources.windows import TooMuchAround

_RETRY_AFTER = 5.0  # seconds, where the error has none


class NoCredentialFound(errors.InvalidRequest):
    """The reported text contains no Azure Storage credential."""

    code = "no_credential_found"


class NotSigned(errors.Unauthenticated):
    """A report to the intake is not signed by its source, or not with the secret in the settings."""

    code = "not_signed"


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Problem details (RFC 9457)."""

    type: Annotated[str, Meta(pattern="^urn:sasquash:problem:[a-z_]+$")]
    title: str
    status: int
    detail: Annotated[str, Meta(description="What happened, to what, and what to do. It quotes no part of a body.")]
    code: Annotated[str, Meta(description="A stable code for programs.")]


@dataclass(frozen=True, slots=True)
class _Kind:
    status: int
    title: str


# An error has the kind of its nearest base class in this table.
_KINDS = {
    errors.SasquashError: _Kind(500, "Internal error"),
    errors.InvalidRequest: _Kind(400, "The request is invalid"),
    LengthRequired: _Kind(411, "The request has no Content-Length"),
    CompressedBody: _Kind(415, "The body is compressed"),
    json_body.UnsupportedMediaType: _Kind(415, "The body is not JSON"),
    json_body.TooLarge: _Kind(413, "The body is too large"),
    errors.FindingTooLarge: _Kind(413, "A finding is too large"),
    TooManyItems: _Kind(413, "The report has too many items"),
    TooMuchAround: _Kind(413, "The report has too much text"),
    NoCredentialFound: _Kind(422, "No credential was found"),
    errors.Unauthenticated: _Kind(401, "A valid access token is required"),
    NotSigned: _Kind(401, "The report's signature is missing or invalid"),
    errors.NoSuchSource: _Kind(404, "Unknown source"),
    errors.QuotaExceeded: _Kind(429, "The source exceeds its quota"),
    errors.NotPermitted: _Kind(403, "Not permitted"),
    errors.NoSuchRecord: _Kind(404, "Revocation not found"),
    errors.UnreadableRow: _Kind(500, "A record can't be read by this version"),
    errors.WrongState: _Kind(409, "The revocation's state does not allow this"),
    errors.Conflict: _Kind(409, "The revocation changed since it was read"),
    errors.Blocked: _Kind(502, "Azure refused the request"),
    errors.StorageRefused: _Kind(502, "Sasquash's own storage refused the request"),
    errors.TransientFailure: _Kind(503, "Temporarily unavailable"),
    errors.AccountBusy: _Kind(503, "The storage account is locked by another operation"),
}


def answer(error: errors.SasquashError, *, challenge: str | None = None) -> func.HttpResponse:
    """Return the response for `error`. `challenge` is the header WWW-Authenticate."""
    kind = next(_KINDS[ancestor] for ancestor in type(error).__mro__ if ancestor in _KINDS)
    headers = {}
    if challenge is not None:
        headers["WWW-Authenticate"] = challenge
    if kind.status in (429, 503):
        wait = _RETRY_AFTER if error.retry_after is None else error.retry_after
        headers["Retry-After"] = str(max(1, math.ceil(wait)))
    problem = Problem(
        type=f"urn:sasquash:problem:{error.code}",
        title=kind.title,
        status=kind.status,
        detail=redact(str(error)),
        code=error.code,
    )
    return as_json(problem, status=kind.status, media_type="application/problem+json", headers=headers)
