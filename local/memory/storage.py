"""The storage hosts in memory: access, and dispatch to the services.

Access is checked by the same modules as in front of Azurite (`storage.access`, `storage.sas`, `storage.shared_key`).
The data of each account is kept here.
"""

from collections.abc import Callable
from datetime import datetime

from starlette.datastructures import Headers

from local.entra.service import Entra
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
from local.tenant.model import Account, Cloud


class MemoryStorage:
    """Serves every storage host of the accounts of `cloud`; `now` is the clock."""

    def __init__(self, cloud: Cloud, entra: Entra, *, now: Callable[[], datetime]) -> None:
        self._cloud = cloud
        self._entra = entra
        self._now = now
        self._tables: dict[str, Tables] = {}
        self._queues: dict[str, Queues] = {}
        self._blobs: dict[str, Blobs] = {}

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
            self._admit(request, host, account)
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

    def _admit(self, request: Request, host: StorageHost, account: Account) -> None:
        """Return if the request is authorized. Raises Refusal."""
        storage_request = StorageRequest(
            host, request.method, request.path, request.query, Headers(dict(request.headers))
        )
        check(storage_request, account, self._entra)
        match storage_request.credentials:
            case Credentials.SHARED_KEY if key_of(storage_request, account) is None:
                raise unauthenticated(storage_request)
            case Credentials.NONE:
                raise unauthenticated(storage_request)
            case Credentials.ACCOUNT_SAS | Credentials.SERVICE_SAS:
                granted(storage_request, account, self._cloud)
            case Credentials.DELEGATION_SAS:
                raise Refusal("NotImplemented")
