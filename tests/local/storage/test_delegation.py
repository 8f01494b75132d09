"""User delegation keys and SAS: the SDKs against the stand-in for storage."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.storage.blob import (
    BlobSasPermissions,
    ContainerSasPermissions,
    UserDelegationKey,
    generate_blob_sas,
    generate_container_sas,
)
from azure.storage.blob.aio import BlobServiceClient, ContainerClient
from azure.storage.fileshare import FileSasPermissions, generate_file_sas
from azure.storage.queue import QueueSasPermissions, generate_queue_sas

from local.cloud.cloud import LocalCloud
from local.tenant.model import Account, now
from shared.sas import DelegationKey, mint_delegation_token
from tests.support.storage_clients import Clients, Token, refused

IN_AN_HOUR = timedelta(hours=1)


def soon() -> datetime:
    return datetime.now(UTC) + IN_AN_HOUR


@pytest.fixture
async def developer(clients: Clients, cloud: LocalCloud, account: Account) -> BlobServiceClient:
    return await clients.blob(account, Token(cloud, "developer"))


@pytest.fixture
async def container(developer: BlobServiceClient) -> ContainerClient:
    made = await developer.create_container("models")
    await made.upload_blob("a", b"12345")
    return made


@pytest.fixture
async def key(developer: BlobServiceClient) -> UserDelegationKey:
    return await developer.get_user_delegation_key(datetime.now(UTC) - IN_AN_HOUR, soon())


async def holder(clients: Clients, account: Account, key: UserDelegationKey, **fields: Any) -> ContainerClient:
    """Return a client with a SAS of the container, signed by `key`."""
    chosen = {"permission": ContainerSasPermissions(read=True), "expiry": soon(), **fields}
    token = generate_container_sas(account.name, "models", user_delegation_key=key, **chosen)
    return (await clients.blob(account, token)).get_container_client("models")


async def read(container: ContainerClient, name: str = "a") -> bytes:
    return bytes(await (await container.download_blob(name)).readall())


# Issuing


async def test_delegation_key_names_its_principal_and_period(
    cloud: LocalCloud, account: Account, key: UserDelegationKey
) -> None:
    assert key.signed_oid == cloud.model.identities["developer"].object_id
    assert key.signed_service == "b"
    assert key.signed_expiry == account.delegation_keys[0].expiry


async def test_responder_gets_a_key_without_a_right_to_the_data(
    clients: Clients, cloud: LocalCloud, account: Account
) -> None:
    responder = await clients.blob(account, Token(cloud, "responder"))
    assert (await responder.get_user_delegation_key(datetime.now(UTC), soon())).value
    assert await refused(lambda: responder.create_container("models")) == (403, "AuthorizationPermissionMismatch")


async def test_delegation_key_requires_a_role(clients: Clients, cloud: LocalCloud, account: Account) -> None:
    reader = await clients.blob(account, Token(cloud, "reader"))
    expected = (403, "AuthorizationPermissionMismatch")
    assert await refused(lambda: reader.get_user_delegation_key(datetime.now(UTC), soon())) == expected


@pytest.mark.parametrize(
    ("start", "lifetime"),
    [(timedelta(), timedelta(days=7, hours=1)), (timedelta(), -IN_AN_HOUR), (2 * IN_AN_HOUR, -IN_AN_HOUR)],
)
async def test_delegation_key_is_valid_for_seven_days_at_most(
    developer: BlobServiceClient, start: timedelta, lifetime: timedelta
) -> None:
    starts = datetime.now(UTC) + start
    status, code = await refused(lambda: developer.get_user_delegation_key(starts, starts + lifetime))
    assert (status, code) == (400, "InvalidXmlNodeValue")


async def test_account_key_gets_no_delegation_key(clients: Clients, account: Account) -> None:
    owner = await clients.blob(account, account.keys["key1"])
    expected = (403, "AuthenticationFailed")
    assert await refused(lambda: owner.get_user_delegation_key(datetime.now(UTC), soon())) == expected


# Tokens


async def test_sas_allows_only_its_permissions(
    clients: Clients, account: Account, container: ContainerClient, key: UserDelegationKey
) -> None:
    partner = await holder(clients, account, key)
    assert await read(partner) == b"12345"
    assert await refused(lambda: partner.upload_blob("b", b"x")) == (403, "AuthorizationPermissionMismatch")
    assert await refused(lambda: read(partner, "none")) == (404, "BlobNotFound")


async def test_sas_minted_by_the_product_is_accepted(
    clients: Clients, account: Account, container: ContainerClient, key: UserDelegationKey
) -> None:
    own = account.delegation_keys[0]
    parts = DelegationKey(own.object_id, own.tenant_id, own.start, own.expiry, own.service, own.version, own.value)
    start = datetime.now(UTC) - timedelta(minutes=5)
    token = mint_delegation_token(account=account.name, resource="models/a", starts=start, expires=soon(), key=parts)
    assert await read((await clients.blob(account, token)).get_container_client("models")) == b"12345"


async def test_sas_of_a_directory_covers_its_content(
    clients: Clients, account: Account, container: ContainerClient, key: UserDelegationKey
) -> None:
    await container.upload_blob("in/side", b"1")
    token = generate_blob_sas(
        account.name,
        "models",
        "in",
        user_delegation_key=key,
        permission=BlobSasPermissions(read=True),
        expiry=soon(),
        is_directory=True,
        sdd=1,
    )
    partner = (await clients.blob(account, token)).get_container_client("models")
    assert await read(partner, "in/side") == b"1"
    assert await refused(lambda: read(partner, "a")) == (403, "AuthenticationFailed")


async def test_sas_of_a_key_that_was_not_issued_is_refused(
    clients: Clients, account: Account, container: ContainerClient, key: UserDelegationKey
) -> None:
    key.value = "A" * 43 + "="
    partner = await holder(clients, account, key)
    assert await refused(lambda: read(partner)) == (403, "AuthenticationFailed")


async def test_expired_token_is_refused(
    clients: Clients, account: Account, container: ContainerClient, key: UserDelegationKey
) -> None:
    partner = await holder(clients, account, key, expiry=datetime.now(UTC) - timedelta(minutes=1))
    assert await refused(lambda: read(partner)) == (403, "AuthenticationFailed")


async def test_sas_is_refused_after_its_delegation_key_expired(
    clients: Clients, account: Account, container: ContainerClient, key: UserDelegationKey
) -> None:
    own = account.delegation_keys[0]
    ended = (datetime.now(UTC) - timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    account.delegation_keys[0] = replace(own, expiry=ended)
    key.signed_expiry = ended
    partner = await holder(clients, account, key)
    assert await refused(lambda: read(partner)) == (403, "AuthenticationFailed")


async def test_token_bound_to_a_user_is_refused_without_that_user(
    clients: Clients, cloud: LocalCloud, account: Account, container: ContainerClient, key: UserDelegationKey
) -> None:
    user = cloud.model.identities["reader"].object_id
    partner = await holder(clients, account, key, user_delegation_oid=user)
    assert await refused(lambda: read(partner)) == (403, "AuthenticationFailed")


async def test_sas_allows_no_more_than_its_signer_may(
    clients: Clients, cloud: LocalCloud, account: Account, container: ContainerClient, key: UserDelegationKey
) -> None:
    partner = await holder(clients, account, key, permission=ContainerSasPermissions(read=True, write=True))
    denied = (403, "AuthorizationPermissionMismatch")
    with demoted(cloud, f"Storage Blob Data Reader@{account.name}x"):
        assert await refused(lambda: read(partner)) == denied
    with demoted(cloud, f"Storage Blob Data Reader@{account.name}"):
        assert await read(partner) == b"12345"
        assert await refused(lambda: partner.upload_blob("b", b"x")) == denied
    await partner.upload_blob("b", b"x")


@contextmanager
def demoted(cloud: LocalCloud, role: str) -> Iterator[None]:
    """Leave only this role to the developer."""
    someone = cloud.model.identities["developer"]
    cloud.model.identities["developer"] = replace(someone, rights=frozenset({role}))
    try:
        yield
    finally:
        cloud.model.identities["developer"] = someone


async def test_user_delegation_sas_works_without_shared_key_access(
    clients: Clients, account: Account, container: ContainerClient, key: UserDelegationKey
) -> None:
    partner = await holder(clients, account, key)
    account.properties["allowSharedKeyAccess"] = False
    assert await read(partner) == b"12345"


async def test_queue_accepts_user_delegation_sas(clients: Clients, cloud: LocalCloud, account: Account) -> None:
    queues = await clients.queue(account, Token(cloud, "developer"))
    await queues.create_queue("jobs")
    key = await queues.get_user_delegation_key(expiry=soon(), start=datetime.now(UTC))
    token = generate_queue_sas(
        account.name, "jobs", user_delegation_key=key, permission=QueueSasPermissions(read=True), expiry=soon()
    )
    jobs = (await clients.queue(account, token)).get_queue_client("jobs")
    assert await jobs.peek_messages() == []
    account.delegation_keys_revoked_at = now()
    assert await refused(jobs.peek_messages) == (403, "AuthenticationFailed")


async def test_file_accepts_user_delegation_sas(clients: Clients, cloud: LocalCloud, account: Account) -> None:
    await (await clients.file(account, account.keys["key1"])).create_share("tools")
    files = await clients.file(account, Token(cloud, "developer"), token_intent="backup")
    key = await files.get_user_delegation_key(expiry=soon(), start=datetime.now(UTC))
    may = FileSasPermissions(read=True)
    token = generate_file_sas(account.name, "tools", ["a"], user_delegation_key=key, permission=may, expiry=soon())
    file = (await clients.file(account, token)).get_share_client("tools").get_file_client("a")
    assert await refused(file.get_file_properties) == (404, "ResourceNotFound")
    account.delegation_keys_revoked_at = now()
    assert await refused(file.get_file_properties) == (403, "AuthenticationFailed")


# Revoking


async def test_revocation_ends_only_keys_issued_before_it(
    clients: Clients, account: Account, container: ContainerClient, developer: BlobServiceClient
) -> None:
    start, expiry = datetime.now(UTC) - IN_AN_HOUR, soon()
    old = await holder(clients, account, await developer.get_user_delegation_key(start, expiry))
    account.delegation_keys_revoked_at = now()
    new = await holder(clients, account, await developer.get_user_delegation_key(start, expiry))
    assert await refused(lambda: read(old)) == (403, "AuthenticationFailed")
    assert await read(new) == b"12345"
