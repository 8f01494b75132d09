"""Containment actions with Azure's own clients: how long credentials are accepted afterwards."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from azure.mgmt.storage.models import (
    StorageAccountPropertiesUpdateParameters,
    StorageAccountRegenerateKeyParameters,
    StorageAccountUpdateParameters,
)
from azure.storage.blob import AccessPolicy, ContainerSasPermissions, generate_container_sas

from conformance.place import CONTAINER, Place, TemporaryAccount
from conformance.revoked import accepted, until_accepted, until_refused

POLICY = "partners"


async def account_key(place: Place, **patience: float) -> str:
    """Regenerate the key that signed a SAS."""
    account = await place.account()
    return await _until_refused(
        place,
        account.url(account.token("key2")),
        lambda: place.arm.storage_accounts.regenerate_key(
            account.group, account.name, StorageAccountRegenerateKeyParameters(key_name="key2")
        ),
        **patience,
    )


async def stored_policy(place: Place, **patience: float) -> str:
    """Set the expiry of the stored access policy of a SAS to 2000."""
    account = await place.account()
    url = await place.policy_url(account, POLICY)
    expired = AccessPolicy(permission=ContainerSasPermissions(read=True), expiry=datetime(2000, 1, 1, tzinfo=UTC))
    return await _until_refused(place, url, lambda: _set_policy(place, account, expired), **patience)


async def delegation_keys(place: Place, **patience: float) -> str:
    """Revoke the user delegation keys of an account."""
    account = await place.account()
    url = await place.delegated_url(account)
    return await _until_refused(
        place,
        url,
        lambda: place.arm.storage_accounts.revoke_user_delegation_keys(account.group, account.name),
        **patience,
    )


async def shared_key_off(place: Place, **patience: float) -> str:
    """Disable shared key access."""
    account = await place.account()
    off = StorageAccountPropertiesUpdateParameters(allow_shared_key_access=False)
    return await _until_refused(place, account.url(account.token()), lambda: _update(place, account, off), **patience)


async def network_closed(place: Place, **patience: float) -> str:
    """Disable public network access; then send an anonymous request, as the daily readiness check does."""
    account = await place.account()
    closed = StorageAccountPropertiesUpdateParameters(public_network_access="Disabled")
    revoked = await _until_refused(
        place, account.url(account.token()), lambda: _update(place, account, closed), **patience
    )
    anonymous = await place.ask(f"{account.endpoint}/?restype=service&comp=properties")
    if anonymous.code != "AuthorizationFailure":
        raise ValueError(f"an anonymous request gets {anonymous.status} {anonymous.code}; {revoked}")
    return f"{revoked}; an anonymous request gets AuthorizationFailure"


async def policy_recreated(place: Place, **patience: float) -> str:
    """Delete a stored access policy, and create one with the same id."""
    account = await place.account()
    url = await place.policy_url(account, POLICY)
    revoked = await _until_refused(place, url, lambda: _set_policy(place, account, None), **patience)
    await place.policy_url(account, POLICY)
    return f"{revoked}; {await _until_accepted_again(place, url, **patience)}"


async def policy_without_expiry(place: Place) -> str:
    """Use a SAS without an expiry, with a stored access policy that has none."""
    account = await place.account()
    await _set_policy(place, account, AccessPolicy(permission=ContainerSasPermissions(read=True)))
    query = generate_container_sas(account.name, CONTAINER, account_key=account.keys["key1"], policy_id=POLICY)
    answer = await place.ask(account.url(query))
    return f"it is {'accepted' if accepted(answer) else 'refused'} ({answer.status} {answer.code})"


async def _until_refused(
    place: Place, url: str, execution: Callable[[], Awaitable[object]], **patience: float
) -> str:
    return str(await until_refused(lambda: place.ask(url), execution, now=time.monotonic, **patience))


async def _until_accepted_again(
    place: Place, url: str, *, patience: float = 900.0, pause: float = 0.5, **_: float
) -> str:
    start = time.monotonic()
    await until_accepted(lambda: place.ask(url), patience=patience, pause=pause, now=time.monotonic)
    return f"accepted again {time.monotonic() - start:.1f} s after the policy was recreated"


async def _set_policy(place: Place, account: TemporaryAccount, policy: AccessPolicy | None) -> None:
    await place.set_policies(account, {POLICY: policy} if policy is not None else {})


async def _update(
    place: Place, account: TemporaryAccount, properties: StorageAccountPropertiesUpdateParameters
) -> None:
    await place.arm.storage_accounts.update(
        account.group, account.name, StorageAccountUpdateParameters(properties=properties)
    )
