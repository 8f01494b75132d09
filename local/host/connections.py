"""Storage connections of bindings, and their clients.

Source: "Azure Functions developer guide", section "Connections". A connection is either an app setting with a
connection string, or `<NAME>__queueServiceUri` and `__blobServiceUri` with `__credential=managedidentity` and an
optional `__clientId`. `<NAME>__accountName` stands for the URIs that are not set, in the public cloud
(Azure/azure-functions-host, StorageServiceUriOptions).
"""

from dataclasses import dataclass, field
from typing import Any

from azure.identity.aio import ManagedIdentityCredential
from azure.storage.blob.aio import BlobServiceClient, ContainerClient
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from local.host.configuration import AppSettings, StartError

DEFAULT_CONNECTION = "AzureWebJobsStorage"

# The retries of the storage SDK begin after 15 s. These are close to those of the .NET client, which the host uses.
_CLIENT_OPTIONS: dict[str, Any] = {
    "retry_total": 3,
    "initial_backoff": 1,
    "increment_base": 2,
    "random_jitter_range": 1,
    "connection_timeout": 10,
    "read_timeout": 30,
    "logging_enable": False,
}
_PARTS = (
    "accountname",
    "queueserviceuri",
    "blobserviceuri",
    "tableserviceuri",
    "serviceuri",
    "credential",
    "clientid",
)


@dataclass(frozen=True, slots=True)
class StorageConnection:
    """A connection: a `connection_string`, or the URI of each service."""

    name: str
    connection_string: str | None = field(default=None, repr=False)
    queue_uri: str | None = None
    blob_uri: str | None = None
    client_id: str | None = None


def storage_connection(settings: AppSettings, name: str) -> StorageConnection | None:
    """Return the connection `name` (empty: AzureWebJobsStorage); None if no app setting defines it.

    Raises StartError for a form of connection that this host does not support.
    """
    name = name or DEFAULT_CONNECTION
    # The WebJobs SDK tries the name with its prefix first: "Storage" finds AzureWebJobsStorage.
    for candidate in (f"AzureWebJobs{name}", name):
        if settings.get(candidate):
            return StorageConnection(name=candidate, connection_string=settings[candidate])
        prefix = f"{candidate}__".lower()
        parts = {key.removeprefix(prefix): value for key, value in settings.items() if key.startswith(prefix)}
        if parts:
            return _identity_based(candidate, parts)
    return None


def _identity_based(name: str, parts: dict[str, str]) -> StorageConnection:
    for part in parts:
        if part not in _PARTS:
            raise StartError(f"app setting {name}__{part} is not supported by this host")
    if parts.get("credential", "").lower() != "managedidentity":
        raise StartError(f"app setting {name}__credential must be managedidentity")
    return StorageConnection(
        name=name,
        queue_uri=parts.get("queueserviceuri") or parts.get("serviceuri") or _named(parts, "queue"),
        blob_uri=parts.get("blobserviceuri") or parts.get("serviceuri") or _named(parts, "blob"),
        client_id=parts.get("clientid"),
    )


def _named(parts: dict[str, str], service: str) -> str | None:
    account = parts.get("accountname")
    return f"https://{account}.{service}.core.windows.net" if account else None


class StorageClients:
    """Creates clients, which share a credential per identity and a connection pool per service."""

    def __init__(self) -> None:
        self._credentials: dict[str | None, ManagedIdentityCredential] = {}
        self._queue_services: dict[str, QueueServiceClient] = {}
        self._blob_services: dict[str, BlobServiceClient] = {}

    def queue(self, connection: StorageConnection, name: str) -> QueueClient:
        """Return a queue client. Raises StartError if the connection has no queue service or is malformed."""
        service = self._queue_services.get(connection.name)
        if service is None:
            service = self._service(QueueServiceClient, connection, connection.queue_uri, setting="queueServiceUri")
            self._queue_services[connection.name] = service
        return service.get_queue_client(name)

    def container(self, connection: StorageConnection, name: str) -> ContainerClient:
        """Return a container client. Raises StartError if the connection has no blob service or is malformed."""
        service = self._blob_services.get(connection.name)
        if service is None:
            service = self._service(BlobServiceClient, connection, connection.blob_uri, setting="blobServiceUri")
            self._blob_services[connection.name] = service
        return service.get_container_client(name)

    def _service[S: (QueueServiceClient, BlobServiceClient)](
        self, kind: type[S], connection: StorageConnection, uri: str | None, *, setting: str
    ) -> S:
        if connection.connection_string:
            try:
                return kind.from_connection_string(connection.connection_string, **_CLIENT_OPTIONS)
            except ValueError:
                raise _malformed(connection) from None
        if uri is None:
            raise StartError(f"app setting {connection.name}__{setting} is missing")
        return kind(uri, credential=self._credential(connection), **_CLIENT_OPTIONS)

    async def close(self) -> None:
        """Close every client and credential."""
        for queue_service in self._queue_services.values():
            await queue_service.close()
        for blob_service in self._blob_services.values():
            await blob_service.close()
        for credential in self._credentials.values():
            await credential.close()

    def _credential(self, connection: StorageConnection) -> ManagedIdentityCredential:
        client_id = connection.client_id
        if client_id not in self._credentials:
            self._credentials[client_id] = ManagedIdentityCredential(client_id=client_id)
        return self._credentials[client_id]


def _malformed(connection: StorageConnection) -> StartError:
    return StartError(f"app setting {connection.name} is not a storage connection string")
