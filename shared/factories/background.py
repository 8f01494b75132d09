"""What runs after the action, and on timers. Each part is imported when it is first used."""

from functools import cached_property
from typing import TYPE_CHECKING

from shared.factories.connections import Connections, Process, import_for_people
from shared.factories.fast_path import REVOCATIONS_TABLE, FastPath
from shared.persistence.queues import PoisonQueues

if TYPE_CHECKING:
    from azure.storage.blob.aio import ContainerClient

    from shared.cloud.history_copy import HistoryCopy
    from shared.domain.revocation import Revocation
    from shared.followup.alert_closing import AlertCloser
    from shared.followup.incidents.hourly import HourlyIncidents
    from shared.followup.incidents.sharepoint import Incidents
    from shared.followup.investigation.changed_by import WhoChanged
    from shared.followup.key_distribution import KeyDistributor
    from shared.followup.mail.summary_store import SummaryMail
    from shared.followup.owners.lookup import Ownership
    from shared.followup.service import FollowUp
    from shared.followup.step import Steps
    from shared.followup.traces import Traces
    from shared.operations.daily_rechecks import DailyRechecks
    from shared.operations.dead_letters import DeadLetters
    from shared.operations.drill import Drill
    from shared.operations.failure_records import FailureRecords
    from shared.operations.history_check import HistoryChecks
    from shared.operations.history_copier import HistoryCopier
    from shared.operations.key_indexer import KeyIndexer
    from shared.operations.poison_messages import PoisonMessages
    from shared.operations.readiness import Readiness
    from shared.operations.rebuild import Rebuild
    from shared.operations.refusal_reminders import RefusalReminders
    from shared.operations.retention import Retention
    from shared.operations.sweeper import Sweeper
    from shared.operations.unreadable_rows import UnreadableRowsCheck
    from shared.persistence.history_rows import HistoryRows
    from shared.persistence.readiness import ReadinessTable
    from shared.persistence.rows import SetAside

DIGEST_TABLE = "digest"
READINESS_TABLE = "readiness"
DEAD_LETTERS = "dead-letters"  # the container that Event Grid puts them in, and unreadable messages are kept in


