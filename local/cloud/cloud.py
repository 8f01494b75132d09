"""The local cloud as a whole: made, started and stopped here.

As a library: `async with running(folder=…) as cloud`. As a command: `python -m local.cloud up|run|stop`
(see `local.cloud.command`).
"""

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from starlette.types import ASGIApp

from local.arm import service as arm
from local.child_processes import Child, plain_environment
from local.cloud import control, environment
from local.cloud.provisioning import DEAD_LETTERS, provision, start_over, state_account
from local.entra import managed_identity
from local.entra import service as entra
from local.event_grid.topic import EventGrid
from local.graph import service as graph
from local.key_vault import service as keyvault
from local.monitor import insights, log_analytics
from local.network import app_host, hostnames
from local.network.certificates import Certificates
from local.network.faults import Faults
from local.network.front import Front
from local.network.listener import Listener
from local.network.proxy import Proxy
from local.reporters import azure_devops, incident_receiver, reports
from local.reporters.github import GitHub
from local.storage.azurite import Azurite
from local.storage.backend import StorageBackend, StorageBackendError
from local.storage.service import Gate, Storage
from local.tenant import identities
from local.tenant.model import STATE_ACCOUNT, TOPIC_HOST, Cloud

ROOT = Path(__file__).resolve().parents[2]
_HOST_START_SECONDS = 60
_HOST_STOP_SECONDS = 12  # a host lets its invocations end for 10


@dataclass(frozen=True)
class LocalCloud:
    """A running cloud and the ways into it.

    `model` is its content; `environment` is what `.local/env` exports; `hosts` are base addresses of the function
    hosts, "http://127.0.0.1:port"; `system_key` opens their Event Grid webhook.
    """

    folder: Path
    model: Cloud
    entra: entra.Entra
    faults: Faults
    event_grid: EventGrid
    proxy_port: int
    control_port: int
    authority_file: Path
    hosts: tuple[str, ...]
    system_key: str
    environment: Mapping[str, str]
    parts: "_Parts" = field(repr=False)

    async def kill_host(self, number: int) -> None:
        """End a host (from 0) with SIGKILL; deliveries pass it by until it is started again."""
        await self.parts.hosts[number].kill()

    async def start_host(self, number: int) -> None:
        """Start a host that was killed, at its old address. Raises ChildError."""
        await self.parts.start_again(number)


@asynccontextmanager
async def running(
    *,
    folder: Path,
    hosts: int = 1,
    control_port: int = 0,
    app_folder: Path = ROOT,
    settings: Mapping[str, str] | None = None,
    time_factor: float = 1,
    host_module: str = "local.host",
) -> AsyncIterator[LocalCloud]:
    """Start a cloud and `hosts` function hosts of the app in `app_folder`; all is ready inside, all ended after.

    Logs and certificates go to `folder`. `settings` are added to the app's settings. With `hosts` 0 there is no app.
    `host_module` is what `python -m` runs as a host.
    Raises OSError (the control port is taken), AzuriteError, or ChildError (an app that does not load).
    """
    parts = _Parts(folder, time_factor=time_factor, host_module=host_module)
    async with AsyncExitStack() as stack:
        control_listener = Listener(
            control.app(
                parts.cloud,
                parts.faults,
                reset=parts.start_over,
                ailing=parts.ailing,
                report=parts.report,
            ),
            port=control_port,
        )
        await _open(stack, control_listener)  # first, because its port may be taken
        stack.push_async_callback(parts.azurite.stop)
        await _open(stack, parts.backend)
        front = parts.front()
        await _open(stack, front)
        proxy = Proxy(parts.cloud, front_port=front.port)
        await _open(stack, proxy)
        # One endpoint for whoever is at the keyboard, one for the app: each knows its own secret.
        developer = await _identity_endpoint(stack, parts, "developer")
        responder = await _identity_endpoint(stack, parts, "responder")

        client = environment.client(proxy_port=proxy.port, authority_file=parts.certificates.authority_file)
        system_key = secrets.token_urlsafe(32)
        variables = (
            plain_environment()
            | client
            | environment.app_settings(parts.cloud, endpoint=responder)
            | {"LOCAL_SYSTEM_KEY": system_key, "PYTHONUNBUFFERED": "1"}
            | dict(settings or {})
        )
        stack.push_async_callback(parts.stop_hosts)
        addresses = await parts.start(hosts=hosts, app=app_folder, variables=variables)
        await _open(stack, parts.event_grid)
        if addresses:
            await parts.event_grid.deliver_to(addresses, system_key)

        port = control_listener.port
        yield LocalCloud(
            folder=folder,
            model=parts.cloud,
            entra=parts.entra,
            faults=parts.faults,
            event_grid=parts.event_grid,
            proxy_port=proxy.port,
            control_port=port,
            authority_file=parts.certificates.authority_file,
            hosts=addresses,
            system_key=system_key,
            parts=parts,
            environment=client
            | environment.developer(
                parts.cloud,
                parts.entra,
                endpoint=developer,
                control_port=port,
                api=addresses[0] if addresses else None,
            ),
        )


