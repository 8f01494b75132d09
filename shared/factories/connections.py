"""What the factories share: the process, and its connections to services that a first revocation can do without.

Each connection is imported when it is first used. Above all the heavy SDKs wait that way: Graph, Event Grid.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from shared.cloud.clients import Clients, Transport
from shared.factories.intake import IntakeServices
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.cloud.arm import ArmReader
    from shared.cloud.event_grid import Publisher
    from shared.cloud.governance import Governance
    from shared.cloud.graph import Graph
    from shared.cloud.secret_settings import SecretSettings
    from shared.cloud.subscriptions import Subscriptions
    from shared.sources.registry import Tools


@dataclass(frozen=True, slots=True)
class Process:
    """What everything in the process shares. A test passes in its own transport, clock and ids."""

    settings: Settings
    clients: Clients
    transport: Callable[[], Transport]
    clock: Callable[[], datetime]
    new_id: Callable[[], str]


def import_for_people() -> None:
    """Import what mails and events are sent with. The first call takes seconds, the others nothing."""
    import azure.eventgrid.aio  # noqa: F401 -- imported for the time that it takes

    from shared.cloud.graph import warm_up

    warm_up()


class Connections:
    """Graph, ARM's readers, Event Grid, the secrets of the settings, and the services of the sources."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.intake = IntakeServices(
            process.settings, process.clients, transport=process.transport, clock=process.clock
        )

    @cached_property
    def graph(self) -> "Graph":
        from shared.cloud.graph import Graph

        return Graph(self._process.clients.credential, base_url=self._process.settings.cloud.graph)

    async def principal_exists(self, object_id: str) -> bool:
        """Ask Graph, which is imported on a thread: other leaks are being contained meanwhile."""
        await asyncio.to_thread(import_for_people)
        return await self.graph.principal_exists(object_id)

    @cached_property
    def arm_reader(self) -> "ArmReader":
        from shared.cloud.arm import ArmReader

        return ArmReader(self._process.clients.arm, resource_manager=self._process.settings.cloud.resource_manager)

    @cached_property
    def subscriptions(self) -> "Subscriptions":
        from shared.cloud.subscriptions import Subscriptions

        settings = self._process.settings
        return Subscriptions(
            self.arm_reader,
            listed=settings.subscriptions,
            management_group=settings.management_group,
            clock=self._process.clock,
        )

    @cached_property
    def governance(self) -> "Governance":
        from shared.cloud.governance import Governance

        process = self._process
        return Governance(
            self.arm_reader, process.clients.credential, resource_manager=process.settings.cloud.resource_manager
        )

    @property
    def publisher(self) -> "Publisher":
        return self.intake.publisher

    @property
    def secrets(self) -> "SecretSettings":
        return self.intake.secrets

    @property
    def tools(self) -> "Tools":
        return self.intake.tools
