"""Get and Set ACL, with a backend whose responses the test controls."""

import asyncio
from types import TracebackType
from typing import Any, Self, cast

from multidict import CIMultiDict, CIMultiDictProxy
from starlette.datastructures import Headers
from starlette.responses import Response

from local.network.hostnames import StorageHost
from local.storage import shared_key
from local.storage.access import StorageRequest
from local.storage.acl import AccessPolicies
from local.storage.backend import StorageBackend
from local.tenant.model import Account, SignedIdentifier

DOCUMENT = b"<SignedIdentifiers><SignedIdentifier><Id>new</Id></SignedIdentifier></SignedIdentifiers>"


class Answer:
    status = 200
    headers = CIMultiDictProxy(CIMultiDict[str]())
    raw_headers = ()

    async def read(self) -> bytes:
        return b""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _k: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None
    ) -> None: ...


class Slow:
    """A backend that executes a change before it responds."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.arrived = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def send(self, _service: str, *, method: str, **_rest: Any) -> Answer:
        self.sent.append(method)
        if method == "PUT":
            self.arrived.set()
            await self.may_answer.wait()
        return Answer()


def request(account: Account, method: str, body: bytes) -> StorageRequest:
    headers = {"x-ms-date": "Mon, 23 Nov 2026 12:00:00 GMT", "content-length": str(len(body))}
    authorization = shared_key.authorization(
        service="queue",
        method=method,
        account=account.name,
        path="/jobs",
        query="comp=acl",
        headers=Headers(headers),
        key=account.keys["key1"],
    )
    host = StorageHost(account=account.name, service="queue", is_secondary=False)
    return StorageRequest(host, method, "/jobs", "comp=acl", Headers({**headers, "authorization": authorization}))


def ask(policies: AccessPolicies, account: Account, method: str, body: bytes = b"") -> asyncio.Task[Response]:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    return asyncio.create_task(policies.answer(request(account, method, body), account, "jobs", receive))


async def test_change_of_policies_is_atomic() -> None:
    account = Account("models", "tests")
    account.policies["queue", "jobs"] = (SignedIdentifier("old", None),)
    backend = Slow()
    policies = AccessPolicies(cast(StorageBackend, backend))
    changing = ask(policies, account, "PUT", DOCUMENT)
    await backend.arrived.wait()
    reading = ask(policies, account, "GET")
    await asyncio.sleep(0)
    assert backend.sent == ["PUT"]
    backend.may_answer.set()
    await changing
    assert b"<Id>new</Id>" in bytes((await reading).body)
