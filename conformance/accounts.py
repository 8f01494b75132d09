"""Settings and events of storage accounts: key creation times, SAS expiration policies, challenges, activity."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.core.rest import HttpRequest
from azure.mgmt.storage.models import StorageAccountRegenerateKeyParameters

from conformance.place import RESOURCE_MANAGER, Place, TemporaryAccount
from conformance.revoked import accepted
from shared.cloud.data_plane import send

_API_VERSION = "2025-01-01"
_STORAGE_VERSION = "2025-07-05"  # from 2019-12-12 on, an anonymous request gets a challenge
_REGENERATE = "Microsoft.Storage/storageAccounts/regenerateKey/action"
_CONTAINER_WRITE = "Microsoft.Storage/storageAccounts/blobServices/containers/write"


async def key_creation_time(place: Place, *, patience: float = 120.0, pause: float = 1.0) -> str:
    """Regenerate a key, and compare the creation times in listKeys and in the account until both are new."""
    account = await place.account()
    before = await _creation_time(place, account)
    await place.arm.storage_accounts.regenerate_key(
        account.group, account.name, StorageAccountRegenerateKeyParameters(key_name="key1")
    )
    start = time.monotonic()
    while await _creation_time(place, account) == before:
        if time.monotonic() - start > patience:
            raise ValueError(f"the account's keyCreationTime is still the old one after {patience:.0f} s")
        await asyncio.sleep(pause)
    return f"the account showed the new time {time.monotonic() - start:.1f} s after the response"


async def _creation_time(place: Place, account: TemporaryAccount) -> str:
    found: Any = await place.call("GET", f"{RESOURCE_MANAGER}{account.id}?api-version={_API_VERSION}")
    return str(found["properties"]["keyCreationTime"]["key1"])


async def sas_expiration_policy(place: Place, *, patience: float = 900.0, pause: float = 5.0) -> str:
    """Set a SAS expiration policy that blocks, and use a SAS without a start until it is refused; show the code."""
    account = await place.account()
    policy = {"sasExpirationPeriod": "00.01:00:00", "expirationAction": "Block"}
    url = f"{RESOURCE_MANAGER}{account.id}?api-version={_API_VERSION}"
    await place.call("PATCH", url, body={"properties": {"sasPolicy": policy}})
    start = time.monotonic()
    while accepted(answer := await place.ask(account.url(account.token()))):
        if time.monotonic() - start > patience:
            raise ValueError(f"it is still accepted {patience:.0f} s after the policy was set")
        await asyncio.sleep(pause)
    detail = answer.body.partition(b"<AuthenticationErrorDetail>")[2].partition(b"<")[0].decode(errors="replace")
    return f"refused after {time.monotonic() - start:.0f} s as {answer.status} {answer.code}: {detail or 'no detail'}"


async def challenge_of_a_closed_account(place: Place) -> str:
    """Disable public network access, and send an anonymous request of a version that gets a challenge."""
    account = await place.account()
    url = f"{RESOURCE_MANAGER}{account.id}?api-version={_API_VERSION}"
    await place.call("PATCH", url, body={"properties": {"publicNetworkAccess": "Disabled"}})
    transport = place.transport()
    try:
        request = HttpRequest("GET", account.url(), headers={"x-ms-version": _STORAGE_VERSION})
        answer = await send(transport, request)
    finally:
        await transport.close()
    shown = "with" if answer.headers.get("www-authenticate") else "without"
    return f"{answer.status} {answer.code}, {shown} a challenge"


async def container_activity(place: Place, *, patience: float = 1200.0, pause: float = 30.0) -> str:
    """Create a container over ARM, and query the activity log by the id of its account until the event is there."""
    account = await place.account()
    since = datetime.now(UTC)
    container = f"{RESOURCE_MANAGER}{account.id}/blobServices/default/containers/activity?api-version={_API_VERSION}"
    await place.call("PUT", container, body={})
    start = time.monotonic()
    while time.monotonic() - start < patience:
        names = {_operation(event) for event in await _activity(place, account, since)}
        if _CONTAINER_WRITE.lower() in names:
            return f"the event of a container was there after {time.monotonic() - start:.0f} s"
        await asyncio.sleep(pause)
    raise ValueError(f"no event of a container was found within {patience:.0f} s")


async def rotation_activity(place: Place, *, patience: float = 1200.0, pause: float = 30.0) -> str:
    """Regenerate a key, and find its success, its request and its time in the activity log of the account."""
    account = await place.account()
    since = datetime.now(UTC)
    await place.arm.storage_accounts.regenerate_key(
        account.group, account.name, StorageAccountRegenerateKeyParameters(key_name="key1")
    )
    created = datetime.fromisoformat(await _creation_time(place, account))
    start = time.monotonic()
    while time.monotonic() - start < patience:
        events = [each for each in await _activity(place, account, since) if _operation(each) == _REGENERATE.lower()]
        done = [each for each in events if each["status"]["value"] == "Succeeded"]
        if done:
            late = time.monotonic() - start
            return _rotation(events, done[0], created) + f"; it was there after {late:.0f} s"
        await asyncio.sleep(pause)
    raise ValueError(f"no success of a rotation was found within {patience:.0f} s")


def _rotation(events: list[Any], success: Any, created: datetime) -> str:
    """Return what the log says of a rotation. Raises ValueError where the product could not tell it by that."""
    apart = abs(datetime.fromisoformat(success["eventTimestamp"]) - created)
    if apart > timedelta(minutes=2):
        raise ValueError(f"the event is {apart} from the key's creation time")
    bodies = {
        each["status"]["value"]: str((each.get("properties") or {}).get("requestbody") or "")
        for each in events
        if each["operationId"] == success["operationId"]
    }
    naming = sorted(status for status, body in bodies.items() if "key1" in body)
    if not naming:
        raise ValueError("no event of the operation has the request, which names the key")
    return f"{', '.join(naming)} have the request, {apart} from the key's creation time"


async def _activity(place: Place, account: TemporaryAccount, since: datetime) -> list[Any]:
    """Return the events of the account's id since then."""
    where = f"eventTimestamp ge '{since:%Y-%m-%dT%H:%M:%SZ}' and resourceUri eq '{account.id}'"
    url = (
        f"{RESOURCE_MANAGER}/subscriptions/{place.subscription}/providers/Microsoft.Insights/eventtypes/management"
        f"/values?api-version=2015-04-01&$filter={where.replace(' ', '%20')}"
    )
    found: Any = await place.call("GET", url)
    return list(found["value"])


def _operation(event: Any) -> str:
    return str(event["operationName"]["value"]).lower()