class Background:
    """The follow-up of a record, and the timers."""

    def __init__(self, process: Process, connections: Connections, fast_path: FastPath) -> None:
        self._process = process
        self._connections = connections
        self._fast_path = fast_path

    @cached_property
    def sweeper(self) -> "Sweeper":
        from shared.operations.sweeper import Sweeper

        at_deadline = self._process.settings.at_deadline
        return Sweeper(self._fast_path.store, self._fast_path.state_index, at_deadline=at_deadline)

    @cached_property
    def dead_letters(self) -> "DeadLetters":
        from shared.operations.dead_letters import DeadLetters
        from shared.persistence.outages import Outages

        table = self._process.clients.tables.get_table_client(DIGEST_TABLE)
        return DeadLetters(
            self._fast_path.ingest,
            outages=Outages(table, clock=self._process.clock, set_aside=self._set_aside),
            records=self._failure_records,
            refresh=self._show_losses,
            dead_letters=lambda: self.dead_letter_container,
        )

    async def _show_losses(self, record: "Revocation") -> None:
        """Have people see what is new about an outage, also where the mail is all that they get."""
        await self.hourly_incidents.refresh(record)
        if record.notifications:  # else the follow-up adds it
            await self.summary_mail.add(record)

    @cached_property
    def key_indexer(self) -> "KeyIndexer | None":
        """None where the setting is off."""
        from shared.operations.key_indexer import KeyIndexer

        if not self._process.settings.key_index:
            return None
        return KeyIndexer(
            accounts=self._fast_path.accounts,
            index=self._fast_path.key_index,
            keys=self._fast_path.actions.account_key.keys,
            clock=self._process.clock,
        )

    @cached_property
    def poison_messages(self) -> "PoisonMessages":
        from shared.operations.poison_messages import PoisonMessages

        return PoisonMessages(
            self._fast_path.store,
            ingest=self._fast_path.ingest,
            settle=self._fast_path.containment.settle,
            poison=PoisonQueues(self._process.clients.queue),
            records=self._failure_records,
            kept=lambda: self.dead_letter_container,
        )

    @cached_property
    def _failure_records(self) -> "FailureRecords":
        from shared.operations.failure_records import FailureRecords

        return FailureRecords(self._fast_path.store)

    @cached_property
    def dead_letter_container(self) -> "ContainerClient":
        return self._process.clients.container(DEAD_LETTERS)

    @cached_property
    def summary_mail(self) -> "SummaryMail":
        from shared.followup.mail.summary_store import SummaryMail
        from shared.persistence.summary_lines import SummaryLines

        table = self._process.clients.tables.get_table_client(DIGEST_TABLE)
        return SummaryMail(
            SummaryLines(table, clock=self._process.clock, new_id=self._process.new_id, set_aside=self._set_aside),
            graph=lambda: self._connections.graph,
            warm_up=import_for_people,
            settings=self._process.settings,
            store=self._fast_path.store,
        )

    @cached_property
    def hourly_incidents(self) -> "HourlyIncidents":
        from shared.followup.incidents.hourly import HourlyIncidents
        from shared.persistence.hourly_groups import HourlyGroups

        table = self._process.clients.tables.get_table_client(DIGEST_TABLE)
        return HourlyIncidents(
            groups=HourlyGroups(
                table, clock=self._process.clock, new_id=self._process.new_id, set_aside=self._set_aside
            ),
            incidents=lambda: self._incidents,
            warm_up=import_for_people,
            store=self._fast_path.store,
        )

    @cached_property
    def daily_rechecks(self) -> "DailyRechecks":
        from shared.operations.daily_rechecks import DailyRechecks

        return DailyRechecks(self._fast_path.store, self._fast_path.rechecks)

    @cached_property
    def refusal_reminders(self) -> "RefusalReminders":
        from shared.operations.refusal_reminders import RefusalReminders
        from shared.persistence.reminders import Reminders

        process, store = self._process, self._fast_path.store
        table = process.clients.tables.get_table_client(DIGEST_TABLE)
        return RefusalReminders(
            store=store,
            reminders=Reminders(table, clock=process.clock, new_id=process.new_id, set_aside=self._set_aside),
            graph=lambda: self._connections.graph,
            warm_up=import_for_people,
            settings=process.settings,
        )

    @cached_property
    def readiness(self) -> "Readiness":
        from shared.operations.readiness import Readiness

        process = self._process
        return Readiness(
            settings=process.settings,
            accounts=self._fast_path.accounts,
            governance=self._connections.governance,
            subscriptions=self._connections.subscriptions,
            table=self.readiness_table,
            transport=process.transport,
            clock=process.clock,
        )

    @cached_property
    def readiness_table(self) -> "ReadinessTable":
        from shared.persistence.readiness import ReadinessTable

        table = self._process.clients.tables.get_table_client(READINESS_TABLE)
        return ReadinessTable(table, set_aside=self._set_aside)

    @property
    def _set_aside(self) -> "SetAside":
        return self._fast_path.unreadable_rows.note

    @cached_property
    def unreadable_rows_check(self) -> "UnreadableRowsCheck":
        from shared.operations.unreadable_rows import UnreadableRowsCheck

        return UnreadableRowsCheck(self._fast_path.unreadable_rows, failures=self._failure_records)

    @cached_property
    def history_rows(self) -> "HistoryRows":
        from shared.persistence.history_rows import HistoryRows

        table = self._process.clients.tables.get_table_client(REVOCATIONS_TABLE)
        return HistoryRows(table, set_aside=self._set_aside)

    @cached_property
    def history_copy(self) -> "HistoryCopy | None":
        """The copy of the histories, None where none is set up."""
        from shared.cloud.history_copy import made

        process = self._process
        return made(process.settings, process.clients, process.transport, clock=process.clock)

    @cached_property
    def history_copier(self) -> "HistoryCopier | None":
        from shared.operations.history_copier import HistoryCopier

        copy, outbox = self.history_copy, self._fast_path.outbox
        if copy is None:
            return None
        return HistoryCopier(self._fast_path.store, rows=self.history_rows, outbox=outbox, copy=copy)

    @cached_property
    def history_checks(self) -> "HistoryChecks":
        from shared.operations.history_check import HistoryChecks

        return HistoryChecks(
            self._fast_path.store,
            rows=self.history_rows,
            outbox=self._fast_path.outbox,
            copy=self.history_copy,
            failures=self._failure_records,
        )

    @cached_property
    def rebuild(self) -> "Rebuild | None":
        """The rebuilding of the ledger, None where there is no copy to rebuild it from."""
        from shared.operations.rebuild import Rebuild

        process, copy = self._process, self.history_copy
        if copy is None:
            return None
        return Rebuild(
            process.clients.tables.get_table_client(REVOCATIONS_TABLE),
            index=self._fast_path.state_index,
            copy=copy,
            retention_days=process.settings.retention_days,
            clock=process.clock,
        )

    @cached_property
    def retention(self) -> "Retention":
        from shared.operations.group_retention import GroupRetention
        from shared.operations.retention import Retention
        from shared.persistence.pruning import Pruning

        fast_path, settings = self._fast_path, self._process.settings
        table = self._process.clients.tables.get_table_client(REVOCATIONS_TABLE)
        return Retention(
            fast_path.store,
            rows=self.history_rows,
            index=fast_path.state_index,
            outbox=fast_path.outbox,
            pruning=Pruning(
                table,
                index=fast_path.state_index,
                secrets=fast_path.secret_index,
                accounts=fast_path.store.accounts,
                outbox=fast_path.outbox,
            ),
            groups=GroupRetention(fast_path.store, incidents=self.hourly_incidents, outbox=fast_path.outbox),
            days=settings.retention_days,
            copies=settings.history_endpoint is not None,
        )

    @cached_property
    def drill(self) -> "Drill":
        from shared.operations.drill import Drill

        return Drill(
            settings=self._process.settings,
            accounts=self._fast_path.accounts,
            keys=self._fast_path.actions.account_key.keys,
            publisher=self._connections.publisher,
            store=self._fast_path.store,
            table=self.readiness_table,
        )

    @cached_property
    def key_distribution(self) -> "KeyDistributor":
        from shared.followup.key_distribution import KeyDistributor

        settings = self._process.settings
        return KeyDistributor(
            self._process.clients.vault,
            self._fast_path.actions.account_key.keys,
            key_vaults=settings.key_vaults,
            key_vault_suffix=settings.cloud.key_vault_suffix,
            clock=self._process.clock,
        )

    @cached_property
    def _incidents(self) -> "Incidents":
        from shared.followup.incidents.registry import made

        process, connections = self._process, self._connections
        return made(
            process.settings,
            process.clients,
            process.transport,
            connections.secrets,
            graph=lambda: connections.graph,
            clock=process.clock,
        )

    @cached_property
    def ownership(self) -> "Ownership":
        from shared.followup.owners.lookup import Ownership

        return Ownership(self._connections.arm_reader, self._connections.graph, settings=self._process.settings)

    @cached_property
    def alert_closer(self) -> "AlertCloser":
        from shared.followup.alert_closing import AlertCloser

        return AlertCloser(self._connections.tools.all)

    @cached_property
    def traces(self) -> "Traces | None":
        """Where traces go, None where it is not set. The first access is slow: it imports."""
        from shared.followup.traces import azure_monitor

        settings = self._process.settings
        if not settings.insights_connection:
            return None
        return azure_monitor(
            settings.insights_connection, client_id=settings.client_id, authority=settings.cloud.authority
        )

    @cached_property
    def who_changed(self) -> "WhoChanged":
        from shared.cloud.activity_log import ActivityLog
        from shared.cloud.policy_log import PolicyLog
        from shared.followup.investigation.changed_by import WhoChanged

        process, governance = self._process, self._connections.governance
        return WhoChanged(
            ActivityLog(self._connections.arm_reader),
            PolicyLog(process.clients.logs, logged=governance.logged, clock=process.clock),
            governance.principal,
            clock=process.clock,
        )

    @cached_property
    def follow_up(self) -> "FollowUp":
        from shared.followup.service import FollowUp
        from shared.followup.verification import VerificationStep

        store = self._fast_path.store
        return FollowUp(
            store=store,
            verification=VerificationStep(self._fast_path.actions, store),
            steps=lambda: self._follow_up_steps,
            warm_up=self._warm_up,
            at_deadline=self._process.settings.at_deadline,
        )

    @cached_property
    def _follow_up_steps(self) -> "Steps":
        from shared.cloud.activity_log import ActivityLog
        from shared.cloud.logs import SignatureLogs, UsageLogs
        from shared.followup import steps
        from shared.followup.events import StateEvents
        from shared.followup.incidents.amendments import Amendments
        from shared.followup.investigation.account_search import AccountSearchStep
        from shared.followup.investigation.evidence import EvidenceStep
        from shared.followup.investigation.other_policies import OtherPolicies
        from shared.followup.investigation.residual_exposure import ResidualExposure
        from shared.followup.investigation.steps import ResidualExposureStep, UsageStep, WhoChangedStep
        from shared.followup.owners.notify import Notifier
        from shared.followup.step import Steps

        process, connections, incidents = self._process, self._connections, self._incidents
        store, other_policies = self._fast_path.store, OtherPolicies(self._fast_path.actions)
        logs = UsageLogs(process.clients.logs, logged=connections.governance.logged, clock=process.clock)
        exposure = ResidualExposure(
            connections.arm_reader,
            ActivityLog(connections.arm_reader),
            other_policies,
            process.transport,
            clock=process.clock,
        )
        amendments = Amendments(incidents, store.clock)
        return Steps(
            concurrent=(
                steps.KeyDistributionStep(self.key_distribution),
                steps.EventStep(StateEvents(process.clients.topic), self.traces),
                UsageStep(logs=logs, amendments=amendments, store=store),
                WhoChangedStep(
                    who=self.who_changed, accounts=self._fast_path.accounts, amendments=amendments, store=store
                ),
                ResidualExposureStep(exposure),
                AccountSearchStep(
                    logs=SignatureLogs(process.clients.logs, clock=process.clock),
                    accounts=self._fast_path.accounts,
                    cloud=process.settings.cloud,
                    store=store,
                ),
            ),
            beside_verification=(
                EvidenceStep(tools=connections.tools.all, store=store),
                steps.OwnersStep(self.ownership),
                steps.IncidentStep(
                    incidents=incidents, hourly=self.hourly_incidents, summary=self.summary_mail, store=store
                ),
            ),
            after_verification=(
                steps.MailStep(
                    notifier=Notifier(connections.graph, process.settings),
                    summary=self.summary_mail,
                    traces=self.traces,
                    store=store,
                ),
                steps.AlertClosingStep(self.alert_closer, store),
                steps.ClosingStep(store),
            ),
        )

    def _warm_up(self) -> None:
        """Import what the follow-up needs: on a thread of its own."""
        import shared.followup.investigation.steps
        import shared.followup.steps  # noqa: F401 -- imported for the time that it takes

        import_for_people()
        _ = self.traces
