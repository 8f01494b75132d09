"""What the routes call: the responders' API, the console and the intake. Each is imported when it is first used."""

from functools import cached_property
from typing import TYPE_CHECKING

from shared.containment.rate_limit import RateLimit
from shared.factories.background import Background
from shared.factories.connections import Connections, Process
from shared.factories.fast_path import FastPath
from shared.persistence.queues import INTAKE_QUEUE, POISON

if TYPE_CHECKING:
    from shared.api.auth.access_tokens import AccessTokens
    from shared.api.console.serving import ConsoleFiles
    from shared.api.intake.routes import Intake
    from shared.api.readiness import ReadinessApi
    from shared.api.revocations.routes import Responder
    from shared.api.revocations.service import RevocationService
    from shared.persistence.alert_queue import AlertQueue
    from shared.sources.alert_reader import AlertReader


class Http:
    """The routes of function_app.py."""

    def __init__(
        self, process: Process, connections: Connections, fast_path: FastPath, background: Background
    ) -> None:
        self._process = process
        self._connections = connections
        self._fast_path = fast_path
        self._background = background

    @cached_property
    def revocation_api(self) -> "Responder":
        from shared.api.revocations.routes import Responder

        return Responder(
            self.revocations,
            self._access_tokens,
            self._background.history_checks,
            clock=self._process.clock,
        )

    @cached_property
    def revocations(self) -> "RevocationService":
        from shared.api.revocations.account_matching import AccountMatcher
        from shared.api.revocations.service import RevocationService
        from shared.api.revocations.submissions import Submissions

        settings, fast_path = self._process.settings, self._fast_path
        keys = fast_path.actions.account_key.keys
        return RevocationService(
            store=fast_path.store,
            containment=fast_path.containment,
            sessions=fast_path.sessions,
            submissions=Submissions(
                containment=fast_path.containment,
                store=fast_path.store,
                matcher=AccountMatcher(fast_path.accounts, keys, cloud=settings.cloud),
            ),
            undo=fast_path.actions.lockdown.undo,
            second_person=settings.second_person,
        )

    @cached_property
    def readiness_api(self) -> "ReadinessApi":
        from shared.api.readiness import ReadinessApi

        return ReadinessApi(self._background.readiness_table, self._access_tokens)

    @cached_property
    def console(self) -> "ConsoleFiles":
        from shared.api.console.serving import ConsoleFiles

        return ConsoleFiles(self._process.settings)

    @cached_property
    def intake(self) -> "Intake":
        from shared.api.intake.registry import Reporters
        from shared.api.intake.routes import Intake

        settings, connections, clock = self._process.settings, self._connections, self._process.clock
        return Intake(
            reporters=Reporters(settings, secrets=connections.secrets, tokens=self._access_tokens, clock=clock),
            publisher=connections.publisher,
            alerts=self.alert_reader,
            quotas=RateLimit(an_hour=settings.intake_quota, clock=clock),
            clock=clock,
        )

    @cached_property
    def alert_reader(self) -> "AlertReader":
        from shared.sources.alert_reader import AlertReader

        return AlertReader(
            self._connections.tools.all, self.alert_queue, self._connections.publisher, clock=self._process.clock
        )

    @cached_property
    def alert_queue(self) -> "AlertQueue":
        from shared.persistence.alert_queue import AlertQueue

        queue = self._process.clients.queue
        return AlertQueue(queue(INTAKE_QUEUE), queue(INTAKE_QUEUE + POISON))

    @cached_property
    def _access_tokens(self) -> "AccessTokens":
        from shared.api.auth.access_tokens import AccessTokens
        from shared.api.auth.signing_keys import SigningKeys

        process = self._process
        url = f"https://{process.settings.cloud.authority}/{process.settings.tenant_id}/discovery/v2.0/keys"
        keys = SigningKeys(url, process.transport, clock=process.clock)
        return AccessTokens(keys, settings=process.settings, clock=process.clock)
