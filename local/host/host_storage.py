"""The host's own storage: without it, the host does not start.

Source: Azure/azure-functions-host, BlobStorageSecretsRepository (the container's name and blob, Exists,
CreateIfNotExists; HostSecrets and Key for the text) and HostAvailabilityCheckMiddleware (the 503). Tried with its
version 4.1037: where the container is missing and the identity may not create it, every route answers 503, and the
host tries again. Where only the write of the keys is refused, routes answer.
"""

import asyncio
import json
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob.aio import ContainerClient
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from local.host.http import Keys
from local.host.singleton import ensure_container

SECRETS_CONTAINER = "azure-webjobs-secrets"
HOSTS_CONTAINER = "azure-webjobs-hosts"  # ScriptConstants.AzureWebJobsHostsContainerName: leases, status of timers

_RETRY_SECONDS = 1  # the first pause between two starts; it doubles up to the longest
_LONGEST_RETRY_SECONDS = 120
_SYSTEM_KEY = "eventgrid_extension"  # the key that deliveries of Event Grid carry

_log = logging.getLogger("host")


class HostSecrets:
    """The keys of a host, in `<host id>/host.json` of the secrets container."""

    def __init__(self, container: ContainerClient, *, host_id: str, keys: Keys) -> None:
        self._container = container
        self._blob = container.get_blob_client(f"{host_id}/host.json")
        self._keys = keys

    async def open(self) -> None:
        """Create container and keys where they are missing. Raises AzureError if the container can't be reached."""
        if not await self._container.exists():
            await ensure_container(self._container)
        try:
            await self._blob.get_blob_properties()
        except ResourceNotFoundError:
            await self._write()

    async def _write(self) -> None:
        try:
            with suppress(ResourceExistsError):  # written meanwhile by another host
                await self._blob.upload_blob(self._text())
        except AzureError as error:
            _log.error("The host's keys were not written: %s", type(error).__name__)

    def _text(self) -> str:
        master, system, function = self._keys.master, self._keys.system, self._keys.function
        return json.dumps(
            {
                "masterKey": _key("master", master),
                "functionKeys": [_key("default", function)] if function else [],
                "systemKeys": [_key(_SYSTEM_KEY, system)] if system else [],
                "source": "runtime",
            }
        )


def _key(name: str, value: str | None) -> dict[str, Any]:
    return {"name": name, "value": value or "", "encrypted": False}


class HostStart:
    """An ASGI app that answers 503 until the host has its storage, and `app` from then on.

    `secrets` None: a host without storage, which starts at once.
    """

    def __init__(self, secrets: HostSecrets | None, app: ASGIApp) -> None:
        self._secrets = secrets
        self._app = app
        self._open = asyncio.Event()
        self._tried = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._open.is_set():
            await self._app(scope, receive, send)
            return
        await PlainTextResponse("Function host is not running.", 503)(scope, receive, send)

    async def tried(self) -> None:
        """Return after the first attempt to start, whether it succeeded or not."""
        await self._tried.wait()

    async def run(self, stopping: asyncio.Event) -> None:
        """Start the host; try again until it has started. Ends after `stopping` is set."""
        pause: float = _RETRY_SECONDS
        try:
            while not stopping.is_set() and not await self._start():
                self._tried.set()
                with suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), pause)
                pause = min(pause * 2, _LONGEST_RETRY_SECONDS)
        finally:
            self._tried.set()
        await stopping.wait()

    async def listen(self, listener: Coroutine[Any, Any, None], stopping: asyncio.Event) -> None:
        """Run a listener once the host has started. Ends after `stopping` is set."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self._open, stopping)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if stopping.is_set() and not self._open.is_set():
            listener.close()
            return
        await listener

    async def _start(self) -> bool:
        try:
            if self._secrets is not None:
                await self._secrets.open()
        except AzureError as error:
            status = getattr(error, "status_code", None)
            _log.error(
                "The host does not start: its storage refused container %s (%s, status %s). Grant its identity "
                "Storage Blob Data Owner on the account of AzureWebJobsStorage.",
                SECRETS_CONTAINER,
                type(error).__name__,
                status,
            )
            return False
        self._open.set()
        return True
