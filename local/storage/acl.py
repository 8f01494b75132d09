"""Get and Set ACL of containers, queues and tables.

Azurite authenticates the requests and has the resources, their leases and conditions, and the public access level of
a container. The policies are kept here: Azurite would not return them as they were written, and refuses some that
Azure accepts. Azurite gets no policies; `sas` evaluates the tokens that refer to one.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.responses import Response
from starlette.types import Receive

from local.storage import access_policies
from local.storage.access import Credentials, StorageRequest, unauthenticated
from local.storage.backend import StorageBackend
from local.storage.errors import Refusal
from local.storage.forwarding import exchange, headers_of, key_of, whole_body_of, with_key
from local.storage.sas.admission import policy_key
from local.tenant.model import Account

_LARGEST_DOCUMENT = 64 * 1024
_NO_POLICIES = b'<?xml version="1.0" encoding="utf-8"?><SignedIdentifiers />'


class AccessPolicies:
    """The stored access policies of the resources in Azurite."""

    def __init__(self, backend: StorageBackend) -> None:
        self._backend = backend
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)  # by account

    @asynccontextmanager
    async def _locked(self, account: Account) -> AsyncIterator[None]:
        """Hold the lock of the account, so that a change in Azurite and here is seen as one."""
        async with self._locks[account.name]:
            yield

    async def answer(self, request: StorageRequest, account: Account, resource: str, receive: Receive) -> Response:
        """Answer Get or Set ACL of `resource`. Raises Refusal."""
        require_shared_key(request)
        key = policy_key(request.host.service, resource)
        if request.method == "PUT":
            document = await whole_body_of(receive, most=_LARGEST_DOCUMENT)
            return await self._set(request, account, key, document)
        async with self._locked(account), exchange(self._backend, request, None) as response:
            body = await response.read()
            if response.status == 200 and request.method == "GET":
                body = access_policies.render(account.policies.get(key, ()))
            return _answer(response.status, headers_of(response, request), body)

    async def _set(
        self, request: StorageRequest, account: Account, key: tuple[str, str], document: bytes
    ) -> Response:
        key_name = key_of(request, account)
        if key_name is None:
            raise unauthenticated(request)
        identifiers = access_policies.parse(document, request.host.service)
        changes = {"content-length": str(len(_NO_POLICIES)), "content-md5": ""}
        without = with_key(request, account, key_name, changes)
        async with self._locked(account), exchange(self._backend, without, _NO_POLICIES) as response:
            if response.status < 300:
                account.policies[key] = identifiers
            return _answer(response.status, headers_of(response, request), await response.read())

    async def deleted(self, request: StorageRequest, account: Account) -> None:
        """Remove the policies of the resource that `request` deleted."""
        key = _deletes(request)
        if key is not None:
            async with self._locked(account):
                account.policies.pop(key, None)


def require_shared_key(request: StorageRequest) -> None:
    """Return if the request is authorized with Shared Key, as access policies need. Raises Refusal.

    A token of Entra ID would need a right that only the built-in role "Storage Blob Data Owner" has, and that no
    identity has here; a SAS may not change access policies ("Shared access signature error codes").
    """
    match request.credentials:
        case Credentials.SHARED_KEY:
            return
        case Credentials.NONE:
            raise unauthenticated(request)
        case Credentials.TOKEN:
            raise Refusal("AuthorizationPermissionMismatch")
        case _:
            raise Refusal("AuthorizationFailure")


def _deletes(request: StorageRequest) -> tuple[str, str] | None:
    """Return the key of the policies that the request deletes; None if it deletes no container, queue or table."""
    service, name = request.host.service, request.decoded_path.strip("/")
    if request.method != "DELETE":
        return None
    if service == "table":
        inner = name.removeprefix("Tables('").removesuffix("')")
        return policy_key(service, inner) if name == f"Tables('{inner}')" else None
    is_whole = "/" not in name and (service == "queue" or request.parameter("restype") == "container")
    return policy_key(service, name) if is_whole else None


def _answer(status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> Response:
    answer = Response(body, status)
    answer.raw_headers = [
        *((name, value) for name, value in headers if name.lower() != b"content-length"),
        (b"content-length", str(len(body)).encode()),
    ]
    return answer
