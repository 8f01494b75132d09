"""The app's credential and its SDK clients, each made once, when it is first needed."""

from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline.transport import AioHttpTransport, AsyncHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.data.tables.aio import TableServiceClient
from azure.mgmt.storage.aio import StorageManagementClient
from azure.storage.queue.aio import QueueClient

from shared.cloud.arm_throttle import ArmPace, ArmPacePolicy
from shared.intake_settings import IntakeSettings
from shared.settings import Settings

if TYPE_CHECKING:
    from azure.eventgrid.aio import EventGridPublisherClient
    from azure.keyvault.secrets.aio import SecretClient
    from azure.monitor.query.aio import LogsQueryClient
    from azure.storage.blob.aio import ContainerClient

# Idempotent calls are retried, briefly: an event leaves us 20 s for more than one call.
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


def network() -> Transport:
    """Return a transport with connections of its own."""
    transport: Transport = AioHttpTransport()
    return transport


class IntakeClients:
    """The clients of an intake. Creates each once, at its first use. `new_transport` makes connections for each."""

    def __init__(
        self,
        settings: Settings | IntakeSettings,
        *,
        credential: AsyncTokenCredential | None,
        new_transport: Callable[[], Transport],
    ) -> None:
        """`credential` is used instead of the one that the settings ask for."""
        self._endpoints = settings
        self._given_credential = credential
        self._transport = new_transport
        self._vaults: dict[str, SecretClient] = {}

    @cached_property
    def credential(self) -> AsyncTokenCredential:
        """The app's managed identity, or on a developer's machine the signed-in user."""
        if self._given_credential is not None:
            return self._given_credential
        authority = self._endpoints.cloud.authority
        if self._endpoints.client_id is None:
            from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 -- not used in Azure

            return DefaultAzureCredential(authority=authority, **_TIMEOUTS)
        from azure.identity.aio import ManagedIdentityCredential  # noqa: PLC0415 -- not used by developers

        return ManagedIdentityCredential(client_id=self._endpoints.client_id, **_RETRIES, **_TIMEOUTS)

    def queue(self, name: str) -> QueueClient:
        return QueueClient(
            self._endpoints.queue_endpoint,
            name,
            credential=self.credential,
            transport=self._transport(),
            **_QUEUE_RETRIES,
            **_TIMEOUTS,
        )

    def vault(self, url: str) -> "SecretClient":
        """Return the client for the secrets of a key vault, made at its first use."""
        from azure.keyvault.secrets.aio import SecretClient  # noqa: PLC0415 -- only the follow-up needs it

        if url not in self._vaults:
            self._vaults[url] = SecretClient(
                url, self.credential, transport=self._transport(), logging_enable=False, **_RETRIES, **_TIMEOUTS
            )
        return self._vaults[url]

    @cached_property
    def topic(self) -> "EventGridPublisherClient":
        """The client that publishes on our own Event Grid topic."""
        from azure.eventgrid.aio import EventGridPublisherClient  # noqa: PLC0415 -- only the follow-up needs it

        return EventGridPublisherClient(
            self._endpoints.topic_endpoint, self.credential, transport=self._transport(), **_RETRIES, **_TIMEOUTS
        )


class Clients(IntakeClients):
    """All clients: also those of the records and of the monitored accounts."""

    def __init__(
        self,
        settings: Settings,
        *,
        credential: AsyncTokenCredential | None,
        new_transport: Callable[[], Transport],
        clock: Callable[[], datetime],
    ) -> None:
        super().__init__(settings, credential=credential, new_transport=new_transport)
        self._settings = settings
        self.pace = ArmPace(clock=clock)
        self._arm: dict[str, StorageManagementClient] = {}

    def arm(self, subscription: str) -> StorageManagementClient:
        """Return the management client for a subscription, made at its first use."""
        if subscription not in self._arm:
            base = self._settings.cloud.resource_manager
            self._arm[subscription] = StorageManagementClient(
                self.credential,
                subscription,
                base_url=base,
                credential_scopes=[f"{base}/.default"],
                transport=self._transport(),
                per_retry_policies=[ArmPacePolicy(self.pace)],
                logging_enable=False,
                **_RETRIES,
                **_TIMEOUTS,
            )
        return self._arm[subscription]

    @cached_property
    def tables(self) -> TableServiceClient:
        return TableServiceClient(
            self._settings.table_endpoint,
            credential=self.credential,
            transport=self._transport(),
            **_RETRIES,
            **_TIMEOUTS,
        )

    def container(self, name: str) -> "ContainerClient":
        """Return a client for a container of Sasquash's own storage account."""
        from azure.storage.blob.aio import ContainerClient  # noqa: PLC0415 -- not on the way to a revocation

        return ContainerClient(
            self._settings.blob_endpoint,
            name,
            credential=self.credential,
            transport=self._transport(),
            **_QUEUE_RETRIES,
            **_TIMEOUTS,
        )

    @cached_property
    def logs(self) -> "LogsQueryClient":
        """The client that queries Azure Monitor's logs."""
        from azure.monitor.query.aio import LogsQueryClient  # noqa: PLC0415 -- only the follow-up needs it

        return LogsQueryClient(
            self.credential,
            endpoint=self._settings.cloud.logs,
            transport=self._transport(),
            logging_enable=False,
            **_RETRIES,
            **_TIMEOUTS,
        )
