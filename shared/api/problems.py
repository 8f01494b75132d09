"""What is answered when something can't be done: problem details (RFC 9457), with a code that does not change."""

import math
from dataclasses import dataclass

import azure.functions as func

from shared import errors
from shared.api.responses import as_json
from shared.redaction import redact
from shared.sources import json_body

_RETRY_AFTER = 5.0  # seconds, where nobody said


class NoCredentialFound(errors.InvalidRequest):
    """The reported text holds no credential of Azure Storage."""

    code = "no_credential_found"


class NotSigned(errors.Unauthenticated):
    """What was posted to the intake is not signed by its source, or not with the secret of the settings."""

    code = "not_signed"


@dataclass(frozen=True, slots=True)
class _Kind:
    status: int
    title: str


# An error is of the kind of the nearest class that it descends from.
_KINDS = {
    errors.SasquashError: _Kind(500, "It failed"),
    errors.InvalidRequest: _Kind(400, "The request is invalid"),
    json_body.UnsupportedMediaType: _Kind(415, "The body is not JSON"),
    json_body.TooLarge: _Kind(413, "The body is too large"),
    NoCredentialFound: _Kind(422, "No credential was found"),
    errors.Unauthenticated: _Kind(401, "A good access token is needed"),
    NotSigned: _Kind(401, "The report is not signed as it must be"),
    errors.NoSuchSource: _Kind(404, "There is no such source"),
    errors.QuotaExceeded: _Kind(429, "The source is over its quota"),
    errors.NotPermitted: _Kind(403, "Not permitted"),
    errors.NoSuchRecord: _Kind(404, "There is no such revocation"),
    errors.WrongState: _Kind(409, "It can't be done in this state"),
    errors.Conflict: _Kind(409, "The revocation changed meanwhile"),
    errors.Blocked: _Kind(502, "Azure refuses"),
    errors.TransientFailure: _Kind(503, "It failed for now"),
    errors.AccountBusy: _Kind(503, "The storage account is being worked on"),
}


def answer(error: errors.SasquashError, *, challenge: str | None = None) -> func.HttpResponse:
    """Return the answer that tells of `error`. `challenge` is the header WWW-Authenticate."""
    kind = next(_KINDS[ancestor] for ancestor in type(error).__mro__ if ancestor in _KINDS)
    headers = {}
    if challenge is not None:
        headers["WWW-Authenticate"] = challenge
    if kind.status in (429, 503):
        wait = _RETRY_AFTER if error.retry_after is None else error.retry_after
        headers["Retry-After"] = str(max(1, math.ceil(wait)))
    problem = {
        "type": f"urn:sasquash:problem:{error.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": redact(str(error)),
        "code": error.code,
    }
    return as_json(problem, status=kind.status, media_type="application/problem+json", headers=headers)
