"""The storage hosts in memory: access, and dispatch to the services.

Access is checked by the same modules as in front of Azurite (`storage.access`, `storage.sas`, `storage.shared_key`).
The data of each account is kept here.
"""

from collections.abc import Callable
from datetime import datetime

from starlette.datastructures import Headers

from local.entra.service import Entra
from local.memory.acl import AccessControlLists, delegation_key
from local.memory.blobs import Blobs
from local.memory.errors import ServiceError
from local.memory.exchange import Answer, Request
from local.memory.queues import Queues
from local.memory.tables import Tables
from local.network.hostnames import StorageHost
from local.storage.access import Credentials, StorageRequest, check, unauthenticated
from local.storage.errors import Refusal
from local.storage.forwarding import key_of
from local.storage.sas.admission import granted
from local.tenant.model import Account, Cloud, Identity


class MemoryStorage:
    """Serves every storage host of the accounts of `cloud`; `now` is the clock."""

    def __init__(self, cloud: Cloud, entra: Entra, *, now: Callable[[], datetime]) -> None:
        self._cloud = cloud
        self._entra = entra
        self._now = now
        self._tables: dict[str, Tables] = {}
        self._queues: dict[str, Queues] = {}
        self._blobs: dict[str, Blobs] = {}
        self.policies = AccessControlLists(now, self._has)

    def tables(self, account: str) -> Tables:
        """Return the tables of an account."""
        return self._tables.setdefault(account, Tables(self._now))

    def queues(self, account: str) -> Queues:
        """Return the queues of an account."""
        return self._queues.setdefault(account, Queues(self._now))

    def blobs(self, account: str) -> Blobs:
        """Return the containers of an account."""
        return self._blobs.setdefault(account, Blobs(self._now))

    async def __call__(self, request: Request) -> Answer:
        """Answer a request to a storage host."""
        host = StorageHost.parse(request.host)
        account = self._cloud.accounts.get(host.account) if host is not None else None
        if host is None or account is None:
            return Answer(502, {"content-type": "text/plain"}, b"There is no such storage account.")
        try:
            asked = StorageRequest(host, request.method, request.path, request.query, Headers(dict(request.headers)))
            identity = self._admit(asked, account)
            if asked.gets_delegation_key:
                return delegation_key(request, asked, account, identity)
            if asked.acl_of is not None:
                return self.policies.answer(request, asked, account, asked.acl_of)
            return self._answer(request, host)
        except Refusal as refusal:
            accept, version = request.headers.get("accept", ""), request.headers.get("x-ms-version", "")
            response = refusal.response(host.service, accept=accept, version=version)
            return Answer(response.status_code, dict(response.headers), bytes(response.body))
        except ServiceError as error:
            return error.answer(host.service)

    def _answer(self, request: Request, host: StorageHost) -> Answer:
        match host.service:
            case "table":
                return self.tables(host.account).answer(request)
            case "queue":
                return self.queues(host.account).answer(request)
            case "blob":
                return self.blobs(host.account).answer(request)
            case _:
                raise ServiceError(404, "ResourceNotFound", "The specified resource does not exist.")

    def _has(self, account: str, service: str, resource: str) -> bool:
        match service:
            case "table":
                return resource.lower() in {name.lower() for name in self.tables(account).tables}
            case "queue":
                return resource in self.queues(account).queues
            case _:
                return service == "blob" and resource in self.blobs(account).containers

    def _admit(self, asked: StorageRequest, account: Account) -> Identity | None:
        """Return the identity of an authorized request, None where a key or a SAS authorizes it. Raises Refusal."""
        identity = check(asked, account, self._entra)
        match asked.credentials:
            case Credentials.SHARED_KEY if key_of(asked, account) is None:
                raise unauthenticated(asked)
            case Credentials.NONE:
                raise unauthenticated(asked)
            case Credentials.ACCOUNT_SAS | Credentials.SERVICE_SAS | Credentials.DELEGATION_SAS:
                granted(asked, account, self._cloud)
        return identity
