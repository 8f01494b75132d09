"""User delegation SAS of the developer, and whether Azure accepts them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from azure.storage.blob import generate_blob_sas, generate_container_sas
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.fileshare import generate_file_sas
from azure.storage.fileshare.aio import ShareServiceClient
from azure.storage.queue import generate_queue_sas
from azure.storage.queue.aio import QueueServiceClient

from local.cloud.cloud import LocalCloud
from local.tenant.model import Account
from tests.support.cloud_clients import browser
from tests.support.deployment import Developer
from tests.support.driver import Driver, Lifetime

KINDS = ("blob", "container", "directory", "queue", "file")
PATHS = {
    "blob": "models/m.ckpt",
    "container": "models",
    "directory": "models/in",
    "queue": "jobs",
    "file": "homes/a.txt",
}


async def url(driver: Driver, account: Account, kind: str = "container", **fields: Any) -> str:
    """Return a URL with a new SAS of a new key; `fields` are set in the SAS."""
    key = await _key(driver, account, kind)
    options = {"permission": "r", "expiry": datetime.now(UTC) + timedelta(days=2), **fields}
    match kind:
        case "blob":
            query = generate_blob_sas(account.name, "models", "m.ckpt", user_delegation_key=key, **options)
        case "directory":
            options |= {"is_directory": True, "sdd": 1}
            query = generate_blob_sas(account.name, "models", "in", user_delegation_key=key, **options)
        case "container":
            query = generate_container_sas(account.name, "models", user_delegation_key=key, **options)
        case "queue":
            query = generate_queue_sas(account.name, "jobs", user_delegation_key=key, **options)
        case _:
            query = generate_file_sas(account.name, "homes", ["a.txt"], user_delegation_key=key, **options)
    return f"{_endpoint(account, kind)}/{PATHS[kind]}?{query}"


async def _key(driver: Driver, account: Account, kind: str) -> Any:
    start = datetime.now(UTC) - timedelta(seconds=5)
    options: dict[str, Any] = {"credential": Developer(driver.cloud), "transport": driver.transport(Lifetime())}
    until = start + timedelta(days=2)
    endpoint = _endpoint(account, kind)
    match kind:
        case "queue":
            async with QueueServiceClient(endpoint, **options) as queues:
                return await queues.get_user_delegation_key(start=start, expiry=until)
        case "file":
            async with ShareServiceClient(endpoint, token_intent="backup", **options) as shares:
                return await shares.get_user_delegation_key(start=start, expiry=until)
        case _:
            async with BlobServiceClient(endpoint, **options) as blobs:
                return await blobs.get_user_delegation_key(start, until)


def _endpoint(account: Account, kind: str) -> str:
    service = kind if kind in ("queue", "file") else "blob"
    return f"https://{account.name}.{service}.core.windows.net"


async def accepted(cloud: LocalCloud, leaked: str) -> bool:
    """Return whether Azure accepts the signature of the token in the URL; of a container, on one of its blobs."""
    path, _, query = leaked.partition("?")
    is_queue = ".queue." in path
    if path.endswith("/models"):  # without more, the URL of a blob in the root container
        path = f"{path}/none"
    async with browser(cloud) as client:
        answer = await client.head(f"{path}?{'comp=metadata&' if is_queue else ''}{query}")
    return answer.headers.get("x-ms-error-code") != "AuthenticationFailed"
