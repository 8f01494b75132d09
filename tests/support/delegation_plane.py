"""A fake of Azure Storage for user delegation: it issues keys and verifies what they signed, and has no resources."""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

from azure.core.exceptions import AzureError
from azure.core.rest import AsyncHttpResponse, HttpRequest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from local.entra.service import Entra, Unauthorized
from local.tenant.model import Account
from tests.support.asgi import Transport
from tests.support.samples import TENANT

_KEY = (
    '\ufeff<?xml version="1.0" encoding="utf-8"?><UserDelegationKey><SignedOid>{oid}</SignedOid><SignedTid>{tid}'
    "</SignedTid><SignedStart>{start}</SignedStart><SignedExpiry>{expiry}</SignedExpiry><SignedService>b"
    "</SignedService><SignedVersion>{version}</SignedVersion><Value>{value}</Value></UserDelegationKey>"
)
_LAYOUT = (
    *("sp", "st", "se", "@", "skoid", "sktid", "skt", "ske", "sks", "skv", "saoid", "suoid", "scid"),
    *("sip", "spr", "sv", "sr", "snapshot", "ses", "rscc", "rscd", "rsce", "rscl", "rsct"),
)


@dataclass(frozen=True)
class Issued:
    """An issued key."""

    start: str
    expiry: str
    value: str
    at: datetime


@dataclass
class DelegationPlane:
    """Refuses requests that its keys signed for lack of permission: the app's identity may not read.

    `says` overrides the responses to a kind of request: "key", or the name of a host.
    """

    account: Account
    entra: Entra
    says: dict[str, tuple[int, str] | AzureError | str] = field(default_factory=dict)
    issued: list[Issued] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def connect(self) -> "_Connection":
        return _Connection(self)

    def said(self, request: HttpRequest) -> tuple[int, str] | AzureError | str | None:
        return self.says.get("key" if request.method == "POST" else urlsplit(request.url).netloc)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        answer = await self._key(request) if request.method == "POST" else self._read(request)
        await answer(scope, receive, send)

    async def _key(self, request: Request) -> Response:
        """Answer Get User Delegation Key, as REST documents it."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or str(request.url.query) != "restype=service&comp=userdelegationkey":
            return refusal(400, "InvalidQueryParameterValue")
        try:
            identity = self.entra.verify(token, audiences=["https://storage.azure.com"])
        except Unauthorized:
            return refusal(401, "InvalidAuthenticationInfo")
        if request.headers.get("x-ms-version", "") < "2018-11-09" or request.url.path != "/":
            return refusal(400, "InvalidHeaderValue")
        body = (await request.body()).decode()
        start, expiry = (body.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0] for tag in ("Start", "Expiry"))
        key = Issued(
            start, expiry, base64.b64encode(hashlib.sha256(body.encode()).digest()).decode(), datetime.now(UTC)
        )
        self.issued.append(key)
        return Response(
            _KEY.format(
                oid=identity.object_id,
                tid=TENANT,
                start=start,
                expiry=expiry,
                version=request.headers["x-ms-version"],
                value=key.value,
            ),
            media_type="application/xml",
        )

    def _read(self, request: Request) -> Response:
        query = {name: values[0] for name, values in parse_qs(request.url.query).items()}
        if "sig" not in query:
            return refusal(404, "ResourceNotFound")  # the response to an anonymous request
        revoked = self.account.delegation_keys_revoked_at
        for key in self.issued:
            text = _string_to_sign(query, f"/blob/{self.account.name}{request.url.path}")
            signature = base64.b64encode(hmac.digest(base64.b64decode(key.value), text.encode(), "sha256")).decode()
            named = (query.get("skt"), query.get("ske")) == (key.start, key.expiry)
            if named and signature == query.get("sig") and (revoked is None or key.at > revoked):
                return refusal(403, "AuthorizationPermissionMismatch")
        return refusal(403, "AuthenticationFailed")


class _Connection(Transport):
    def __init__(self, plane: DelegationPlane) -> None:
        super().__init__(plane)
        self._plane = plane

    async def send(self, request: HttpRequest, **options: object) -> AsyncHttpResponse:
        assert not self.sent, "a connection was used twice"
        self._plane.requests.append(f"{request.method} {request.url}")
        said = self._plane.said(request)
        if isinstance(said, AzureError):
            raise said
        if said is not None:
            answer = Response(said) if isinstance(said, str) else refusal(*said)
            return await Transport(answer).send(request, **options)
        return await super().send(request, **options)


def refusal(status: int, code: str) -> Response:
    return Response(status_code=status, headers={"x-ms-error-code": code})


def _string_to_sign(query: dict[str, str], resource: str) -> str:
    """REST, "Create a user delegation SAS", version 2020-12-06."""
    return "\n".join(resource if name == "@" else query.get(name, "") for name in _LAYOUT)
