"""The access-control list of one container, queue, share or table, over the data plane and Shared Key.

Sources: REST, "Get Container ACL", "Set Container ACL", "Lease Container", and the like for queues, tables, shares.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Protocol

from azure.core.exceptions import AzureError
from azure.core.rest import HttpRequest

from shared.actions.acl.policies import MalformedPolicies, Policies, from_xml, to_xml
from shared.cloud.data_plane import Answer, Transport, send
from shared.cloud.errors import from_azure, from_status, retry_after
from shared.cloud.shared_key import authorization
from shared.domain.account import KEPT_OUT, AccountFacts, AccountKey
from shared.domain.target import PolicyTarget
from shared.domain.text import Foreign
from shared.errors import NotFound, SasquashError, TransientFailure
from shared.sas import Service

_VERSION = "2020-12-06"  # known to all four services; Lease Share needs 2020-02-10
_RESTYPE = {Service.BLOB: "restype=container&", Service.FILE: "restype=share&", Service.QUEUE: "", Service.TABLE: ""}
_WRITTEN = frozenset({200, 201, 204})
_READ_TRIES = 2
_READ_PAUSE = 0.3
_MOST_OBSTACLES = 2  # a lease, and a public-access level that the account forbids
_LEASE_IS_GONE = frozenset({"LeaseAlreadyBroken", "LeaseNotPresentWithLeaseOperation"})

_LEASE_BROKEN = "The lease on it was broken, since it kept the policies from being changed."
_MADE_PRIVATE = (
    'Its public-access level "{level}" could not be kept, since the account forbids public access: should the '
    "account allow it again, this container stays private."
)


class Unreachable(TransientFailure):
    """The data plane can't be reached from here, or takes no key. Nothing was sent that could count."""

    def __init__(self, message: str) -> None:
        super().__init__(message, sent=False)


class Overtaken(TransientFailure):
    """Somebody else changed the list since it was read, and ours was refused: read it again."""

    def __init__(self, message: str) -> None:
        super().__init__(message, sent=False)


@dataclass(frozen=True, slots=True)
class AccessControlList:
    """What was read. `last_modified` (containers only) is a condition on which to write.

    With `settled` False, the list changed in the second in which it was read: a change in the rest of that second
    would not show in `last_modified`.
    """

    policies: Policies
    public_access: str | None = None
    last_modified: str | None = None
    settled: bool = True


class AclStore(Protocol):
    """Where a list is read and written. `notes` are English sentences: what came with it that people should know."""

    notes: list[str]

    async def read(self) -> AccessControlList:
        """Return the list. Raises NotFound (there is no such resource), TransientFailure or Blocked."""

    async def write(self, read: AccessControlList, policies: Policies) -> None:
        """Put `policies` in the place of what was `read`, and keep the rest. Raises as `read` does, and Overtaken."""


