"""The endpoint of a data collection rule of kind Direct: takes rows for a custom table of the workspace.

Contract: azure-rest-api-specs, monitor/data-plane/ingestion, stable/2023-01-01, DataCollectionRules.json (Upload);
MicrosoftDocs/azure-monitor-docs, logs-ingestion-api-overview.md ("REST API call", "Data collection rule") and the
limits of service-limits (Logs Ingestion API): 1 MB a call, compressed and uncompressed; a field longer than 64 KB is
cut. The answer to rows that are accepted is an empty 204. A property that the stream does not declare is dropped, and
one that is missing is null ("Structure of a data collection rule": streamDeclarations describe what comes in).

Accepted rows can be queried `cloud.history_delay` seconds later ("Log data ingestion time in Azure Monitor").
"""

import gzip
from datetime import timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local import json_text
from local.entra.tokens import MONITOR, Entra, Forbidden, Unauthorized
from local.tenant.model import HISTORY_RULE, Cloud, CustomLogRow
from local.tenant.model.clock import now

PUBLISHER = "Monitoring Metrics Publisher@history"
STREAM = "Custom-SasquashHistory_CL"
COLUMNS = {
    **dict.fromkeys(("Fingerprint", "Chain", "Previous", "Hash", "Who", "State", "What", "Evidence"), str),
    **dict.fromkeys(("CorrelationId", "Record", "At"), str),
    "Line": int,
}
"""The stream's columns, as infra/ declares them; a test compares the two."""

_VERSIONS = frozenset({"2023-01-01", "2021-11-01-preview"})
_LARGEST = 1024 * 1024
_LONGEST = 64 * 1024


class _Refused(Exception):
    """The service refuses the request with this status and code."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def app(cloud: Cloud, entra: Entra) -> Starlette:
    """Return the endpoint for `cloud`."""

    async def upload(request: Request) -> Response:
        try:
            entra.authorize(request, audiences=(MONITOR,), right=PUBLISHER)
        except Unauthorized as error:
            return _error(401, "InvalidToken", str(error))
        except Forbidden:
            return _error(403, "OperationFailed", "The authentication token does not have access to ingest data.")
        try:
            _check(request)
            items = _items(request.headers.get("content-encoding", ""), await request.body())
        except _Refused as error:
            return _error(error.status, error.code, str(error))
        visible = now() + timedelta(seconds=cloud.history_delay)
        cloud.history += [CustomLogRow(visible, _row(item)) for item in items]
        return Response(status_code=204)

    return Starlette(routes=[Route("/dataCollectionRules/{rule}/streams/{stream}", upload, methods=["POST"])])


def _check(request: Request) -> None:
    """Raise _Refused for a version, a rule or a stream that there is not."""
    if request.query_params.get("api-version") not in _VERSIONS:
        raise _Refused(400, "UnsupportedApiVersion", "The api-version is missing or not supported.")
    if request.path_params["rule"] != HISTORY_RULE:
        raise _Refused(404, "NotFound", "Data collection rule with immutable Id was not found.")
    if request.path_params["stream"] != STREAM:
        raise _Refused(400, "InvalidStream", "The stream is not configured in the data collection rule.")


def _items(encoding: str, sent: bytes) -> list[dict[str, Any]]:
    """Return the objects that were sent. Raises _Refused."""
    try:
        body = gzip.decompress(sent) if encoding == "gzip" else sent
        if max(len(sent), len(body)) > _LARGEST:
            raise _Refused(413, "ContentLengthLimitExceeded", "Maximum allowed content length: 1048576 bytes.")
        parsed = json_text.parse(body)
    except (json_text.InvalidJson, gzip.BadGzipFile, EOFError):
        raise _Refused(400, "InvalidPayload", "The payload is not valid JSON.") from None
    if not isinstance(parsed, list) or not all(isinstance(item, dict) for item in parsed):
        raise _Refused(400, "InvalidPayload", "The payload must be an array of objects.")
    return parsed


def _row(item: dict[str, Any]) -> dict[str, Any]:
    """Return what the table gets of an item: the declared columns, in their types, cut to their longest."""
    return {name: _value(item.get(name), kind) for name, kind in COLUMNS.items()}


def _value(value: Any, kind: type) -> Any:
    if kind is str:
        text = "" if value is None else str(value)
        return text.encode()[:_LONGEST].decode(errors="ignore")
    return value if isinstance(value, kind) and not isinstance(value, bool) else None


def _error(status: int, code: str, message: str) -> Response:
    body = {"error": {"code": code, "message": message}}
    return JSONResponse(body, status_code=status, headers={"x-ms-error-code": code})