class _Service(Protocol):
    """What is started, and stopped at the end."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class _Parts:
    """The parts of one cloud, made and wired, not yet started."""

    def __init__(self, folder: Path, *, time_factor: float, host_module: str) -> None:
        self._host_module = host_module
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self.certificates = Certificates.make(folder)
        self.azurite = Azurite(folder=folder, certificates=self.certificates)
        self.cloud = Cloud(time_factor=time_factor, publish_keys=self._publish_keys)
        self.cloud.identities.update(identities.directory())
        self.cloud.users.update(identities.users())
        # There from the start: whoever is early waits at the gate, and is not told that it does not exist.
        self.cloud.accounts[STATE_ACCOUNT] = state_account()
        self.entra = entra.Entra(self.cloud)
        self.faults = Faults()
        self.gate = Gate()
        self.backend = StorageBackend(self.azurite, self.certificates)
        self.cloud.tables = self.backend
        self.event_grid = EventGrid(self.cloud, self.entra, dead_letter=self._dead_letter)
        self.hosts: list[Child] = []
        self._is_serving = False
        self._starting_over = asyncio.Lock()

    def front(self) -> Front:
        services: dict[str, ASGIApp] = {
            hostnames.ENTRA_HOST: entra.app(self.cloud, self.entra),
            hostnames.ARM_HOST: arm.app(self.cloud, self.entra),
            hostnames.GRAPH_HOST: graph.app(self.cloud, self.entra),
            hostnames.GITHUB_HOST: GitHub(self.cloud).app,
            hostnames.AZURE_DEVOPS_HOST: azure_devops.app(self.cloud, self.entra),
            hostnames.APP_HOST: app_host.app(lambda: self.hosts[0].address if self.hosts else None),
            hostnames.INCIDENTS_HOST: incident_receiver.app(self.cloud),
            hostnames.LOGS_HOST: log_analytics.app(self.cloud, self.entra),
            hostnames.INSIGHTS_HOST: insights.app(self.cloud, self.entra),
            TOPIC_HOST: self.event_grid.app,
            f"*.{hostnames.KEY_VAULT_SUFFIX}": keyvault.app(self.cloud, self.entra),
        }
        storage = Storage(self.cloud, self.entra, self.backend, self.gate)
        return Front(
            self.cloud, self.faults, services=services, storage=storage, tls=self.certificates.server_context
        )

    async def start(self, *, hosts: int, app: Path, variables: Mapping[str, str]) -> tuple[str, ...]:
        """Start Azurite and the hosts side by side; return the hosts' addresses once all are ready."""
        self._app, self._variables = app, variables
        self.hosts += [self._host(number, port=0) for number in range(hosts)]
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._start_storage())
                for host in self.hosts:
                    group.create_task(host.start(cwd=ROOT, seconds=_HOST_START_SECONDS))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None  # the first; the others were ended because of it
        self._is_serving = True
        return tuple(host.address for host in self.hosts)

    def _host(self, number: int, *, port: int) -> Child:
        command = (sys.executable, "-m", self._host_module, "--app", str(self._app), "--port", str(port))
        log = self._folder / f"host-{number + 1}.log"
        return Child(f"host {number + 1}", command=command, environment=self._variables, log=log)

    async def start_again(self, number: int) -> None:
        """Start a host anew, on the port that it had."""
        port = urlsplit(self.hosts[number].address).port
        self.hosts[number] = self._host(number, port=port or 0)
        await self.hosts[number].start(cwd=ROOT, seconds=_HOST_START_SECONDS)

    async def stop_hosts(self) -> None:
        # A host of an unfinished start has nothing to finish: it waits for a storage that will not come.
        seconds = _HOST_STOP_SECONDS if self._is_serving else 0
        await asyncio.gather(*(host.stop(seconds=seconds) for host in self.hosts))

    async def start_over(self) -> None:
        async with self._starting_over:
            await self.event_grid.forget()
            await start_over(self.cloud, faults=self.faults, backend=self.backend, gate=self.gate)

    def report(self, source: str, text: str) -> reports.Posted:
        """Make a report of a source about a text, and the alert that it may tell of."""
        return reports.make(self.cloud, self.entra, source=source, text=text)

    def ailing(self) -> tuple[str, ...]:
        """The children that have ended on their own."""
        stopped = [host.name for host in self.hosts if not host.is_running]
        return (*stopped, *(() if self.azurite.is_running else ("azurite",)))

    async def _start_storage(self) -> None:
        await self.azurite.start()
        await provision(self.cloud, self.backend)
        self.gate.open()

    async def _dead_letter(self, name: str, content: bytes) -> None:
        try:
            await self.backend.put_blob(STATE_ACCOUNT, DEAD_LETTERS, name, content)
        except StorageBackendError as error:
            raise OSError(str(error)) from None

    async def _publish_keys(self) -> None:
        await self.azurite.use_keys(self.cloud.accounts.values())


async def _open(stack: AsyncExitStack, service: _Service) -> None:
    stack.push_async_callback(service.stop)
    await service.start()


async def _identity_endpoint(
    stack: AsyncExitStack, parts: _Parts, identity_name: str
) -> environment.IdentityEndpoint:
    secret = secrets.token_urlsafe(32)
    listener = Listener(managed_identity.app(parts.cloud, parts.entra, secret=secret, default_identity=identity_name))
    await _open(stack, listener)
    return environment.IdentityEndpoint(port=listener.port, secret=secret)


if __name__ == "__main__":
    from local.cloud.command import main

    raise SystemExit(main())
