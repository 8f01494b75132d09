"""Composition root: builds clients and services once per process.

What the first revocation does not need is imported when it is first used, so that a cold start pays for the fast path
alone. Above all the heavy SDKs of the follow-up: Graph, Event Grid, Key Vault, Azure Monitor.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from azure.core.credentials_async import AsyncTokenCredential

from shared import redaction
from shared.actions.registry import ACTION_SPECS, Actions
from shared.cloud.accounts import Accounts
from shared.cloud.clients import Clients, Transport, network
from shared.containment.account_reader import AccountReader
from shared.containment.account_session import AccountSessions
from shared.containment.dedup_cache import DedupCache
from shared.containment.execution import PlanExecutor
from shared.containment.ingest import Ingest
from shared.containment.liveness import LivenessCheck
from shared.containment.lookup import AccountLookup
from shared.containment.rate_limit import RateLimit
from shared.containment.recovery import Recovery
from shared.containment.service import Containment
from shared.domain.decision.batch import Decider
from shared.domain.retired_keys import RetiredKeys
from shared.operations.warmup import WarmUp
from shared.persistence.accounts import AccountTable
from shared.persistence.queues import CONTAIN_QUEUE, FOLLOW_UP_QUEUE, INTAKE_QUEUE, POISON, PoisonQueues, Queues
from shared.persistence.revocations import Ledger
from shared.persistence.state_index import StateIndex
from shared.persistence.store import Store
from shared.settings import Settings

if TYPE_CHECKING:
    from azure.storage.blob.aio import ContainerClient

    from shared.api.auth.access_tokens import AccessTokens
    from shared.api.console.serving import ConsoleFiles
    from shared.api.intake.routes import Intake
    from shared.api.readiness import ReadinessApi
    from shared.api.revocations.routes import Responder
    from shared.api.revocations.service import RevocationService
    from shared.cloud.arm import ArmReader
    from shared.cloud.event_grid import Publisher
    from shared.cloud.governance import Governance
    from shared.cloud.graph import Graph
    from shared.cloud.secret_settings import SecretSettings
    from shared.followup.alert_closing import AlertCloser
    from shared.followup.incidents.sharepoint import Incidents
    from shared.followup.key_distribution import KeyDistributor
    from shared.followup.mail.summary_store import SummaryMail
    from shared.followup.owners.lookup import Ownership
    from shared.followup.service import FollowUp
    from shared.followup.step import Steps
    from shared.followup.traces import Traces
    from shared.operations.dead_letters import DeadLetters
    from shared.operations.dormant_policies import DormantPolicies
    from shared.operations.drill import Drill
    from shared.operations.failure_records import FailureRecords
    from shared.operations.poison_messages import PoisonMessages
    from shared.operations.readiness import Readiness
    from shared.operations.sweeper import Sweeper
    from shared.persistence.readiness import ReadinessTable
    from shared.sources.alert_reader import AlertReader
    from shared.sources.registry import Tools

REVOCATIONS_TABLE = "revocations"
ACCOUNTS_TABLE = "accounts"
STATES_TABLE = "states"
DIGEST_TABLE = "digest"
READINESS_TABLE = "readiness"
DEAD_LETTERS = "dead-letters"  # the container that Event Grid puts them in, and unreadable messages are kept in


def utc_now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def new_id() -> str:
    """Return a new random id, a GUID."""
    return str(uuid.uuid4())


def _import_for_people() -> None:
    """Import what the follow-up sends mails and events with. The first call takes seconds, the others nothing."""
    import azure.eventgrid.aio  # noqa: F401 -- imported for the time that it takes

    from shared.cloud.graph import warm_up

    warm_up()


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
        redaction.install()
        logging.captureWarnings(capture=True)
        self.settings = settings
        self.clients = Clients(settings, credential=credential, new_transport=transport, clock=clock)
        self._transport = transport
        self._clock = clock
        self._new_id = new_id

    @cached_property
    def store(self) -> Store:
        clock, new_id, table = self._clock, self._new_id, self.clients.tables.get_table_client
        return Store(
            revocations=Ledger(table(REVOCATIONS_TABLE), self.state_index, clock=clock, new_id=new_id),
            accounts=AccountTable(table(ACCOUNTS_TABLE), clock=clock, new_id=new_id),
            queues=Queues(contain=self.clients.queue(CONTAIN_QUEUE), follow_up=self.clients.queue(FOLLOW_UP_QUEUE)),
            clock=clock,
            new_id=new_id,
        )

    @cached_property
    def state_index(self) -> StateIndex:
        return StateIndex(self.clients.tables.get_table_client(STATES_TABLE), clock=self._clock)

    @cached_property
    def actions(self) -> Actions:
        return Actions.made(
            self.clients.arm,
            self._transport,
            credential=self.clients.credential,
            principal_exists=self._principal_exists,
            tenant_id=self.settings.tenant_id,
            retired=self._retired_keys,
            clock=self._clock,
            new_id=self._new_id,
        )

    async def _principal_exists(self, object_id: str) -> bool:
        """Ask Graph, which is imported on a thread: other leaks are being contained meanwhile."""
        await asyncio.to_thread(_import_for_people)
        return await self._graph.principal_exists(object_id)

    @cached_property
    def accounts(self) -> Accounts:
        return Accounts(
            self.clients.arm,
            subscriptions=self.settings.subscriptions,
            tag_names=self.settings.owner_tags,
            clock=self._clock,
        )

    @cached_property
    def _retired_keys(self) -> RetiredKeys:
        return RetiredKeys(clock=self._clock)

    @cached_property
    def _sessions(self) -> AccountSessions:
        store, accounts, actions = self.store, self.accounts, self.actions
        recovery = Recovery(store=store, accounts=accounts, actions=actions)
        reader = AccountReader(store=store, accounts=accounts, actions=actions)
        return AccountSessions(store=store, recovery=recovery, reader=reader, throttle=self.clients.pace)

    @cached_property
    def _dedup(self) -> DedupCache:
        return DedupCache(clock=self._clock)

    @cached_property
    def ingest(self) -> Ingest:
        return Ingest(
            raw_allowed=self.settings.raw_events,
            store=self.store,
            containment=self.containment,
            rate_limit=RateLimit(an_hour=self.settings.source_quota, clock=self._clock),
            dedup=self._dedup,
        )

    @cached_property
    def containment(self) -> Containment:
        store, accounts, actions, retired = self.store, self.accounts, self.actions, self._retired_keys
        return Containment(
            store=store,
            lookup=AccountLookup(settings=self.settings, store=store, accounts=accounts),
            liveness=LivenessCheck(store=store, accounts=accounts, delegation_key=actions.delegation_key),
            sessions=self._sessions,
            decider=Decider(policy=self.settings.decision_policy(ACTION_SPECS), retired=retired),
            executor=PlanExecutor(store=store, actions=actions),
            dedup=self._dedup,
        )

    @cached_property
    def warm_up(self) -> WarmUp:
        return WarmUp(ledger=self.store.revocations, accounts=self.accounts)

    @cached_property
    def sweeper(self) -> "Sweeper":
        from shared.operations.sweeper import Sweeper

        return Sweeper(self.store, self.state_index)

    @cached_property
    def dead_letters(self) -> "DeadLetters":
        from shared.operations.dead_letters import DeadLetters

        return DeadLetters(self.ingest, records=self._failure_records, dead_letters=lambda: self._dead_letters)

    @cached_property
    def poison_messages(self) -> "PoisonMessages":
        from shared.operations.poison_messages import PoisonMessages

        return PoisonMessages(
            self.store,
            poison=PoisonQueues(self.clients.queue),
            records=self._failure_records,
            kept=lambda: self._dead_letters,
        )

    @cached_property
    def _failure_records(self) -> "FailureRecords":
        from shared.operations.failure_records import FailureRecords

        return FailureRecords(self.store)

    @cached_property
    def _dead_letters(self) -> "ContainerClient":
        return self.clients.container(DEAD_LETTERS)

    @cached_property
    def summary_mail(self) -> "SummaryMail":
        from shared.followup.mail.summary_store import SummaryMail

        return SummaryMail(
            self.clients.tables.get_table_client(DIGEST_TABLE),
            graph=lambda: self._graph,
            warm_up=_import_for_people,
            settings=self.settings,
            clock=self._clock,
        )

    @cached_property
    def dormant_policies(self) -> "DormantPolicies":
        from shared.operations.dormant_policies import DormantPolicies

        return DormantPolicies(self.store, keys=self.actions.account_key.keys, policies=self.actions.stored_policy)

    @cached_property
    def revocations(self) -> "RevocationService":
        from shared.api.revocations.account_matching import AccountMatcher
        from shared.api.revocations.service import RevocationService
        from shared.api.revocations.submissions import Submissions

        return RevocationService(
            store=self.store,
            containment=self.containment,
            sessions=self._sessions,
            submissions=Submissions(
                containment=self.containment,
                store=self.store,
                matcher=AccountMatcher(self.accounts, self.actions.account_key.keys, cloud=self.settings.cloud),
            ),
            undo=self.actions.lockdown.undo,
            second_person=self.settings.second_person,
        )

    @cached_property
    def readiness(self) -> "Readiness":
        from shared.operations.readiness import Readiness

        return Readiness(
            settings=self.settings,
            accounts=self.accounts,
            governance=self._governance,
            table=self.readiness_table,
            transport=self._transport,
            clock=self._clock,
        )

    @cached_property
    def _governance(self) -> "Governance":
        from shared.cloud.governance import Governance

        return Governance(
            self._arm_reader, self.clients.credential, resource_manager=self.settings.cloud.resource_manager
        )

    @cached_property
    def _arm_reader(self) -> "ArmReader":
        from shared.cloud.arm import ArmReader

        return ArmReader(self.clients.arm, resource_manager=self.settings.cloud.resource_manager)

    @cached_property
    def drill(self) -> "Drill":
        from shared.operations.drill import Drill

        return Drill(
            settings=self.settings,
            accounts=self.accounts,
            keys=self.actions.account_key.keys,
            publisher=self._publisher,
            store=self.store,
            table=self.readiness_table,
        )

    @cached_property
    def readiness_table(self) -> "ReadinessTable":
        from shared.persistence.readiness import ReadinessTable

        return ReadinessTable(self.clients.tables.get_table_client(READINESS_TABLE))

    @cached_property
    def console(self) -> "ConsoleFiles":
        from shared.api.console.serving import ConsoleFiles

        return ConsoleFiles(self.settings)

    @cached_property
    def readiness_api(self) -> "ReadinessApi":
        from shared.api.readiness import ReadinessApi

        return ReadinessApi(self.readiness_table, self._access_tokens)

    @cached_property
    def revocation_api(self) -> "Responder":
        from shared.api.revocations.routes import Responder

        return Responder(self.revocations, self._access_tokens, clock=self._clock)

    @cached_property
    def _access_tokens(self) -> "AccessTokens":
        from shared.api.auth.access_tokens import AccessTokens
        from shared.api.auth.signing_keys import SigningKeys

        url = f"https://{self.settings.cloud.authority}/{self.settings.tenant_id}/discovery/v2.0/keys"
        keys = SigningKeys(url, self._transport, clock=self._clock)
        return AccessTokens(keys, settings=self.settings, clock=self._clock)

    @cached_property
    def intake(self) -> "Intake":
        from shared.api.intake.registry import Reporters
        from shared.api.intake.routes import Intake

        return Intake(
            reporters=Reporters(self.settings, secrets=self._secrets, tokens=self._access_tokens, clock=self._clock),
            publisher=self._publisher,
            alerts=self.alert_reader,
            quotas=RateLimit(an_hour=self.settings.intake_quota, clock=self._clock),
            clock=self._clock,
        )

    @cached_property
    def alert_reader(self) -> "AlertReader":
        from shared.persistence.alert_queue import AlertQueue
        from shared.sources.alert_reader import AlertReader

        queue = AlertQueue(self.clients.queue(INTAKE_QUEUE), self.clients.queue(INTAKE_QUEUE + POISON))
        return AlertReader(self._tools.all, queue, self._publisher, clock=self._clock)

    @cached_property
    def _publisher(self) -> "Publisher":
        from shared.cloud.event_grid import Publisher

        return Publisher(lambda: self.clients.topic)

    @cached_property
    def _secrets(self) -> "SecretSettings":
        from shared.cloud.secret_settings import SecretSettings

        return SecretSettings(self.clients.vault, clock=self._clock)

    @cached_property
    def _tools(self) -> "Tools":
        from shared.sources.registry import Tools

        return Tools(self.settings, self.clients, self._transport, secrets=self._secrets, clock=self._clock)

    @cached_property
    def _key_distribution(self) -> "KeyDistributor":
        from shared.followup.key_distribution import KeyDistributor

        return KeyDistributor(
            self.clients.vault,
            self.actions.account_key.keys,
            key_vaults=self.settings.key_vaults,
            key_vault_suffix=self.settings.cloud.key_vault_suffix,
            clock=self._clock,
        )

    @cached_property
    def _graph(self) -> "Graph":
        from shared.cloud.graph import Graph

        return Graph(self.clients.credential, base_url=self.settings.cloud.graph)

    @cached_property
    def _incidents(self) -> "Incidents":
        from shared.followup.incidents.registry import made

        return made(
            self.settings, self.clients, self._transport, self._secrets, graph=lambda: self._graph, clock=self._clock
        )

    @cached_property
    def _ownership(self) -> "Ownership":
        from shared.followup.owners.lookup import Ownership

        return Ownership(self._arm_reader, self._graph, settings=self.settings)

    @cached_property
    def _alert_closer(self) -> "AlertCloser":
        from shared.followup.alert_closing import AlertCloser

        return AlertCloser(self._tools.all)

    @cached_property
    def traces(self) -> "Traces | None":
        """Where traces go, None where it is not set. The first access is slow: it imports."""
        from shared.followup.traces import azure_monitor

        settings = self.settings
        if not settings.insights_connection:
            return None
        return azure_monitor(
            settings.insights_connection, client_id=settings.client_id, authority=settings.cloud.authority
        )

    @cached_property
    def _follow_up_steps(self) -> "Steps":
        from shared.cloud.logs import UsageLogs
        from shared.followup import steps
        from shared.followup.events import StateEvents
        from shared.followup.investigation.other_policies import OtherPolicies
        from shared.followup.investigation.residual_exposure import ResidualExposure
        from shared.followup.investigation.steps import ResidualExposureStep, UsageStep
        from shared.followup.owners.notify import Notifier
        from shared.followup.step import Steps

        store, incidents = self.store, self._incidents
        logs = UsageLogs(self.clients.logs, logged=self._governance.logged, clock=self._clock)
        exposure = ResidualExposure(self._arm_reader, OtherPolicies(self.actions), self._transport, clock=self._clock)
        return Steps(
            concurrent=(
                steps.KeyDistributionStep(self._key_distribution),
                steps.EventStep(StateEvents(self.clients.topic), self.traces),
                UsageStep(logs=logs, incidents=incidents, store=store),
                ResidualExposureStep(exposure),
            ),
            beside_verification=(steps.OwnersStep(self._ownership), steps.IncidentStep(incidents, store)),
            after_verification=(
                steps.MailStep(
                    notifier=Notifier(self._graph, self.settings),
                    summary=self.summary_mail,
                    traces=self.traces,
                    store=store,
                ),
                steps.AlertClosingStep(self._alert_closer, store),
                steps.ClosingStep(store),
            ),
        )

    def _warm_up(self) -> None:
        """Import what the follow-up needs: on a thread of its own."""
        import shared.followup.investigation.steps
        import shared.followup.steps  # noqa: F401 -- imported for the time that it takes

        _import_for_people()
        _ = self.traces

    @cached_property
    def follow_up(self) -> "FollowUp":
        from shared.followup.service import FollowUp
        from shared.followup.verification import VerificationStep

        return FollowUp(
            store=self.store,
            verification=VerificationStep(self.actions, self.store),
            steps=lambda: self._follow_up_steps,
            warm_up=self._warm_up,
        )
