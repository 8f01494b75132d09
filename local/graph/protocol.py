"""Shared by all Graph operations: error shape, request ids, query parameters and JSON bodies."""

import uuid
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from local import json_text
from local.tenant.model import Cloud, Identity, now


class GraphError(Exception):
    """An error response `{"error": {"code", "message", "innerError"}}` (learn.microsoft.com/graph/errors)."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Call:
    """One authorized request."""

    cloud: Cloud
    identity: Identity
    request: Request

    def name(self, segment: str) -> str:
        """Return the value of the path for `segment` of the route."""
        return str(self.request.path_params[segment])


@dataclass(frozen=True)
class RequestIds:
    """The ids of a response: a new request id, and the client's request id or the same."""

    request_id: str
    client_request_id: str

    @classmethod
    def of(cls, request: Request) -> "RequestIds":
        request_id = str(uuid.uuid4())
        return cls(request_id, request.headers.get("client-request-id", request_id))

    def headers(self) -> dict[str, str]:
        return {"request-id": self.request_id, "client-request-id": self.client_request_id}

    def error_body(self, code: str, message: str) -> dict[str, Any]:
        inner = {"date": f"{now():%Y-%m-%dT%H:%M:%S}"} | self.headers()
        return {"error": {"code": code, "message": message, "innerError": inner}}


def parameters(request: Request, *known: str) -> dict[str, str]:
    """Return query parameters by name without "$", which is optional. Raises GraphError (400) for unknown ones."""
    found = {name.removeprefix("$"): value for name, value in request.query_params.items()}
    unknown = set(found) - set(known)
    if unknown:
        raise GraphError(400, "BadRequest", f"The query parameter '${min(unknown)}' is not supported.")
    return found


async def read_json(request: Request) -> dict[str, Any]:
    """Return the JSON object of the request. Raises GraphError for another media type or other JSON."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not media_type:
        raise GraphError(
            400,
            "BadRequest",
            "Write requests (excluding DELETE) must contain the Content-Type header declaration.",
        )
    if media_type != "application/json":
        raise GraphError(415, "UnsupportedMediaType", f"The content media type '{media_type}' is not supported.")
    try:
        body = json_text.parse(await request.body())
    except json_text.InvalidJson:
        body = None
    if not isinstance(body, dict):
        raise GraphError(400, "BadRequest", "Unable to read JSON request payload.")
    return body
