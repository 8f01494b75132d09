"""A fake of Azure Storage and ARM for stored access policies: strict, in memory, with a simulated clock.

A request that is not of the documented shape, or not signed by a key of the account, fails as in Azure. The events in
`meanwhile` happen at the next request of their method: before it, or instead of it.
"""

import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.core.rest._http_response_impl_async import AsyncHttpResponseImpl
from multidict import CIMultiDict

from shared.actions.acl.policies import find, from_arm, from_xml, to_arm, to_xml
from shared.cloud.shared_key import authorization
from shared.domain.account import PolicyState
from shared.sas import Kind, Service, verify
from tests.support import samples

type Answer = tuple[int, str]
_RESTYPE = {Service.BLOB: "container", Service.FILE: "share"}
_ACL_TYPES = {"fileServices": Service.FILE, "tableServices": Service.TABLE}


@dataclass
class Resource:
    """A container, queue, table or share. `acl`: its identifiers as XML texts, in order."""

    acl: list[str]
    changed: datetime = samples.NOW - timedelta(days=1)
    public_access: str | None = None
    leased: bool = False

    @property
    def document(self) -> bytes:
        return f"<?xml version='1.0'?><SignedIdentifiers>{''.join(self.acl)}</SignedIdentifiers>".encode()

    def replace(self, body: bytes, now: datetime) -> None:
        self.acl = [identifier.raw for identifier in from_xml(body)]
        self.changed = now


@dataclass
class Happening:
    """An event at a request. `do` runs first; `instead` is returned or raised, with `after` after the execution."""

    method: str
    instead: Answer | AzureError | None = None
    after: bool = False
    do: Callable[[], None] | None = None


