"""A place of the conformance tests in the local cloud."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from azure.core.pipeline.transport import AioHttpTransport

from conformance.place import Place, TemporaryAccount
from local.cloud.cloud import LocalCloud
from local.tenant.model import SUBSCRIPTION_ID
from shared.cloud.clients import Transport
from tests.support.cloud_clients import new_account
from tests.support.deployment import Developer


class LocalPlace(Place):
    """A place that creates accounts directly: the local cloud does not create them over ARM."""

    cloud: LocalCloud

    async def account(self) -> TemporaryAccount:
        made = await new_account(self.cloud)
        return await self.filled(TemporaryAccount(made.id, made.name, made.resource_group, dict(made.keys)))


@asynccontextmanager
async def local_place(cloud: LocalCloud) -> AsyncIterator[LocalPlace]:
    """A place as the developer, who is signed in to the Azure CLI. Requires the environment of `cloud`."""
    trust = ssl.create_default_context(cafile=cloud.authority_file)
    transports: list[AioHttpTransport] = []

    def transport() -> Transport:
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trust), trust_env=True, auto_decompress=False
        )
        transports.append(AioHttpTransport(session=session))
        return transports[-1]

    made = LocalPlace(
        Developer(cloud), subscription=SUBSCRIPTION_ID, group="tests", location="westeurope", transport=transport
    )
    made.cloud = cloud
    yield made
    await made.close()
    for each in transports:
        await each.close()
