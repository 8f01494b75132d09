"""The ingestion endpoint of Application Insights: accepts telemetry items, and keeps those of traces.

Items are as in "Application Insights telemetry data model" and the Track API that the exporters use
(POST /v2.1/track: `{"itemsReceived", "itemsAccepted", "errors"}`). Local authentication is disabled, as in infra/.
"""

import gzip
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local import json_text
from local.entra.tokens import MONITOR, Entra, Forbidden, Unauthorized
from local.tenant.model import Cloud

PUBLISHER = "Monitoring Metrics Publisher@insights"
INSTRUMENTATION_KEY = "6f0c3f5e-2b1d-4c8a-9e77-1d5b8c3a0f42"
_KINDS = {"RequestData": "Request", "RemoteDependencyData": "RemoteDependency"}
_LONGEST_NAME = 1024


def connection_string(host: str) -> str:
    """Return the connection string for telemetry to `host`."""
    return f"InstrumentationKey={INSTRUMENTATION_KEY};IngestionEndpoint=https://{host}/"


def app(cloud: Cloud, entra: Entra) -> Starlette:
    """Return the ingestion endpoint for `cloud`."""

    async def track(request: Request) -> Response:
        try:
            entra.authorize(request, audiences=(MONITOR,), right=PUBLISHER)
        except Unauthorized as error:
            return _refuse_all(401, str(error))
        except Forbidden as error:
            return _refuse_all(403, str(error))
        try:
            items = _items(request.headers.get("content-encoding", ""), await request.body())
        except (json_text.InvalidJson, gzip.BadGzipFile, ValueError) as error:
            return _refuse_all(400, str(error))
        problems = [(n, problem) for n, item in enumerate(items) if (problem := _problem(item))]
        refused = {n for n, _ in problems}
        cloud.telemetry += [item for n, item in enumerate(items) if n not in refused and _is_of_a_trace(item)]
        body = {
            "itemsReceived": len(items),
            "itemsAccepted": len(items) - len(problems),
            "errors": [{"index": n, "statusCode": 400, "message": said} for n, said in problems],
        }
        return JSONResponse(body, status_code=206 if problems else 200)

    # Endpoints in Azure's connection strings end with a slash, and the exporter adds another one.
    return Starlette(routes=[Route(path, track, methods=["POST"]) for path in ("/v2.1/track", "//v2.1/track")])


def _refuse_all(status: int, message: str) -> Response:
    errors = [{"index": 0, "statusCode": status, "message": message}]
    return JSONResponse({"itemsReceived": 1, "itemsAccepted": 0, "errors": errors}, status_code=status)


def _items(encoding: str, body: bytes) -> list[Any]:
    parsed = json_text.parse(gzip.decompress(body) if encoding == "gzip" else body)
    if not isinstance(parsed, list):
        raise ValueError("the body must be an array of telemetry items")  # noqa: TRY004 -- about what was sent
    return parsed


def _problem(item: Any) -> str:
    """Return what is wrong with an item; an empty text if it is valid."""
    if not isinstance(item, dict):
        return "an item must be an object"
    if item.get("iKey") != INSTRUMENTATION_KEY:
        return "Invalid instrumentation key"
    data = item.get("data")
    if not isinstance(item.get("time"), str) or not isinstance(data, dict):
        return "Field 'time' or 'data' on type 'Envelope' is required but missing"
    base = data.get("baseData")
    kind = _KINDS.get(str(data.get("baseType")))
    if kind is None:
        return ""
    if not isinstance(base, dict) or not all(isinstance(base.get(name), str) for name in ("id", "name", "duration")):
        return f"Field 'id', 'name' or 'duration' on type '{kind}' is required but missing"
    if len(base["name"]) > _LONGEST_NAME:
        return f"Field 'name' on type '{kind}' is too long"
    return ""


def _is_of_a_trace(item: dict[str, Any]) -> bool:
    return item["data"].get("baseType") in _KINDS
