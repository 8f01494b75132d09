"""Locks for timers, which run on one host at a time: a blob lease, as in the WebJobs SDK's singleton listener.

Source: Azure/azure-webjobs-sdk `SingletonManager`, and host.json's `singleton` section for the periods.
"""

import logging
from contextlib import suppress
from typing import Protocol

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob.aio import BlobLeaseClient, ContainerClient

_log = logging.getLogger("host")

LEASE_SECONDS = 60  # listenerLockPeriod
RENEWAL_SECONDS = LEASE_SECONDS / 2
RECOVERY_SECONDS = 60  # listenerLockRecoveryPollingInterval: how often other hosts try


class Lock(Protocol):
    """A lock that one host holds at a time."""

    async def acquire(self) -> bool:
        """Acquire or renew the lock. False: another host holds it, or storage is unavailable."""

    async def release(self) -> None:
        """Release the lock, if held."""


class Unshared:
    """The lock of a host without storage: always acquired."""

    async def acquire(self) -> bool:
        return True

    async def release(self) -> None:
        return


class BlobLock:
    """A lease on `blob` in `container`. Creates both if they do not exist."""

    def __init__(self, container: ContainerClient, blob: str) -> None:
        self._container = container
        self._blob = container.get_blob_client(blob)
        self._lease = BlobLeaseClient(self._blob)
        self._held = False

    async def acquire(self) -> bool:
        try:
            if self._held:
                await self._lease.renew()
            else:
                await self._acquire_new()
            self._held = True
        except AzureError as error:
            self._held = False
            if not (isinstance(error, HttpResponseError) and error.status_code == 409):
                _log.warning("Lock '%s' was not acquired: %s", self._blob.blob_name, type(error).__name__)
        return self._held

    async def release(self) -> None:
        if not self._held:
            return
        self._held = False
        try:
            await self._lease.release()
        except AzureError as error:
            _log.warning("Lock '%s' was not released: %s", self._blob.blob_name, type(error).__name__)

    async def _acquire_new(self) -> None:
        try:
            await self._lease.acquire(LEASE_SECONDS)
        except ResourceNotFoundError:
            await ensure_container(self._container)
            with suppress(ResourceExistsError):  # created meanwhile by another host
                await self._blob.upload_blob(b"")
            await self._lease.acquire(LEASE_SECONDS)


async def ensure_container(container: ContainerClient) -> None:
    """Create the container unless it exists. Raises AzureError."""
    with suppress(ResourceExistsError):
        await container.create_container()
