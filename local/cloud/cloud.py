"""The local cloud as a whole: creates its parts, wires, starts and stops them.

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

from starlette.requests import Request
from starlette.types import ASGIApp

from local.arm import service as arm
from local.child_processes import Child, plain_environment
from local.cloud import control, environment
from local.cloud.provisioning import (
    DEAD_LETTERS,
    FINDINGS,
    OwnStorage,
    intake_account,
    provision,
    start_over,
    state_account,
)
from local.deployments import publishing
from local.deployments.service import DeploymentService
from local.deployments.state import Deployments
from local.entra import managed_identity
from local.entra import service as entra
from local.entra.platform_sign_in import PlatformSignIn
from local.entra.tokens import STORAGE
from local.event_grid.http_sender import HttpSender
from local.event_grid.storage_queue import StorageQueue
from local.event_grid.topic import EventGrid
from local.graph import service as graph
from local.key_vault import service as key_vault
from local.monitor import insights, log_analytics, logs_ingestion
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
from local.tenant.model import INTAKE_ACCOUNT, STATE_ACCOUNT, TOPIC_HOST, Cloud

ROOT = Path(__file__).resolve().parents[2]
_HOST_START_SECONDS = 60
_HOST_STOP_SECONDS = 12  # a host gives its invocations 10 s to end


@dataclass(frozen=True)
class LocalCloud:
    """A running cloud and its entry points.

    `model` is its content; `environment` is what `.local/env` exports; `hosts` are the base addresses of the function
    hosts, "http://127.0.0.1:port"; `system_key` authorizes calls of their Event Grid webhook. `findings_queue`: what
    Event Grid delivers to in a private network, else None. `platform` has, for the responder and the intake, the
    variables that a host gets from the platform and not from its app settings.
    """

    folder: Path
    model: Cloud
    entra: entra.Entra
    faults: Faults
    event_grid: EventGrid
    deployments: Deployments
    proxy_port: int
    control_port: int
    authority_file: Path
    hosts: tuple[str, ...]
    system_key: str
    environment: Mapping[str, str]
    findings_queue: StorageQueue | None
    intake_variables: Mapping[str, str] = field(repr=False)
    platform: Mapping[str, Mapping[str, str]] = field(repr=False)
    parts: "_Parts" = field(repr=False)

    async def add_intake(self) -> Mapping[str, str]:
        """Deploy the storage of a separate intake app; return the environment of a host that runs it.

        The responder's host and this one need the settings that disable the other's functions.
        """
        self.model.accounts[INTAKE_ACCOUNT] = intake_account()
        await self.model.keys_changed()
        return self.intake_variables

    async def crash_host(self, number: int) -> None:
        """End a host (numbered from 0) with SIGKILL; it gets no deliveries until it is started again."""
        await self.parts.hosts[number].crash()

    async def start_host(self, number: int) -> None:
        """Start a crashed host again, at its old address. Raises ChildError."""
        await self.parts.restart_host(number)


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
    own_storage: OwnStorage | None = None,
    private: bool = False,
) -> AsyncIterator[LocalCloud]:
    """Start a cloud and `hosts` function hosts of the app in `app_folder`. Ready on entry; stopped on exit.

    Logs and certificates go to `folder`. `settings` are added to the app's settings. With `hosts` 0 there is no app.
    `host_module` is the module that `python -m` runs as a host. `own_storage`: what Sasquash's own account has;
    None: all that the product uses. If `private`, Event Grid delivers to a queue.
    Raises OSError (the control port is in use), AzuriteError, or ChildError (the app does not load).
    """
    parts = _Parts(folder, time_factor=time_factor, host_module=host_module, own_storage=own_storage or OwnStorage())
    async with AsyncExitStack() as stack:
        control_listener = Listener(
            control.app(
                parts.cloud,
                parts.faults,
                reset=parts.start_over,
                stopped_parts=parts.stopped_parts,
                report=parts.report,
            ),
            port=control_port,
        )
        await _open(stack, control_listener)  # first, since its port may be in use
        stack.push_async_callback(parts.azurite.stop)
        await _open(stack, parts.backend)
        front = parts.front()
        await _open(stack, front)
        proxy = Proxy(parts.cloud, front_port=front.port)
        await _open(stack, proxy)
        # One endpoint for the developer and one for each app, each with its own secret.
        developer = await _identity_endpoint(stack, parts, "developer")
        responder = await _identity_endpoint(stack, parts, "responder", assigned=frozenset({"responder"}))
        intake = await _identity_endpoint(stack, parts, "intake", assigned=frozenset({"intake"}))

        client = environment.client(proxy_port=proxy.port, authority_file=parts.certificates.authority_file)
        system_key = secrets.token_urlsafe(32)
        outside = plain_environment() | client | {"PYTHONUNBUFFERED": "1"}
        by_platform = outside | {"LOCAL_SYSTEM_KEY": system_key, "FUNCTIONS_WORKER_RUNTIME": "python"}
        of_responder = environment.app_settings(parts.cloud, endpoint=responder)
        variables = by_platform | of_responder | environment.deliveries(private=private) | dict(settings or {})
        of_intake = environment.of_intake(
            environment.app_settings(parts.cloud, endpoint=intake, identity="intake", host_account=INTAKE_ACCOUNT)
        )
        stack.push_async_callback(parts.stop_hosts)
        addresses = await parts.start(hosts=hosts, app=app_folder, variables=variables)
        await _open(stack, parts.event_grid)
        findings_queue = await _findings_queue(stack, parts, proxy) if private else None
        if findings_queue is not None:
            parts.event_grid.deliver_to_queue(findings_queue)
        elif addresses:
            await parts.event_grid.deliver_to(addresses, system_key)

        port = control_listener.port
        yield LocalCloud(
            folder=folder,
            model=parts.cloud,
            entra=parts.entra,
            faults=parts.faults,
            event_grid=parts.event_grid,
            deployments=parts.deployments,
            proxy_port=proxy.port,
            control_port=port,
            authority_file=parts.certificates.authority_file,
            hosts=addresses,
            system_key=system_key,
            parts=parts,
            findings_queue=findings_queue,
            intake_variables=outside | of_intake,
            platform={
                "responder": by_platform | responder.variables(),
                "intake": by_platform | intake.variables(),
            },
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
    """A part that is started, and stopped at the end."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class _Parts:
    """The parts of one cloud: created and wired by the constructor, started by `start`."""

    def __init__(self, folder: Path, *, time_factor: float, host_module: str, own_storage: OwnStorage) -> None:
        self._host_module = host_module
        self._own_storage = own_storage
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self.certificates = Certificates.make(folder)
        self.azurite = Azurite(folder=folder, certificates=self.certificates)
        self.cloud = Cloud(time_factor=time_factor, publish_keys=self._publish_keys)
        self.cloud.identities.update(identities.directory())
        self.cloud.users.update(identities.users())
        # Present from the start: early requests wait at the gate instead of failing with "no such account".
        self.cloud.accounts[STATE_ACCOUNT] = state_account()
        self.entra = entra.Entra(self.cloud)
        self.faults = Faults()
        self.gate = Gate()
        self.backend = StorageBackend(self.azurite, self.certificates)
        self.cloud.tables = self.backend
        self.event_grid = EventGrid(self.cloud, self.entra, dead_letter=self._dead_letter)
        self.deployments = Deployments()
        self.hosts: list[Child] = []
        self._is_serving = False
        self._starting_over = asyncio.Lock()

    def front(self) -> Front:
        services: dict[str, ASGIApp] = {
            hostnames.ENTRA_HOST: entra.app(self.cloud, self.entra),
            hostnames.ARM_HOST: DeploymentService(
                self.entra, self.deployments, otherwise=arm.app(self.cloud, self.entra)
            ),
            hostnames.GRAPH_HOST: graph.app(self.cloud, self.entra),
            hostnames.GITHUB_HOST: GitHub(self.cloud).app,
            hostnames.AZURE_DEVOPS_HOST: azure_devops.app(self.cloud, self.entra),
            hostnames.AZURE_REPOS_HOST: azure_devops.code_app(self.cloud, self.entra),
            hostnames.APP_HOST: app_host.app(
                lambda _: self.hosts[0].address if self.hosts else None, PlatformSignIn(self.entra).refusal
            ),
            hostnames.INCIDENTS_HOST: incident_receiver.app(self.cloud),
            hostnames.LOGS_HOST: log_analytics.app(self.cloud, self.entra),
            hostnames.HISTORY_HOST: logs_ingestion.app(self.cloud, self.entra),
            hostnames.INSIGHTS_HOST: insights.app(self.cloud, self.entra),
            TOPIC_HOST: self.event_grid.app,
            f"*.{hostnames.KEY_VAULT_SUFFIX}": key_vault.app(self.cloud, self.entra),
            f"*.{hostnames.APPS_SUFFIX}": app_host.app(self._deployed_host, lambda _: None),
            f"*.{hostnames.PUBLISHING_SUFFIX}": publishing.app(self.entra, self.deployments),
        }
        storage = Storage(self.cloud, self.entra, self.backend, self.gate)
        return Front(
            self.cloud, self.faults, services=services, storage=storage, tls=self.certificates.server_context
        )

    def _deployed_host(self, request: Request) -> str | None:
        """The address of the host that runs the deployed app of a request."""
        return self.deployments.host_of(request.headers["host"].partition(".")[0].lower())

    async def start(self, *, hosts: int, app: Path, variables: Mapping[str, str]) -> tuple[str, ...]:
        """Start Azurite and the hosts in parallel; return the addresses of the hosts once all are ready."""
        self._app, self._variables = app, variables
        self.hosts += [self._host(number, port=0) for number in range(hosts)]
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._start_storage())
                for host in self.hosts:
                    group.create_task(host.start(cwd=ROOT, seconds=_HOST_START_SECONDS))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None  # the first one; it ended the others
        self._is_serving = True
        return tuple(host.address for host in self.hosts)

    def _host(self, number: int, *, port: int) -> Child:
        command = (sys.executable, "-m", self._host_module, "--app", str(self._app), "--port", str(port))
        log = self._folder / f"host-{number + 1}.log"
        return Child(f"host {number + 1}", command=command, environment=self._variables, log=log)

    async def restart_host(self, number: int) -> None:
        """Start a host again, on the port that it had."""
        port = urlsplit(self.hosts[number].address).port
        self.hosts[number] = self._host(number, port=port or 0)
        await self.hosts[number].start(cwd=ROOT, seconds=_HOST_START_SECONDS)

    async def stop_hosts(self) -> None:
        # If the start was interrupted, a host has no invocations to finish: it waits for storage.
        seconds = _HOST_STOP_SECONDS if self._is_serving else 0
        await asyncio.gather(*(host.stop(seconds=seconds) for host in self.hosts))

    async def start_over(self) -> None:
        async with self._starting_over:
            await self.event_grid.forget()
            self.deployments.forget()
            await start_over(self.cloud, faults=self.faults, backend=self.backend, gate=self.gate)

    def report(self, source: str, text: str) -> reports.Posted:
        """Return a report of a source about a text, and create the alert where the source keeps alerts."""
        return reports.make(self.cloud, self.entra, source=source, text=text)

    def stopped_parts(self) -> tuple[str, ...]:
        """Return the names of the child processes that ended unexpectedly."""
        stopped = [host.name for host in self.hosts if not host.is_running]
        return (*stopped, *(() if self.azurite.is_running else ("azurite",)))

    async def _start_storage(self) -> None:
        await self.azurite.start()
        await provision(self.cloud, self.backend, self._own_storage)
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


async def _findings_queue(stack: AsyncExitStack, parts: _Parts, proxy: Proxy) -> StorageQueue:
    """Return the queue that the topic's identity delivers to, over the storage's host name."""
    sender = HttpSender(proxy=f"http://127.0.0.1:{proxy.port}", tls=parts.certificates.client_context())
    await _open(stack, sender)
    topic = parts.cloud.identities["topic"]
    return StorageQueue(
        STATE_ACCOUNT, FINDINGS, send=sender.send, token=lambda: parts.entra.mint(topic, audience=STORAGE)
    )


async def _identity_endpoint(
    stack: AsyncExitStack, parts: _Parts, identity_name: str, *, assigned: frozenset[str] | None = None
) -> environment.IdentityEndpoint:
    secret = secrets.token_urlsafe(32)
    endpoint = managed_identity.app(
        parts.cloud, parts.entra, secret=secret, default_identity=identity_name, assigned=assigned
    )
    listener = Listener(endpoint)
    await _open(stack, listener)
    return environment.IdentityEndpoint(port=listener.port, secret=secret)
