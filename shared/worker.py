"""The composition root: the credential, the SDK clients and the rooms that use them, made once.

The heavy parts that only the follow-up needs (Graph, Event Grid) are imported when it first runs, so that a cold
start pays for nothing but the kill.
"""

import logging
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline.transport import AioHttpTransport, AsyncHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.data.tables.aio import TableServiceClient
from azure.mgmt.storage.aio import StorageManagementClient
from azure.storage.queue import TextBase64EncodePolicy
from azure.storage.queue.aio import QueueClient

from shared import redaction
from shared.account_table import AccountTable
from shared.accounts import Accounts
from shared.containment import Containment
from shared.ledger import Ledger
from shared.levers.account_key import AccountKeyLever
from shared.levers.proof import Prover
from shared.queues import CONTAIN_QUEUE, FOLLOW_UP_QUEUE, Queues
from shared.retired_keys import RetiredKeys
from shared.settings import Settings
from shared.takeover import Takeover
from shared.under_lock import UnderLock

if TYPE_CHECKING:
    from shared.followup import FollowUp
    from shared.report.announce import Announcer
    from shared.report.graph import Graph
    from shared.report.incident import Incidents
    from shared.report.people import People

REVOCATIONS_TABLE = "revocations"
ACCOUNTS_TABLE = "accounts"

# Remote calls that may be repeated are, briefly: the 20 s that an event leaves us are for more than one call.
_RETRIES: dict[str, Any] = {"retry_total": 2, "retry_backoff_factor": 0.2, "retry_backoff_max": 2}
# Storage queues have a policy and names of their own, and would wait for 15 s before a second attempt.
_QUEUE_RETRIES: dict[str, Any] = {
    "retry_total": 2,
    "initial_backoff": 0.2,
    "increment_base": 1,
    "random_jitter_range": 0,
}
_TIMEOUTS: dict[str, Any] = {"connection_timeout": 5, "read_timeout": 15}

type Transport = AsyncHttpTransport[HttpRequest, AsyncHttpResponse]


def utc_now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def new_id() -> str:
    """Return a new random id, a GUID."""
    return str(uuid.uuid4())


def network() -> Transport:
    """Return a transport with connections of its own."""
    transport: Transport = AioHttpTransport()
    return transport


def _import_for_people() -> None:
    """Import what the follow-up tells people with. The first call takes seconds, the others nothing."""
    import azure.eventgrid.aio  # noqa: F401, PLC0415 -- these are what must not be imported before a kill

    import shared.report.announce  # noqa: PLC0415
    import shared.report.people  # noqa: F401, PLC0415
    from shared.report.graph import warm_up  # noqa: PLC0415

    warm_up()


