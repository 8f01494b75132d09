"""The host: the functions of one app, each with the listener of its trigger."""

import asyncio
import hashlib
import logging
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp

from local.host import eventgrid_webhook, ncrontab
from local.host.admin import Admin
from local.host.app_loader import EventGridTrigger, Function, HttpTrigger, QueueTrigger, TimerTrigger
from local.host.configuration import AppSettings, HostConfiguration, StartError
from local.host.connections import DEFAULT_CONNECTION, StorageClients, storage_connection
from local.host.eventgrid_webhook import EventGridWebhook
from local.host.host_storage import HOSTS_CONTAINER, SECRETS_CONTAINER, HostSecrets, HostStart
from local.host.http import HttpTriggers, Keys
from local.host.invocation import Invoker
from local.host.kestrel import Kestrel
from local.host.queues import QueueListener
from local.host.singleton import BlobLock, Lock, Unshared
from local.host.timers import BlobMonitor, Monitor, NoMonitor, TimerListener, is_monitored

_log = logging.getLogger("host")

_POISON = "-poison"
_HOST_ID_SETTING = "AzureFunctionsWebHost__hostid"


class Host:
    """Serves `functions`: `app` answers HTTP, `listen` runs queues and timers. Create it in a running event loop."""

    def __init__(
        self,
        functions: Sequence[Function],
        *,
        configuration: HostConfiguration,
        settings: AppSettings,
        keys: Keys,
        folder: Path,
    ) -> None:
        """Raises StartError for a trigger that this host does not support or that lacks a setting."""
        enabled = [function for function in functions if not settings.is_disabled(function.name)]
        for function in functions:
            _log.info("Function '%s' is %s", function.name, "enabled" if function in enabled else "disabled")
        self._configuration = configuration
        self._settings = settings
        # Hosts of one app share locks and the status of timers by this id.
        self._host_id = settings.get(_HOST_ID_SETTING) or hashlib.sha256(str(folder).encode()).hexdigest()[:32]
        self._storage = StorageClients()
        self._invoker = Invoker(configuration.function_timeout)
        self._listeners: list[QueueListener | TimerListener] = []
        for function in enabled:
            if not settings.is_in_group(group_of(function)):
                _log.info("Function '%s' is not part of this host's group", function.name)
                continue
            match function.trigger:
                case QueueTrigger() as queue:
                    self._listeners.append(self._queue_listener(function, queue))
                case TimerTrigger() as timer:
                    self._listeners.append(self._timer_listener(function, timer))
        # What answers HTTP does so in every group.
        webhook = EventGridWebhook(enabled, keys=keys, invoker=self._invoker)
        triggers = HttpTriggers(
            enabled,
            route_prefix=configuration.route_prefix,
            keys=keys,
            invoker=self._invoker,
            webhooks={eventgrid_webhook.PATH: webhook},
            admin=Admin(functions, keys=keys, invoker=self._invoker),
            has_home_page=settings.get("AzureWebJobsDisableHomepage", "").lower() != "true",
        )
        self._start = HostStart(self._secrets(keys), triggers)
        self.app: ASGIApp = Kestrel(self._start)

    def listen(self, stopping: asyncio.Event) -> list[Coroutine[Any, Any, None]]:
        """Return a coroutine per listener. Each ends after `stopping` is set and its work is done."""
        listeners = (self._start.listen(listener.run(stopping), stopping) for listener in self._listeners)
        return [self._start.run(stopping), *listeners]

    async def tried_to_start(self) -> None:
        """Return once the host has started, or its storage has refused it: then it answers 503 and tries again."""
        await self._start.tried()

    async def drain(self) -> None:
        """Wait until no invocation is running."""
        await self._invoker.drain()

    async def close(self) -> None:
        """Close the storage clients."""
        await self._storage.close()

    def _secrets(self, keys: Keys) -> HostSecrets | None:
        connection = storage_connection(self._settings, DEFAULT_CONNECTION)
        if connection is None:
            return None
        return HostSecrets(self._storage.container(connection, SECRETS_CONTAINER), host_id=self._host_id, keys=keys)

    def _queue_listener(self, function: Function, trigger: QueueTrigger) -> QueueListener:
        name = self._settings.expand(trigger.queue, of=f"function {function.name}").lower()
        connection = storage_connection(self._settings, trigger.connection)
        if connection is None:
            wanted = trigger.connection or DEFAULT_CONNECTION
            raise StartError(f"function {function.name}: app setting {wanted} (its connection) is missing")
        return QueueListener(
            function,
            queue=self._storage.queue(connection, name),
            # A poison queue has none itself (QueueListenerFactory.CreatePoisonQueueReference).
            poison_queue=None if name.endswith(_POISON) else self._storage.queue(connection, f"{name}{_POISON}"),
            options=self._configuration.queues,
            invoker=self._invoker,
        )

    def _timer_listener(self, function: Function, trigger: TimerTrigger) -> TimerListener:
        expression = self._settings.expand(trigger.schedule, of=f"function {function.name}")
        try:
            schedule = ncrontab.parse(expression)
        except ValueError as error:
            raise StartError(f"function {function.name}: schedule: {error}") from None
        lock: Lock = Unshared()
        monitor: Monitor = NoMonitor()
        connection = storage_connection(self._settings, DEFAULT_CONNECTION)
        if connection is not None:
            container = self._storage.container(connection, HOSTS_CONTAINER)
            lock = BlobLock(container, f"locks/{self._host_id}/{function.name}.Listener")
            if trigger.use_monitor and is_monitored(schedule):
                monitor = BlobMonitor(container, f"timers/{self._host_id}/{function.name}/status")
        return TimerListener(
            function,
            schedule=schedule,
            run_on_startup=trigger.run_on_startup,
            lock=lock,
            monitor=monitor,
            invoker=self._invoker,
        )


def group_of(function: Function) -> str:
    """Return the group that the function's listener runs in on Flex Consumption.

    azure-functions-host, FunctionMetadataExtensions.GetFunctionGroup: an Event Grid trigger is a webhook.
    """
    match function.trigger:
        case HttpTrigger() | EventGridTrigger():
            return "http"
        case QueueTrigger() | TimerTrigger():
            return f"function:{function.name}"
