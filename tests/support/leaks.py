"""Leaks made with the SDKs: a function per kind, from (account, key) to the leaked text."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from azure.core.credentials import AzureNamedKeyCredential
from azure.data.tables import TableSasPermissions, generate_table_sas
from azure.storage.blob import (
    AccountSasPermissions,
    BlobSasPermissions,
    ContainerSasPermissions,
    ResourceTypes,
    generate_account_sas,
    generate_blob_sas,
    generate_container_sas,
)
from azure.storage.fileshare import ShareSasPermissions, generate_share_sas
from azure.storage.queue import QueueSasPermissions, generate_queue_sas

type Leak = Callable[[str, str], str]


def later(days: int = 30) -> datetime:
    return (datetime.now(UTC) + timedelta(days=days)).replace(microsecond=0)


def account_sas(account: str, key: str, *, expiry: datetime | None = None) -> str:
    query = generate_account_sas(
        account,
        key,
        resource_types=ResourceTypes(service=True, container=True, object=True),
        permission=AccountSasPermissions(read=True, write=True, list=True),
        expiry=expiry or later(),
    )
    return f"https://{account}.blob.core.windows.net/?{query}"


def blob_sas(account: str, key: str) -> str:
    query = generate_blob_sas(
        account,
        "models",
        "a b/model.ckpt",
        account_key=key,
        permission=BlobSasPermissions(write=True),
        expiry=later(),
    )
    return f"https://{account}.blob.core.windows.net/models/a%20b/model.ckpt?{query}"


def small_sas(account: str, key: str) -> str:
    """A token that only reads one blob for two hours: the default rules require approval."""
    query = generate_blob_sas(
        account,
        "models",
        "model.ckpt",
        account_key=key,
        permission=BlobSasPermissions(read=True),
        expiry=datetime.now(UTC) + timedelta(hours=2),
    )
    return f"https://{account}.blob.core.windows.net/models/model.ckpt?{query}"


def container_sas_on_a_blob_url(account: str, key: str) -> str:
    query = generate_container_sas(
        account, "models", account_key=key, permission=ContainerSasPermissions(delete=True), expiry=later()
    )
    return f"see https://{account}-secondary.blob.core.windows.net/models/model.ckpt?{query}."


def queue_sas(account: str, key: str) -> str:
    query = generate_queue_sas(account, "orders", key, permission=QueueSasPermissions(process=True), expiry=later())
    return f'{{"queue": "https://{account}.queue.core.windows.net/orders?{query}"}}'


def table_sas(account: str, key: str) -> str:
    query = generate_table_sas(
        AzureNamedKeyCredential(account, key),
        "Customers",
        permission=TableSasPermissions(read=True, update=True),
        expiry=later(),
    )
    return f"https://{account}.table.core.windows.net/Customers?{query}"


def share_sas(account: str, key: str) -> str:
    query = generate_share_sas(account, "homes", key, permission=ShareSasPermissions(read=True), expiry=later())
    return f"curl 'https://{account}.file.core.windows.net/homes/readme.txt?{query}'"


def raw_key(account: str, key: str) -> str:
    return f'storage_account = "{account}"\naccount_key = "{key}"\n'


def connection_string(account: str, key: str) -> str:
    return f"DefaultEndpointsProtocol=https;AccountName={account};AccountKey={key};EndpointSuffix=core.windows.net"


LEAKS: tuple[Leak, ...] = (
    account_sas,
    blob_sas,
    container_sas_on_a_blob_url,
    queue_sas,
    table_sas,
    share_sas,
    raw_key,
    connection_string,
)