@dataclass
class AclPlane:
    """The services. `pause` advances the clock. `kept_out`: the code of every refusal of the data plane."""

    resources: dict[str, Resource]  # "blob/models"
    now: datetime = samples.NOW
    keys: dict[str, str] = field(default_factory=lambda: dict(samples.KEYS))
    public_access_allowed: bool = True
    kept_out: str = ""
    copy: dict[str, list[str]] = field(default_factory=dict)  # identifiers of resources on a lagging secondary
    meanwhile: list[Happening] = field(default_factory=list)
    requests: list[HttpRequest] = field(default_factory=list)
    arm_rights: bool = True
    arm_says: dict[str, Any] | None = None
    says_when: bool = True  # whether the headers have the times

    def connect(self) -> "_Connection":
        return _Connection(self)

    async def pause(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def of(self, method: str, host: str = "") -> list[HttpRequest]:
        return [r for r in self.requests if r.method == method and host in r.url]

    def answer(self, request: HttpRequest) -> tuple[int, str, dict[str, str], bytes]:
        self.requests.append(request)
        happening = next((h for h in self.meanwhile if h.method == request.method), None)
        if happening is not None:
            self.meanwhile.remove(happening)
            if happening.do is not None:
                happening.do()
            if happening.instead is not None:
                if happening.after:
                    assert self._carried_out(request)[0] < 300
                if isinstance(happening.instead, AzureError):
                    raise happening.instead
                return *happening.instead, {}, b""
        return self._carried_out(request)

    def _carried_out(self, request: HttpRequest) -> tuple[int, str, dict[str, str], bytes]:
        parts = urlsplit(request.url)
        if parts.hostname == "management.azure.com":
            return self._arm(request, parts.path)
        assert parts.scheme == "https"
        label, service_name, *_ = (parts.hostname or "").split(".")
        service = Service(service_name)
        assert label.removesuffix("-secondary") == samples.ACCOUNT
        if self.kept_out:
            return 403, self.kept_out, {}, b""
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if "sig" in query:
            return *self._token(request, service, secondary="-secondary" in label), {}, b""
        return self._shared_key(request, service, parts.path.strip("/"), query)

    def _shared_key(
        self, request: HttpRequest, service: Service, name: str, query: dict[str, str]
    ) -> tuple[int, str, dict[str, str], bytes]:
        headers = CIMultiDict(request.headers)
        given = headers.pop("Authorization")
        signed = [
            authorization(
                service=service,
                account=samples.ACCOUNT,
                method=request.method,
                url=request.url,
                headers=headers,
                key=k,
            )
            for k in self.keys.values()
        ]
        skew = abs(parsedate_to_datetime(headers["x-ms-date"]) - self.now)
        if given not in signed or skew > timedelta(minutes=15):
            return 403, "AuthenticationFailed", {}, b""
        assert headers["x-ms-version"] >= "2020-02-10"
        assert query.pop("restype", None) == _RESTYPE.get(service)
        resource = self.resources.get(f"{service}/{name}")
        if resource is None:
            return 404, f"{service.title()}NotFound", {}, b""
        if query == {"comp": "lease"}:
            assert (headers["x-ms-lease-action"], headers["x-ms-lease-break-period"]) == ("break", "0")
            resource.leased = False
            return 202, "", {}, b""
        assert query == {"comp": "acl"}
        if request.method == "GET":
            return 200, "", self._headers(resource, service), resource.document
        return *self._set(resource, service, headers, request.content), {}, b""  # type: ignore[arg-type]

    def _headers(self, resource: Resource, service: Service) -> dict[str, str]:
        headers = {"Date": format_datetime(self.now, usegmt=True)} if self.says_when else {}
        if service is Service.BLOB and self.says_when:
            headers["Last-Modified"] = format_datetime(resource.changed, usegmt=True)
        if resource.public_access is not None:
            headers["x-ms-blob-public-access"] = resource.public_access
        return headers

    def _set(self, resource: Resource, service: Service, headers: CIMultiDict[str], body: bytes) -> Answer:
        assert headers["Content-Type"] == "application/xml"
        if len(from_xml(body)) > 5:
            return 400, "InvalidXmlDocument"
        if resource.leased:
            return 412, "LeaseIdMissing"
        public = headers.get("x-ms-blob-public-access")
        if public is not None and not self.public_access_allowed:
            return 409, "PublicAccessNotPermitted"
        since = headers.get("If-Unmodified-Since")
        if since is not None and resource.changed.replace(microsecond=0) > parsedate_to_datetime(since):
            return 412, "ConditionNotMet"
        if service is Service.BLOB and self.says_when:
            assert since is not None, "a container's list was replaced without a condition"
        resource.replace(body, self.now)
        resource.public_access = public
        return (200 if service in _RESTYPE else 204), ""

    def _token(self, request: HttpRequest, service: Service, *, secondary: bool) -> Answer:
        """Answer a request with a SAS: if it is valid, 404 for an object, 200 for the metadata of a queue."""
        assert request.method == "GET"
        leak = samples.leak(request.url)
        parameters = dict(leak.parameters)
        if verify(leak, account=samples.ACCOUNT, keys=self.keys).key is None:
            return 403, "AuthenticationFailed"
        path = urlsplit(request.url).path.strip("/")
        name = re.split(r"[/(]", path)[0]
        resource = self.resources[f"{service}/{name}"]
        document = resource.document
        if secondary and (lagging := self.copy.get(f"{service}/{name}")) is not None:
            document = Resource(lagging).document
        own = {"expiry": parameters.get("se"), "permissions": parameters.get("sp")}
        if leak.kind is Kind.POLICY_SAS:
            policy = find(from_xml(document), parameters["si"])
            if policy is None or policy.state(self.now) is not PolicyState.LIVE:
                return 403, "AuthenticationFailed"
            said = {"expiry": policy.expiry, "permissions": policy.permissions}
            if any((own[name] is None) == (said[name] is None) for name in own):
                return 403, "AuthenticationFailed"  # set twice, or not at all
            own = {name: own[name] or said[name] for name in own}
        if "r" not in (own["permissions"] or ""):
            return 403, "AuthorizationPermissionMismatch"
        return (200, "") if service is Service.QUEUE else (404, "ResourceNotFound")

    def _arm(self, request: HttpRequest, path: str) -> tuple[int, str, dict[str, str], bytes]:
        match = re.fullmatch(
            rf"{re.escape(samples.ACCOUNT_ID)}/(?P<type>fileServices|tableServices)/default/(shares|tables)/(?P<name>\w+)",
            path,
        )
        assert match is not None, path
        service = _ACL_TYPES[match["type"]]
        if not self.arm_rights:
            return 403, "AuthorizationFailed", {}, b""
        resource = self.resources.get(f"{service}/{match['name']}")
        if resource is None:
            return 404, "ResourceNotFound", {}, b""
        if request.method == "PATCH":
            body = json.loads(request.content)  # type: ignore[arg-type]
            policies = from_arm(body["properties"])
            if service is Service.TABLE:
                assert all(policy.permissions for policy in policies)
            resource.replace(to_xml(tuple(replaced(policy) for policy in policies)), self.now)
        policies = tuple(replaced(policy) for policy in from_xml(resource.document))
        said = self.arm_says or {"properties": {"signedIdentifiers": to_arm(policies, permission_required=False)}}
        return 200, "", {}, json.dumps(said).encode()


def replaced(policy: Any) -> Any:
    """Return a policy to be serialized again, from XML to JSON or back."""
    return type(policy)(policy.id, policy.start, policy.expiry, policy.permissions)


class Token:
    """A credential for ARM."""

    async def get_token(self, *_: str, **__: Any) -> AccessToken:
        return AccessToken("token", 2**31)

    async def close(self) -> None:
        """Nothing to close."""


class _Received:
    async def close(self) -> None:
        """Nothing to close."""


class _Connection(AsyncHttpTransport[HttpRequest, AsyncHttpResponse]):
    def __init__(self, plane: AclPlane) -> None:
        self._plane = plane

    async def send(self, request: HttpRequest, **options: Any) -> AsyncHttpResponse:
        assert {"connection_timeout", "read_timeout"} <= options.keys() or "management" in request.url
        status, code, headers, body = self._plane.answer(request)
        if status >= 300:
            if ".table." in request.url:
                body = f'<?xml version="1.0"?><m:error xmlns:m="x"><m:code>{code}</m:code></m:error>'.encode()
            elif "management.azure.com" in request.url:
                body = json.dumps({"error": {"code": code, "message": "no"}}).encode()
            else:
                headers = {**headers, "x-ms-error-code": code}

        async def stream(*args: Any, **kwargs: Any) -> AsyncIterator[bytes]:
            yield body

        response = AsyncHttpResponseImpl(
            request=request,
            internal_response=_Received(),
            status_code=status,
            reason="",
            content_type="application/json",
            headers=CIMultiDict(headers),
            stream_download_generator=stream,
            block_size=4096,
        )
        await response.read()
        return response

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def __aexit__(self, *args: object) -> None:
        """Nothing to close."""