class DataPlaneAcl:
    """The list of `target`. `request_id` names the requests in the account's logs."""

    def __init__(
        self,
        transport: Transport,
        account: AccountFacts,
        target: PolicyTarget,
        *,
        key: AccountKey,
        request_id: str,
        clock: Callable[[], datetime],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.notes: list[str] = []
        self._transport = transport
        self._account = account
        self._target = target
        self._key = key
        self._request_id = request_id
        self._clock = clock
        self._pause = pause

    async def read(self) -> AccessControlList:
        """Return the list. Raises NotFound, Unreachable, TransientFailure or Blocked."""
        doing = f"Reading the access policies of {self._name}"
        tries = _READ_TRIES
        while True:
            try:
                answer = await self._send("GET", "comp=acl", doing=doing)
                break
            except TransientFailure:
                tries -= 1
                if not tries:
                    raise
            await self._pause(_READ_PAUSE)
        if answer.status != 200:
            raise self._meaning(answer, doing)
        try:
            policies = from_xml(answer.body)
        except MalformedPolicies as error:
            raise TransientFailure(f"{doing} failed: {error}.") from None
        if self._target.service is not Service.BLOB:
            return AccessControlList(policies)
        return AccessControlList(
            policies,
            public_access=answer.headers.get("x-ms-blob-public-access"),
            last_modified=answer.headers.get("Last-Modified"),
            settled=_is_settled(answer),
        )

    async def write(self, read: AccessControlList, policies: Policies) -> None:
        """Put `policies` in the place of what was `read`. Raises as `read` does, and Overtaken.

        A container's list is replaced only if it is still what was read. Queues, tables and shares know no such
        condition: what others wrote since is lost.
        """
        doing = f"Changing the access policies of {self._name}"
        public_access = read.public_access
        for _ in range(_MOST_OBSTACLES + 1):
            headers = {
                "If-Unmodified-Since": read.last_modified,
                "x-ms-blob-public-access": public_access,
            }
            answer = await self._send("PUT", "comp=acl", headers=headers, body=to_xml(policies), doing=doing)
            if answer.status in _WRITTEN:
                return
            if answer.status == 412 and answer.code == "LeaseIdMissing":
                await self._break_lease()
            elif answer.code == "PublicAccessNotPermitted" and public_access is not None:
                self.notes.append(_MADE_PRIVATE.format(level=public_access))
                public_access = None
            else:
                break
        if answer.status == 412:
            raise Overtaken(f"{doing} failed: somebody else changes them ({answer.code or 412}).")
        raise self._meaning(answer, doing)

    async def _break_lease(self) -> None:
        doing = f"Breaking the lease on {self._name}"
        headers: dict[str, str | None] = {"x-ms-lease-action": "break", "x-ms-lease-break-period": "0"}
        answer = await self._send("PUT", "comp=lease", headers=headers, doing=doing)
        if answer.status == 202:
            self.notes.append(_LEASE_BROKEN)
        elif answer.code not in _LEASE_IS_GONE:
            raise self._meaning(answer, doing)

    @property
    def _name(self) -> str:
        return f"{self._target.service}/{self._target.resource} of {self._account.name}"

    async def _send(
        self,
        method: str,
        query: str,
        *,
        doing: str,
        headers: dict[str, str | None] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """Send one request. Raises Unreachable where there is no connection, TransientFailure for a 5xx or none."""
        service = self._target.service
        endpoint = self._account.endpoints.get(service)
        if endpoint is None:
            raise NotFound(f"{doing} failed: account {self._account.name} has no {service} service.")
        url = f"{endpoint}{self._target.resource}?{_RESTYPE[service]}{query}"
        sent = {
            "Accept": "application/xml",
            "Content-Length": str(len(body)),
            "Content-Type": "application/xml" if body else None,
            "x-ms-client-request-id": self._request_id,
            "x-ms-date": format_datetime(self._clock(), usegmt=True),
            "x-ms-version": _VERSION,
            **(headers or {}),
        }
        given = {name: value for name, value in sent.items() if value is not None}
        if method == "GET":
            del given["Content-Length"]
        given["Authorization"] = authorization(
            service=service, account=self._account.name, method=method, url=url, headers=given, key=self._key.value
        )
        request = HttpRequest(method, url, headers=given, content=body or None)
        try:
            answer = await send(self._transport, request)
        except AzureError as error:
            failure = from_azure(error, doing=doing)
            if isinstance(failure, TransientFailure) and failure.had_no_effect:
                raise Unreachable(f"{failure} There is no way to its data plane from here.") from error
            raise failure from error
        if answer.status >= 500:
            raise self._meaning(answer, doing)
        return answer

    def _meaning(self, answer: Answer, doing: str) -> SasquashError:
        if answer.status == 403 and answer.code in KEPT_OUT:
            return Unreachable(f"{doing} failed: {KEPT_OUT[answer.code]} ({answer.code}).")
        if answer.status == 403 and answer.code == "AuthenticationFailed":
            return TransientFailure(f"{doing} failed: the key is not accepted; list the keys again.", sent=False)
        if answer.status == 409 and answer.code.endswith("BeingDeleted"):
            return TransientFailure(f"{doing} failed: it is being deleted ({Foreign(answer.code)}).", sent=False)
        wait = retry_after(answer.headers)
        return from_status(answer.status, answer.code or None, doing=doing, retry_after=wait)


def _is_settled(answer: Answer) -> bool:
    """Whether the second of the last change was over when the list was read, by Azure's own clock."""
    try:
        changed, read = (parsedate_to_datetime(answer.headers[name]) for name in ("Last-Modified", "Date"))
    except (KeyError, ValueError):
        return True
    return changed < read
