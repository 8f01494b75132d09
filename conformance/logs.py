"""Storage logs: the hashes by which the product finds the use of a SAS, and writes of access policies."""

import asyncio
import hashlib
import secrets
import time
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

from conformance.place import CONTAINER, RESOURCE_MANAGER, Place
from shared.cloud import log_queries
from shared.domain.target import PolicyTarget
from shared.sas import Service

_LOGS = "https://api.loganalytics.io"
_WAIT = 1800.0  # seconds: logs arrive within minutes, the first of an account within half an hour
_PAUSE = 30.0


async def token_hash(place: Place) -> str:
    """Use a SAS, and check its AuthenticationHash in StorageBlobLogs for both hashes."""
    account = await place.account()
    workspace = await _workspace(place)
    await _log_to(place, account.id, workspace["id"], "StorageRead")
    query = account.token()
    signature = parse_qs(query)["sig"][0]
    expected = (
        hashlib.sha256(b64decode(account.keys["key1"])).hexdigest(),
        hashlib.sha256(signature.encode()).hexdigest(),
    )
    kql = (
        f"StorageBlobLogs | where AccountName == '{account.name}' and AuthenticationHash has 'SasSignature' | take 1"
    )
    row = await _first(place, workspace, kql, lambda: place.ask(account.url(query)))
    return _check(str(row["AuthenticationHash"]), expected)


async def policy_write(place: Place) -> str:
    """Set the access policies of a container, and find that by the product's own query."""
    account = await place.account()
    workspace = await _workspace(place)
    await _log_to(place, account.id, workspace["id"], "StorageWrite")
    kql = log_queries.policy_writes(PolicyTarget(Service.BLOB, CONTAINER, "any"))
    row = await _first(place, workspace, kql, lambda: place.set_policies(account, {}))
    if not str(row["AuthenticationHash"]).startswith("key1("):
        raise ValueError(f"AuthenticationHash does not start with the key: {row['AuthenticationHash']}")
    return f"found, from {row['CallerIpAddress']}, request {row['ClientRequestId'] or 'without an id'}"


async def _first(
    place: Place, workspace: Any, kql: str, again: Callable[[], Awaitable[object]]
) -> Mapping[str, object]:
    """Make requests until the query finds a line; return it by columns. Raises ValueError where none arrives."""
    customer = workspace["properties"]["customerId"]
    start = time.monotonic()
    while time.monotonic() - start < _WAIT:
        await again()
        url = f"{_LOGS}/v1/workspaces/{customer}/query"
        rows = (await place.call("POST", url, scope=_LOGS, body={"query": kql}))["tables"][0]
        if rows["rows"]:
            names = [column["name"] for column in rows["columns"]]
            return dict(zip(names, rows["rows"][0], strict=True))
        await asyncio.sleep(_PAUSE)
    raise ValueError("No log line arrived within half an hour.")


def _check(found: str, expected: tuple[str, str]) -> str:
    """Return that the text has both hashes. Raises ValueError that names the missing one."""
    lower = found.lower()
    named = zip(("the key's", "the signature's"), expected, strict=True)
    missing = [name for name, value in named if value not in lower]
    if missing:
        raise ValueError(f"{' and '.join(missing)} hash is missing: {found}")
    return f"both are present: {found.partition('(')[0]}(…),SasSignature(…)"


async def _workspace(place: Place) -> Any:
    name = f"log-conformance-{secrets.token_hex(3)}"
    url = (
        f"{RESOURCE_MANAGER}/subscriptions/{place.subscription}/resourceGroups/{place.group}"
        f"/providers/Microsoft.OperationalInsights/workspaces/{name}?api-version=2023-09-01"
    )
    body = {"location": place.location, "properties": {"sku": {"name": "PerGB2018"}}}
    made = await place.call("PUT", url, body=body)
    while made["properties"].get("provisioningState") != "Succeeded":
        await asyncio.sleep(5)
        made = await place.call("GET", url)
    return made


async def _log_to(place: Place, account_id: str, workspace_id: str, category: str) -> None:
    url = (
        f"{RESOURCE_MANAGER}{account_id}/blobServices/default/providers/Microsoft.Insights"
        "/diagnosticSettings/conformance?api-version=2021-05-01-preview"
    )
    logs = [{"category": category, "enabled": True}]
    await place.call("PUT", url, body={"properties": {"workspaceId": workspace_id, "logs": logs}})
