"""A strict fake of the Graph calls of the product, over httpx.MockTransport: any deviation gets a 4xx.

Written independently of the stand-in in local/, so that the two check each other's reading of the documentation.
"""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import httpx
from azure.core.credentials import AccessToken

TOKEN = "the-bearer-token"
SENDER = "sasquash@contoso.com"
SITE = "contoso.sharepoint.com,5f0c7a1e-52c5-4f3b-8d0a-2f6f1f0c9a77,1c9b2b7d-0c52-4a0c-9d3e-7b1a5d2c4e66"
LIST = "b7d0a9c4-3f6e-4d2b-9a51-6e8c0f1d2b35"
COLUMNS = frozenset(
    {"Title", "FindingId", "Severity", "Status", "Account", "ResourceId", "Key", "Source", "Owners"}
    | {"DetectedAt", "Summary", "NextStep"}
)

Answer = Callable[[httpx.Request], httpx.Response]


class Credential:
    """A credential that returns TOKEN or raises `error`, and records the requested scopes."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.scopes: list[str] = []

    async def get_token(self, *scopes: str, **_options: Any) -> AccessToken:
        self.scopes += scopes
        if self.error:
            raise self.error
        return AccessToken(TOKEN, int(time.time()) + 3600)

    async def close(self) -> None:
        """Nothing to close."""

    async def __aenter__(self) -> "Credential":
        return self

    async def __aexit__(self, *_details: object) -> None:
        """Nothing to close."""


@dataclass
class Fault:
    """Answers the next request of `method` instead of the service; with `after`, once the service has executed it."""

    method: str
    answer: Answer
    after: bool = False


@dataclass
class FakeGraph:
    users: dict[str, dict[str, str | None]] = field(default_factory=dict)
    principals: dict[str, str] = field(default_factory=dict)  # object id → "users" or "servicePrincipals"
    mails: list[dict[str, Any]] = field(default_factory=list)
    items: dict[str, dict[str, str]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._handle)

    def count(self, method: str) -> int:
        return sum(request.method == method for request in self.requests)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        fault = next((fault for fault in self.faults if fault.method == request.method), None)
        if fault is not None:
            self.faults.remove(fault)
            if fault.after:
                self._serve(request)
            return fault.answer(request)
        return self._serve(request)

    def _serve(self, request: httpx.Request) -> httpx.Response:
        if request.url.host != "graph.microsoft.com" or request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return error(401, "InvalidAuthenticationToken")
        path = unquote(request.url.raw_path.decode().split("?")[0])
        items = f"/v1.0/sites/{SITE}/lists/{LIST}/items"
        match request.method, path:
            case "GET", _ if dict(request.url.params) == {"$select": "id"}:
                return self._principal(*path.removeprefix("/v1.0/").partition("/")[::2])
            case "GET", _ if path.startswith("/v1.0/users/"):
                return self._user(request, path.removeprefix("/v1.0/users/"))
            case "POST", _ if path == f"/v1.0/users/{SENDER}/sendMail":
                return self._send_mail(json.loads(request.content))
            case "GET", _ if path == items:
                return self._find(request)
            case "POST", _ if path == items:
                return self._create(json.loads(request.content))
            case "PATCH", _ if found := re.fullmatch(re.escape(items) + r"/(\d+)/fields", path):
                return self._update(found[1], json.loads(request.content))
        return error(404, "itemNotFound")

    def _principal(self, collection: str, object_id: str) -> httpx.Response:
        found = self.principals.get(object_id) == collection
        return httpx.Response(200, json={"id": object_id}) if found else error(404, "Request_ResourceNotFound")

    def _user(self, request: httpx.Request, address: str) -> httpx.Response:
        if dict(request.url.params) != {"$select": "id,displayName,mail,userPrincipalName"}:
            return error(403, "Authorization_RequestDenied")
        user = self.users.get(address)
        return httpx.Response(200, json=user) if user else error(404, "Request_ResourceNotFound")

    def _send_mail(self, body: dict[str, Any]) -> httpx.Response:
        if set(body) != {"Message", "SaveToSentItems"}:
            return error(400, "ErrorInvalidRequest")
        self.mails.append(body["Message"])
        return httpx.Response(202)

    def _find(self, request: httpx.Request) -> httpx.Response:
        wanted = re.fullmatch(r"fields/FindingId eq '([0-9a-f]{64})'", request.url.params.get("$filter", ""))
        if wanted is None or request.url.params.get("$expand") != "fields":
            return error(400, "invalidRequest")
        value = [
            {"id": number, "fields": fields}
            for number, fields in self.items.items()
            if fields["FindingId"] == wanted[1]
        ]
        return httpx.Response(200, json={"value": value})

    def _create(self, body: dict[str, Any]) -> httpx.Response:
        fields = body["fields"]
        if set(fields) - COLUMNS or not all(isinstance(value, str) for value in fields.values()):
            return error(400, "invalidRequest")
        if any(item["FindingId"] == fields["FindingId"] for item in self.items.values()):
            return error(500, "generalException")  # as seen through CSOM for a duplicate in a unique column
        number = str(len(self.items) + 1)
        self.items[number] = fields
        return httpx.Response(201, json={"id": number, "fields": fields})

    def _update(self, number: str, fields: dict[str, str]) -> httpx.Response:
        if number not in self.items:
            return error(404, "itemNotFound")
        if set(fields) - COLUMNS:
            return error(400, "invalidRequest")
        self.items[number] |= fields
        return httpx.Response(200, json=self.items[number])


def error(status: int, code: str, **headers: str) -> httpx.Response:
    """Return an error response of Graph. The product must never repeat its message."""
    body = {"error": {"code": code, "message": "the body of the answer"}}
    return httpx.Response(status, json=body, headers={name.replace("_", "-"): text for name, text in headers.items()})