class Worker:
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
        self._given_credential = credential
        self._transport = transport
        self._clock = clock
        self._new_id = new_id
        self._arm: dict[str, StorageManagementClient] = {}

    @cached_property
    def credential(self) -> AsyncTokenCredential:
        """The app's managed identity, or on a developer's machine whoever is signed in there."""
        if self._given_credential is not None:
            return self._given_credential
        authority = self.settings.cloud.authority
        if self.settings.client_id is None:
            from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 -- not on the app's road

            return DefaultAzureCredential(authority=authority, **_TIMEOUTS)
        from azure.identity.aio import ManagedIdentityCredential  # noqa: PLC0415 -- not on a developer's road

        return ManagedIdentityCredential(client_id=self.settings.client_id, **_RETRIES, **_TIMEOUTS)

    def arm(self, subscription: str) -> StorageManagementClient:
        """Return the management client for a subscription, made at its first use."""
        if subscription not in self._arm:
            base = self.settings.cloud.resource_manager
            self._arm[subscription] = StorageManagementClient(
                self.credential,
                subscription,
                base_url=base,
                credential_scopes=[f"{base}/.default"],
                transport=self._transport(),
                logging_enable=False,
                **_RETRIES,
                **_TIMEOUTS,
            )
        return self._arm[subscription]

    @cached_property
    def _tables(self) -> TableServiceClient:
        return TableServiceClient(
            self.settings.table_endpoint,
            credential=self.credential,
            transport=self._transport(),
            **_RETRIES,
            **_TIMEOUTS,
        )

    def _queue(self, name: str) -> QueueClient:
        # The Functions host reads base64, and QueueServiceClient does not hand the policy on.
        return QueueClient(
            self.settings.queue_endpoint,
            name,
            credential=self.credential,
            transport=self._transport(),
            message_encode_policy=TextBase64EncodePolicy(),
            **_QUEUE_RETRIES,
            **_TIMEOUTS,
        )

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(self._tables.get_table_client(REVOCATIONS_TABLE), clock=self._clock, new_id=self._new_id)

    @cached_property
    def account_table(self) -> AccountTable:
        return AccountTable(self._tables.get_table_client(ACCOUNTS_TABLE), clock=self._clock, new_id=self._new_id)

    @cached_property
    def queues(self) -> Queues:
        return Queues(contain=self._queue(CONTAIN_QUEUE), follow_up=self._queue(FOLLOW_UP_QUEUE))

    @cached_property
    def _prover(self) -> Prover:
        return Prover(self._transport, clock=self._clock, new_id=self._new_id)

    @cached_property
    def _lever(self) -> AccountKeyLever:
        return AccountKeyLever(self.arm, self._prover, clock=self._clock, new_id=self._new_id)

    @cached_property
    def accounts(self) -> Accounts:
        return Accounts(
            self.arm,
            subscriptions=self.settings.subscriptions,
            tag_names=self.settings.owner_tags,
            clock=self._clock,
        )

    @cached_property
    def containment(self) -> Containment:
        under_lock = UnderLock(
            settings=self.settings,
            ledger=self.ledger,
            table=self.account_table,
            accounts=self.accounts,
            lever=self._lever,
            prover=self._prover,
            retired=RetiredKeys(clock=self._clock),
            clock=self._clock,
        )
        return Containment(
            settings=self.settings,
            ledger=self.ledger,
            table=self.account_table,
            accounts=self.accounts,
            under_lock=under_lock,
            takeover=Takeover(ledger=self.ledger, accounts=self.accounts, lever=self._lever, clock=self._clock),
            queues=self.queues,
            clock=self._clock,
        )

    @cached_property
    def _graph(self) -> "Graph":
        from shared.report.graph import Graph  # noqa: PLC0415 -- heavy, and only the follow-up needs it

        return Graph(self.credential, base_url=self.settings.cloud.graph)

    @cached_property
    def _incidents(self) -> "Incidents":
        from shared.report.incident import SharePointIncidents  # noqa: PLC0415 -- only the follow-up needs it

        return SharePointIncidents(self._graph, site=self.settings.incident_site, list_=self.settings.incident_list)

    @cached_property
    def _people(self) -> "People":
        from shared.report.people import People  # noqa: PLC0415 -- only the follow-up needs it

        return People(self._graph, settings=self.settings)

    @cached_property
    def _announcer(self) -> "Announcer":
        from azure.eventgrid.aio import EventGridPublisherClient  # noqa: PLC0415 -- only the follow-up needs these

        from shared.report.announce import Announcer  # noqa: PLC0415

        publisher = EventGridPublisherClient(
            self.settings.topic_endpoint, self.credential, transport=self._transport(), **_RETRIES, **_TIMEOUTS
        )
        return Announcer(publisher)

    @cached_property
    def follow_up(self) -> "FollowUp":
        from shared.followup import FollowUp  # noqa: PLC0415 -- not on the way to a kill

        return FollowUp(
            ledger=self.ledger,
            queues=self.queues,
            lever=self._lever,
            announcer=lambda: self._announcer,
            incidents=lambda: self._incidents,
            people=lambda: self._people,
            warm_up=_import_for_people,
            clock=self._clock,
        )
