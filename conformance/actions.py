"""Each lever, pulled as Azure's own clients pull it, on what it kills; and what a policy may bring back."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from azure.mgmt.storage.models import (
    StorageAccountPropertiesUpdateParameters,
    StorageAccountRegenerateKeyParameters,
    StorageAccountUpdateParameters,
)
from azure.storage.blob import (
    AccessPolicy,
    BlobSasPermissions,
    ContainerSasPermissions,
    generate_blob_sas,
    generate_container_sas,
)
from azure.storage.blob.aio import BlobServiceClient

from conformance.place import BLOB, CONTAINER, Place, Throwaway
from conformance.revoked import accepted, until_accepted, until_dead

POLICY = "partners"


async def account_key(place: Place, **patience: float) -> str:
    """Regenerate the key behind a SAS."""
    account = await place.account()
    return await _dies(
        place,
        account.url(account.token("key2")),
        lambda: place.arm.storage_accounts.regenerate_key(
            account.group, account.name, StorageAccountRegenerateKeyParameters(key_name="key2")
        ),
        **patience,
    )


async def stored_policy(place: Place, **patience: float) -> str:
    """End the policy of a SAS: the same id, over since 2000."""
    account = await place.account()
    url = await _under_a_policy(place, account)
    over = AccessPolicy(permission=ContainerSasPermissions(read=True), expiry=datetime(2000, 1, 1, tzinfo=UTC))
    return await _dies(place, url, lambda: _with_policy(place, account, over), **patience)


async def delegation_keys(place: Place, **patience: float) -> str:
    """Revoke the user delegation keys of an account."""
    account = await place.account()
    async with BlobServiceClient(
        account.endpoint, credential=place.credential, transport=place.transport()
    ) as service:
        start = datetime.now(UTC) - timedelta(minutes=1)
        key = await service.get_user_delegation_key(start, start + timedelta(days=1))
    query = generate_blob_sas(
        account.name,
        CONTAINER,
        BLOB,
        user_delegation_key=key,
        permission=BlobSasPermissions(read=True),
        expiry=datetime.now(UTC) + timedelta(hours=12),
    )
    return await _dies(
        place,
        account.url(query),
        lambda: place.arm.storage_accounts.revoke_user_delegation_keys(account.group, account.name),
        **patience,
    )


async def shared_key_off(place: Place, **patience: float) -> str:
    """Switch shared keys off."""
    account = await place.account()
    off = StorageAccountPropertiesUpdateParameters(allow_shared_key_access=False)
    return await _dies(place, account.url(account.token()), lambda: _update(place, account, off), **patience)


async def network_closed(place: Place, **patience: float) -> str:
    """Close the public network; then ask without any credential, as the daily look at reachability does."""
    account = await place.account()
    closed = StorageAccountPropertiesUpdateParameters(public_network_access="Disabled")
    died = await _dies(place, account.url(account.token()), lambda: _update(place, account, closed), **patience)
    anonymous = await place.ask(f"{account.endpoint}/?restype=service&comp=properties")
    if anonymous.code != "AuthorizationFailure":
        raise ValueError(f"Who shows no credential is told {anonymous.status} {anonymous.code}; {died}")
    return f"{died}; who shows no credential is told AuthorizationFailure"


async def policy_made_anew(place: Place, **patience: float) -> str:
    """Remove a policy, and make another of its id."""
    account = await place.account()
    url = await _under_a_policy(place, account)
    died = await _dies(place, url, lambda: _with_policy(place, account, None), **patience)
    await _under_a_policy(place, account)
    return f"{died}; {await _comes_back(place, url, **patience)}"


async def policy_without_an_end(place: Place) -> str:
    """Ask with a token that has no expiry, under a policy that has none."""
    account = await place.account()
    await _with_policy(place, account, AccessPolicy(permission=ContainerSasPermissions(read=True)))
    query = generate_container_sas(account.name, CONTAINER, account_key=account.keys["key1"], policy_id=POLICY)
    answer = await place.ask(account.url(query))
    return f"it is {'accepted' if accepted(answer) else 'refused'} ({answer.status} {answer.code})"


async def _dies(place: Place, url: str, execution: Callable[[], Awaitable[object]], **patience: float) -> str:
    return str(await until_dead(lambda: place.ask(url), execution, now=time.monotonic, **patience))


async def _comes_back(place: Place, url: str, *, patience: float = 900.0, pause: float = 0.5, **_: float) -> str:
    start = time.monotonic()
    await until_accepted(lambda: place.ask(url), patience=patience, pause=pause, now=time.monotonic)
    return f"alive again {time.monotonic() - start:.1f} s after the policy was made anew"


async def _under_a_policy(place: Place, account: Throwaway) -> str:
    """Give the container a policy, and return a URL with a token of it."""
    end = datetime.now(UTC) + timedelta(days=1)
    await _with_policy(place, account, AccessPolicy(permission=ContainerSasPermissions(read=True), expiry=end))
    query = generate_container_sas(account.name, CONTAINER, account_key=account.keys["key1"], policy_id=POLICY)
    return account.url(query)


async def _with_policy(place: Place, account: Throwaway, policy: AccessPolicy | None) -> None:
    async with place.blobs(account) as service:
        policies = {POLICY: policy} if policy is not None else {}
        await service.get_container_client(CONTAINER).set_container_access_policy(policies)


async def _update(place: Place, account: Throwaway, properties: StorageAccountPropertiesUpdateParameters) -> None:
    await place.arm.storage_accounts.update(
        account.group, account.name, StorageAccountUpdateParameters(properties=properties)
    )
