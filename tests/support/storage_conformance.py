"""A storage account for the SDKs: in Azurite through the local cloud, or in memory."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import AioHttpTransport
from azure.data.tables.aio import TableClient
from azure.storage.blob.aio import ContainerClient
from azure.storage.queue.aio import QueueClient

from local.cloud.cloud import LocalCloud
from local.cloud.provisioning import state_account
from local.entra.service import Entra
from local.memory.storage import MemoryStorage
from local.memory.transport import InProcessTransport
from local.tenant import identities
from local.tenant.model import STATE_ACCOUNT, Cloud, Identity

_NUMBERS = itertools.count(1)


class Token:
    """A credential of the SDKs with tokens of an identity."""

    def __init__(self, entra: Entra, identity: Identity) -> None:
        self._entra = entra
        self._identity = identity

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        token = self._entra.mint(self._identity, audience=scopes[0].removesuffix("/.default"))
        return AccessToken(token, int((datetime.now(UTC) + timedelta(hours=1)).timestamp()))

    async def close(self) -> None: ...


@dataclass(frozen=True)
class Place:
    """Creates clients. `options` are their keyword arguments."""

    options: Callable[[], dict[str, Any]]

    def table(self) -> TableClient:
        name = f"conformance{next(_NUMBERS)}"
        return TableClient(f"https://{STATE_ACCOUNT}.table.core.windows.net", name, **self.options())

    def queue(self) -> QueueClient:
        name = f"conformance{next(_NUMBERS)}"
        return QueueClient(f"https://{STATE_ACCOUNT}.queue.core.windows.net", name, **self.options())

    def container(self) -> ContainerClient:
        name = f"conformance{next(_NUMBERS)}"
        return ContainerClient(f"https://{STATE_ACCOUNT}.blob.core.windows.net", name, **self.options())


def azurite(cloud: LocalCloud) -> Place:
    """Return Azurite, through the local cloud."""

    def options() -> dict[str, Any]:
        return {
            "credential": Token(cloud.entra, cloud.model.identities["developer"]),
            "transport": AioHttpTransport(connection_verify=str(cloud.authority_file)),
            "proxies": {"https": f"http://127.0.0.1:{cloud.proxy_port}"},
            "retry_total": 0,
        }

    return Place(options)


def memory() -> Place:
    """Return an account in memory."""
    cloud = Cloud(identities=identities.directory(), users=identities.users())
    cloud.accounts[STATE_ACCOUNT] = state_account()
    entra = Entra(cloud)
    storage = MemoryStorage(cloud, entra, now=lambda: datetime.now(UTC))

    def options() -> dict[str, Any]:
        credential = Token(entra, cloud.identities["developer"])
        return {"credential": credential, "transport": InProcessTransport(storage), "retry_total": 0}

    return Place(options)
