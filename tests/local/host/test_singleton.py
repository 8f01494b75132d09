"""The lock of a timer, on blobs in Azurite: one host has it, another takes over.

Source: azure-functions-host 4.1037, tried: with two hosts on one storage one fires, and the other takes over after a
stop.
"""

from collections.abc import AsyncIterator

import pytest
from azure.storage.blob.aio import BlobServiceClient, ContainerClient

from local.host.singleton import BlobLock
from tests.support.function_host import running_azurite


@pytest.fixture(scope="module")
async def container() -> AsyncIterator[ContainerClient]:
    async with (
        running_azurite() as connection_string,
        BlobServiceClient.from_connection_string(connection_string) as service,
    ):
        yield service.get_container_client("azure-webjobs-hosts")


async def test_second_host_gets_the_lock_after_the_first_has_stopped(container: ContainerClient) -> None:
    first, second = (BlobLock(container, "locks/host/tick.Listener") for _ in range(2))
    assert [await first.acquire(), await second.acquire()] == [True, False]
    await first.release()
    assert [await second.acquire(), await first.acquire()] == [True, False]


async def test_holder_renews_its_lock(container: ContainerClient) -> None:
    lock = BlobLock(container, "locks/host/renewed.Listener")
    assert [await lock.acquire(), await lock.acquire()] == [True, True]
