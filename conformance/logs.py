"""Storage logs of a SAS: the hashes by which the product finds its use."""

import asyncio
import hashlib
import secrets
import time
from base64 import b64decode
from typing import Any
from urllib.parse import parse_qs

from conformance.place import RESOURCE_MANAGER, Place

_LOGS = "https://api.loganalytics.io"
_WAIT = 1800.0  # seconds: logs arrive within minutes, the first of an account within half an hour
_PAUSE = 30.0


async def token_hash(place: Place) -> str:
    """Use a SAS, and check its AuthenticationHash in StorageBlobLogs for both hashes."""
    account = await place.account()
    workspace = await _workspace(place)
    await _log_to(place, account.id, workspace["id"])
    query = account.token()
    signature = parse_qs(query)["sig"][0]
    expected = (
        hashlib.sha256(b64decode(account.keys["key1"])).hexdigest(),
        hashlib.sha256(signature.encode()).hexdigest(),
    )
    customer = workspace["properties"]["customerId"]
    kql = (
        f"StorageBlobLogs | where AccountName == '{account.name}' and AuthenticationHash has 'SasSignature' | take 1"
    )
    start = time.monotonic()
    while time.monotonic() - start < _WAIT:
        await place.ask(account.url(query))
        url = f"{_LOGS}/v1/workspaces/{customer}/query"
        rows = (await place.call("POST", url, scope=_LOGS, body={"query": kql}))["tables"][0]
        if rows["rows"]:
            names = [column["name"] for column in rows["columns"]]
            return _check(str(dict(zip(names, rows["rows"][0], strict=True))["AuthenticationHash"]), expected)
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


async def _log_to(place: Place, account_id: str, workspace_id: str) -> None:
    url = (
        f"{RESOURCE_MANAGER}{account_id}/blobServices/default/providers/Microsoft.Insights"
        "/diagnosticSettings/conformance?api-version=2021-05-01-preview"
    )
    logs = [{"category": "StorageRead", "enabled": True}]
    await place.call("PUT", url, body={"properties": {"workspaceId": workspace_id, "logs": logs}})
