"""Storage clients of the SDKs for a running local cloud, and credentials for them."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Self

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError
from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.fileshare.aio import ShareServiceClient
from azure.storage.queue.aio import QueueServiceClient

from local.cloud.cloud import LocalCloud
from local.tenant.model import Account
from tests.support.cloud_clients import options


class Token:
    """A credential of an identity of the tenant."""

    def __init__(self, cloud: LocalCloud, identity: str, audience: str = "https://storage.azure.com") -> None:
        self._cloud = cloud
        self._identity = identity
        self._audience = audience

    async def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        identity = self._cloud.model.identities[self._identity]
        return AccessToken(self._cloud.entra.mint(identity, audience=self._audience), 2**31)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_details: object) -> None: ...

    async def close(self) -> None: ...


class Clients:
    """Creates SDK clients, which are closed at the end of a test."""

    def __init__(self, cloud: LocalCloud, stack: AsyncExitStack) -> None:
        self._cloud = cloud
        self._stack = stack

    async def blob(self, account: Account, credential: Any = None, *, secondary: bool = False) -> BlobServiceClient:
        host = f"{account.name}{'-secondary' if secondary else ''}.blob.core.windows.net"
        client = BlobServiceClient(f"https://{host}", credential=credential, **options(self._cloud))
        return await self._stack.enter_async_context(client)

    async def queue(self, account: Account, credential: Any) -> QueueServiceClient:
        url = f"https://{account.name}.queue.core.windows.net"
        return await self._stack.enter_async_context(
            QueueServiceClient(url, credential=credential, **options(self._cloud))
        )

    async def table(self, account: Account, credential: Any) -> TableServiceClient:
        url = f"https://{account.name}.table.core.windows.net"
        return await self._stack.enter_async_context(
            TableServiceClient(url, credential=credential, **options(self._cloud))
        )

    async def file(self, account: Account, credential: Any, **intent: Any) -> ShareServiceClient:
        url = f"https://{account.name}.file.core.windows.net"
        return await self._stack.enter_async_context(
            ShareServiceClient(url, credential=credential, **intent, **options(self._cloud))
        )


async def refused(call: Callable[[], Awaitable[Any]]) -> tuple[int, str]:
    """Return status and code with which Azure refuses the call; fails if it succeeds."""
    with pytest.raises(HttpResponseError) as caught:
        await call()
    code = caught.value.error_code  # type: ignore[attr-defined]
    assert caught.value.status_code is not None
    return caught.value.status_code, str(getattr(code, "value", code))
