"""Composition root: the process's settings and SDK clients, and the factories that build its services from them.

`App` is the responder, with the intake in it; `IntakeApp` is a separate intake.
"""

import logging
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from azure.core.credentials_async import AsyncTokenCredential

from shared import redaction
from shared.cloud.clients import Clients, IntakeClients, Transport, network
from shared.factories.background import Background
from shared.factories.connections import Connections, Process
from shared.factories.fast_path import FastPath
from shared.factories.http import Http
from shared.factories.intake import IntakeServices
from shared.intake_settings import IntakeSettings
from shared.settings import Settings


def utc_now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def new_id() -> str:
    """Return a new random id, a GUID."""
    return str(uuid.uuid4())


class App:
    """Everything a function needs. `transport`, `clock` and `new_id` are passed in where a test needs them."""

    def __init__(
        self,
        settings: Settings,
        *,
        credential: AsyncTokenCredential | None = None,
        transport: Callable[[], Transport] = network,
        clock: Callable[[], datetime] = utc_now,
        new_id: Callable[[], str] = new_id,
    ) -> None:
        _clean_logs()
        self.settings = settings
        self.clients = Clients(settings, credential=credential, new_transport=transport, clock=clock)
        process = Process(settings, self.clients, transport, clock, new_id)
        self.connections = Connections(process)
        self.fast_path = FastPath(process, self.connections)
        self.background = Background(process, self.connections, self.fast_path)
        self.http = Http(process, self.connections, self.fast_path, self.background)


class IntakeApp:
    """Everything that a separate intake needs: it has no settings, clients and services beyond it."""

    def __init__(
        self,
        settings: IntakeSettings,
        *,
        credential: AsyncTokenCredential | None = None,
        transport: Callable[[], Transport] = network,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        _clean_logs()
        self.settings = settings
        self.clients = IntakeClients(settings, credential=credential, new_transport=transport)
        self.services = IntakeServices(settings, self.clients, transport=transport, clock=clock)


def _clean_logs() -> None:
    redaction.install()
    logging.captureWarnings(capture=True)
