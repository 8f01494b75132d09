"""What the intake needs, and nothing else: a separate intake app builds this alone, from its own few settings."""

from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from shared.cloud.clients import IntakeClients, Transport
from shared.intake_settings import IntakeSettings
from shared.persistence.queues import INTAKE_QUEUE, POISON
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.api.auth.access_tokens import AccessTokens
    from shared.api.health import HealthCheck
    from shared.api.intake.routes import Intake
    from shared.cloud.event_grid import Publisher
    from shared.cloud.secret_settings import SecretSettings
    from shared.persistence.alert_queue import AlertQueue
    from shared.sources.alert_reader import AlertReader
    from shared.sources.registry import Tools


class IntakeServices:
    """The intake, and what it shares with the responder: secrets of settings, access tokens, tools, the topic."""

    def __init__(
        self,
        settings: Settings | IntakeSettings,
        clients: IntakeClients,
        *,
        transport: Callable[[], Transport],
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._transport = transport
        self._clock = clock

    @cached_property
    def health(self) -> "HealthCheck":
        """Of the queue: a separate intake has no right on the records."""
        from shared.api.health import HealthCheck

        return HealthCheck(self.alert_queue, unreachable="queue unreachable", clock=self._clock)

    @cached_property
    def intake(self) -> "Intake":
        from shared.api.intake.registry import Reporters
        from shared.api.intake.routes import Intake
        from shared.containment.rate_limit import RateLimit

        settings, clock = self._settings, self._clock
        return Intake(
            reporters=Reporters(settings, secrets=self.secrets, tokens=self.access_tokens, clock=clock),
            publisher=self.publisher,
            alerts=self.alert_reader,
            quotas=RateLimit(an_hour=settings.intake_quota, clock=clock),
            clock=clock,
        )

    @cached_property
    def alert_reader(self) -> "AlertReader":
        from shared.sources.alert_reader import AlertReader

        return AlertReader(self.tools.all, self.alert_queue, self.publisher, clock=self._clock)

    @cached_property
    def alert_queue(self) -> "AlertQueue":
        from shared.persistence.alert_queue import AlertQueue

        queue = self._clients.queue
        return AlertQueue(queue(INTAKE_QUEUE), queue(INTAKE_QUEUE + POISON))

    @cached_property
    def publisher(self) -> "Publisher":
        from shared.cloud.event_grid import Publisher

        return Publisher(lambda: self._clients.topic)

    @cached_property
    def secrets(self) -> "SecretSettings":
        from shared.cloud.secret_settings import SecretSettings

        return SecretSettings(self._clients.vault, clock=self._clock)

    @cached_property
    def tools(self) -> "Tools":
        from shared.sources.registry import Tools, closing_key

        settings = self._settings
        closing = closing_key(settings) if isinstance(settings, Settings) else None
        return Tools(
            settings, self._clients, self._transport, secrets=self.secrets, clock=self._clock, closing=closing
        )

    @cached_property
    def access_tokens(self) -> "AccessTokens":
        from shared.api.auth.access_tokens import AccessTokens
        from shared.api.auth.signing_keys import SigningKeys

        settings = self._settings
        url = f"https://{settings.cloud.authority}/{settings.tenant_id}/discovery/v2.0/keys"
        keys = SigningKeys(url, self._transport, clock=self._clock)
        return AccessTokens(keys, settings=settings, clock=self._clock)
