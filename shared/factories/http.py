"""What the routes call: the responders' API, the console and the intake. Each is imported when it is first used."""

from functools import cached_property
from typing import TYPE_CHECKING

from shared.factories.background import Background
from shared.factories.connections import Connections, Process
from shared.factories.fast_path import FastPath

if TYPE_CHECKING:
    from shared.api.auth.access_tokens import AccessTokens
    from shared.api.console.serving import ConsoleFiles
    from shared.api.health import HealthCheck
    from shared.api.intake.routes import Intake
    from shared.api.readiness import ReadinessApi
    from shared.api.revocations.routes import Responder
    from shared.api.revocations.service import RevocationService
    from shared.api.sas_in_use import SasInUseApi
    from shared.sas import Credential
    from shared.sources.alert_reader import AlertReader
    from shared.watch.service import SasInUseList


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
    def health(self) -> "HealthCheck":
        from shared.api.health import HealthCheck

        ledger = self._fast_path.store.revocations
        return HealthCheck(ledger, unreachable="ledger unreachable", clock=self._process.clock)

    @cached_property
    def revocation_api(self) -> "Responder":
        from shared.api.revocations.routes import Responder

        return Responder(
            self.revocations,
            self._access_tokens,
            self._background.history_checks,
            clock=self._process.clock,
            at_deadline=self._process.settings.at_deadline,
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
            undo=fast_path.actions.undo,
            second_person=settings.second_person,
        )

    @cached_property
    def readiness_api(self) -> "ReadinessApi":
        from shared.api.readiness import ReadinessApi

        return ReadinessApi(self._background.readiness_table, self._access_tokens, self._fast_path.unreadable_rows)

    @cached_property
    def sas_api(self) -> "SasInUseApi":
        from shared.api.sas_in_use import SasInUseApi

        return SasInUseApi(self.sas_in_use, self._background.readiness_table, self._access_tokens)

    @cached_property
    def sas_in_use(self) -> "SasInUseList":
        from shared.cloud.sas_log import SasLog
        from shared.watch.monitored import MonitoredAccounts
        from shared.watch.service import SasInUseList
        from shared.watch.signers import SignerSearch

        process, fast_path = self._process, self._fast_path
        return SasInUseList(
            source=MonitoredAccounts(
                log=SasLog(process.clients.logs, clock=process.clock),
                subscriptions=self._connections.subscriptions,
                accounts=fast_path.accounts,
                list_keys=fast_path.actions.account_key.keys,
                host_of=process.settings.cloud.blob_host,
            ),
            search=SignerSearch(clock=process.clock),
            clock=process.clock,
            record_of=self._record_of,
        )

    async def _record_of(self, credential: "Credential") -> str | None:
        """Return the id of the record of a SAS, None where nobody has reported it."""
        return await self._fast_path.secret_index.find(credential.kind, credential.signature_sha256 or "")

    @cached_property
    def console(self) -> "ConsoleFiles":
        from shared.api.console.serving import ConsoleFiles

        return ConsoleFiles(self._process.settings)

    @property
    def intake(self) -> "Intake":
        return self._connections.intake.intake

    @property
    def alert_reader(self) -> "AlertReader":
        return self._connections.intake.alert_reader

    @property
    def _access_tokens(self) -> "AccessTokens":
        return self._connections.intake.access_tokens
