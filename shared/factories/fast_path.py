"""What the first revocation needs, and nothing else: a cold start pays for these imports alone."""

from functools import cached_property
from typing import TYPE_CHECKING

from shared.actions.registry import ACTION_SPECS, Actions
from shared.cloud.accounts import Accounts
from shared.cloud.bearer_challenge import BearerChallenge
from shared.containment.account_reader import AccountReader
from shared.containment.account_session import AccountSessions
from shared.containment.admission import Admission, Quotas
from shared.containment.dedup_cache import DedupCache
from shared.containment.execution import PlanExecutor
from shared.containment.ingest import Ingest
from shared.containment.liveness import LivenessCheck
from shared.containment.lookup import AccountLookup
from shared.containment.one_record import OneRecord
from shared.containment.placement import Placement
from shared.containment.rechecks import Rechecks
from shared.containment.recovery import Recovery
from shared.containment.repeated_reports import RepeatedReports
from shared.containment.sas_in_use import SasInUse
from shared.containment.service import Containment
from shared.domain.decision.batch import Decider
from shared.domain.decision.policy import DecisionPolicy
from shared.domain.retired_keys import RetiredKeys
from shared.factories.connections import Connections, Process
from shared.operations.warmup import WarmUp
from shared.persistence.accounts import AccountTable
from shared.persistence.key_index import KeyIndex
from shared.persistence.outbox import Outbox
from shared.persistence.queues import CONTAIN_QUEUE, FOLLOW_UP_QUEUE, Queues
from shared.persistence.revocations import Ledger
from shared.persistence.secret_index import SecretIndex
from shared.persistence.state_index import StateIndex
from shared.persistence.store import Store
from shared.persistence.unreadable_rows import UnreadableRows

if TYPE_CHECKING:
    from shared.cloud.sas_log import SasLog

REVOCATIONS_TABLE = "revocations"
ACCOUNTS_TABLE = "accounts"
STATES_TABLE = "states"
OUTBOX_TABLE = "outbox"


class FastPath:
    """From a finding to the action that ends its credential."""

    def __init__(self, process: Process, connections: Connections) -> None:
        self._process = process
        self._connections = connections

    @cached_property
    def store(self) -> Store:
        clock, new_id, clients = self._process.clock, self._process.new_id, self._process.clients
        table = clients.tables.get_table_client
        return Store(
            revocations=Ledger(
                table(REVOCATIONS_TABLE),
                self.state_index,
                clock=clock,
                new_id=new_id,
                outbox=self.outbox if self._process.settings.history_endpoint is not None else None,
                set_aside=self.unreadable_rows.note,
            ),
            accounts=AccountTable(
                table(ACCOUNTS_TABLE), clock=clock, new_id=new_id, set_aside=self.unreadable_rows.note
            ),
            queues=Queues(contain=clients.queue(CONTAIN_QUEUE), follow_up=clients.queue(FOLLOW_UP_QUEUE)),
            clock=clock,
            new_id=new_id,
        )

    @cached_property
    def outbox(self) -> Outbox:
        table = self._process.clients.tables.get_table_client(OUTBOX_TABLE)
        return Outbox(table, clock=self._process.clock, set_aside=self.unreadable_rows.note)

    @cached_property
    def state_index(self) -> StateIndex:
        table = self._process.clients.tables.get_table_client(STATES_TABLE)
        return StateIndex(table, clock=self._process.clock, set_aside=self.unreadable_rows.note)

    @cached_property
    def secret_index(self) -> SecretIndex:
        return SecretIndex(self._process.clients.tables.get_table_client(STATES_TABLE))

    @cached_property
    def key_index(self) -> KeyIndex:
        return KeyIndex(self._process.clients.tables.get_table_client(STATES_TABLE))

    @cached_property
    def unreadable_rows(self) -> UnreadableRows:
        return UnreadableRows(self._process.clients.tables.get_table_client, clock=self._process.clock)

    @cached_property
    def actions(self) -> Actions:
        process = self._process
        return Actions.made(
            process.clients.arm,
            process.transport,
            credential=process.clients.credential,
            principal_exists=self._connections.principal_exists,
            tenant_id=process.settings.tenant_id,
            retired=self._retired_keys,
            sas_block_patience=process.settings.sas_block_time,
            clock=process.clock,
            new_id=process.new_id,
        )

    @cached_property
    def accounts(self) -> Accounts:
        settings = self._process.settings
        return Accounts(
            self._process.clients.arm,
            subscriptions=self._connections.subscriptions,
            tag_names=settings.owner_tags,
            clock=self._process.clock,
        )

    @cached_property
    def _retired_keys(self) -> RetiredKeys:
        return RetiredKeys(clock=self._process.clock)

    @cached_property
    def sessions(self) -> AccountSessions:
        store, accounts, actions = self.store, self.accounts, self.actions
        recovery = Recovery(store=store, accounts=accounts, actions=actions)
        in_use = SasInUse(
            lambda: self._sas_log, lambda: self._connections.governance.logged, policy=self._decision_policy
        )
        reader = AccountReader(store=store, accounts=accounts, actions=actions, sas_in_use=in_use)
        return AccountSessions(store=store, recovery=recovery, reader=reader, throttle=self._process.clients.pace)

    @cached_property
    def _decision_policy(self) -> DecisionPolicy:
        return self._process.settings.decision_policy(ACTION_SPECS)

    @cached_property
    def _sas_log(self) -> "SasLog":
        from shared.cloud.sas_log import SasLog

        return SasLog(self._process.clients.logs, clock=self._process.clock)

    @cached_property
    def _dedup(self) -> DedupCache:
        return DedupCache(clock=self._process.clock)

    @cached_property
    def ingest(self) -> Ingest:
        settings = self._process.settings
        quotas = Quotas(
            source=settings.source_quota,
            findings=settings.finding_quota,
            unattributed=settings.unattributed_quota,
        )
        return Ingest(
            raw_allowed=settings.raw_events,
            store=self.store,
            containment=self.containment,
            lookup=self._lookup,
            admission=Admission(quotas, clock=self._process.clock),
            dedup=self._dedup,
        )

    @cached_property
    def _lookup(self) -> AccountLookup:
        settings = self._process.settings
        challenge = BearerChallenge(
            self._process.transport, cloud=settings.cloud, tenant_id=settings.tenant_id, clock=self._process.clock
        )
        return AccountLookup(settings=settings, store=self.store, accounts=self.accounts, challenge=challenge)

    @cached_property
    def rechecks(self) -> Rechecks:
        return Rechecks(self.store, self.actions, self._lookup)

    @cached_property
    def containment(self) -> Containment:
        settings, store, accounts, actions = self._process.settings, self.store, self.accounts, self.actions
        repeats = RepeatedReports(store, self._dedup, self.rechecks)
        return Containment(
            store=store,
            lookup=self._lookup,
            placement=Placement(
                store,
                accounts,
                actions.account_key.keys,
                index=self.key_index if settings.key_index else None,
                host=settings.cloud.blob_host,
            ),
            liveness=LivenessCheck(store=store, accounts=accounts, delegation_key=actions.delegation_key),
            sessions=self.sessions,
            decider=Decider(policy=self._decision_policy, retired=self._retired_keys),
            executor=PlanExecutor(store=store, actions=actions),
            repeats=repeats,
            one_record=OneRecord(store, self.secret_index, repeats),
        )

    @cached_property
    def warm_up(self) -> WarmUp:
        return WarmUp(ledger=self.store.revocations, accounts=self.accounts)
