"""File shares: the SDK against the stand-in for the file service, which Azurite lacks."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.fileshare import (
    AccessPolicy,
    AccountSasPermissions,
    FileSasPermissions,
    ResourceTypes,
    ShareSasPermissions,
    generate_account_sas,
    generate_file_sas,
    generate_share_sas,
)
from azure.storage.fileshare.aio import ShareClient

from local.tenant.model import Account, new_storage_key
from tests.support.storage_clients import Clients

IN_AN_HOUR = timedelta(hours=1)


def soon() -> datetime:
    return datetime.now(UTC) + IN_AN_HOUR


@pytest.fixture
async def share(clients: Clients, account: Account) -> ShareClient:
    return await (await clients.file(account, account.keys["key1"])).create_share("tools")


async def refused(call: Any) -> tuple[int, str]:
    with pytest.raises(HttpResponseError) as caught:
        await call
    code = caught.value.error_code  # type: ignore[attr-defined]
    assert caught.value.status_code is not None
    return caught.value.status_code, str(getattr(code, "value", code))


async def holder(clients: Clients, account: Account, token: str, name: str = "tools") -> ShareClient:
    return (await clients.file(account, token)).get_share_client(name)


async def test_share_is_created_once(share: ShareClient) -> None:
    assert (await share.get_share_properties()).name == "tools"
    assert await refused(share.create_share()) == (409, "ShareAlreadyExists")


@pytest.mark.parametrize("name", ["ab", "-ab", "a--b", "Upper"])
async def test_share_name_is_validated(clients: Clients, account: Account, name: str) -> None:
    service = await clients.file(account, account.keys["key1"])
    assert await refused(service.create_share(name)) == (400, "InvalidResourceName")


async def test_deleting_a_share_deletes_its_policies(share: ShareClient) -> None:
    await share.set_share_access_policy({"partners": AccessPolicy(permission="r", expiry=soon())})
    await share.delete_share()
    assert await refused(share.get_share_properties()) == (404, "ShareNotFound")
    await share.create_share()
    assert (await share.get_share_access_policy())["signed_identifiers"] == []


async def test_policies_are_returned(share: ShareClient) -> None:
    ends = datetime(2051, 10, 6, tzinfo=UTC)
    await share.set_share_access_policy({"a": AccessPolicy(permission="rwl", expiry=ends), "b": None})
    first, second = (await share.get_share_access_policy())["signed_identifiers"]
    assert (first.id, first.access_policy.permission, first.access_policy.expiry) == (
        "a",
        "rwl",
        "2051-10-06T00:00:00Z",
    )
    assert second.id == "b"


async def test_change_of_policies_moves_the_etag(share: ShareClient) -> None:
    before = (await share.get_share_properties()).etag
    await share.set_share_access_policy({})
    assert (await share.get_share_properties()).etag != before


async def test_missing_share_has_no_policies(clients: Clients, account: Account) -> None:
    none = await holder(clients, account, account.keys["key1"], "none")
    assert await refused(none.get_share_access_policy()) == (404, "ShareNotFound")
    assert await refused(none.set_share_access_policy({})) == (404, "ShareNotFound")


async def test_file_is_never_found(share: ShareClient) -> None:
    assert await refused(share.get_file_client("a/b.txt").get_file_properties()) == (404, "ResourceNotFound")


async def test_unknown_key_authorizes_nothing(clients: Clients, account: Account, share: ShareClient) -> None:
    stranger = await holder(clients, account, new_storage_key())
    assert await refused(stranger.get_share_access_policy()) == (403, "AuthenticationFailed")
    assert await refused(stranger.create_share()) == (403, "AuthenticationFailed")


@pytest.mark.parametrize("kind", ["share", "file"])
async def test_sas_is_refused_without_its_policy(
    clients: Clients, account: Account, share: ShareClient, kind: str
) -> None:
    key = account.keys["key2"]
    token = (
        generate_share_sas(account.name, "tools", key, policy_id="partners")
        if kind == "share"
        else generate_file_sas(account.name, "tools", ["a", "b.txt"], key, policy_id="partners")
    )
    file = (await holder(clients, account, token)).get_file_client("a/b.txt")
    assert await refused(file.get_file_properties()) == (403, "AuthenticationFailed")
    await share.set_share_access_policy({"partners": AccessPolicy(permission="r", expiry=soon())})
    assert await refused(file.get_file_properties()) == (404, "ResourceNotFound")
    assert await refused(file.delete_file()) == (403, "AuthorizationPermissionMismatch")
    over = AccessPolicy(permission="r", expiry=datetime.now(UTC) - IN_AN_HOUR)
    await share.set_share_access_policy({"partners": over})
    assert await refused(file.get_file_properties()) == (403, "AuthenticationFailed")


async def test_sas_of_a_file_covers_no_other_file(clients: Clients, account: Account, share: ShareClient) -> None:
    token = generate_file_sas(
        account.name, "tools", ["a"], account.keys["key1"], permission=FileSasPermissions(read=True), expiry=soon()
    )
    file = (await holder(clients, account, token)).get_file_client("b")
    assert await refused(file.get_file_properties()) == (403, "AuthenticationFailed")


async def test_expired_token_is_refused(clients: Clients, account: Account, share: ShareClient) -> None:
    token = generate_share_sas(
        account.name,
        "tools",
        account.keys["key1"],
        permission=ShareSasPermissions(read=True),
        expiry=datetime.now(UTC) - IN_AN_HOUR,
    )
    file = (await holder(clients, account, token)).get_file_client("a")
    assert await refused(file.get_file_properties()) == (403, "AuthenticationFailed")


async def test_sas_of_a_share_cannot_change_the_share(clients: Clients, account: Account, share: ShareClient) -> None:
    token = generate_share_sas(
        account.name,
        "tools",
        account.keys["key1"],
        permission=ShareSasPermissions(read=True, delete=True),
        expiry=soon(),
    )
    partner = await holder(clients, account, token)
    assert await refused(partner.delete_share()) == (403, "AuthorizationPermissionMismatch")
    assert await refused(partner.get_share_access_policy()) == (403, "AuthorizationFailure")


@pytest.mark.parametrize(
    ("levels", "permission", "expected"),
    [
        (ResourceTypes(object=True), AccountSasPermissions(read=True), (404, "ResourceNotFound")),
        (ResourceTypes(container=True), AccountSasPermissions(read=True), (403, "AuthorizationResourceTypeMismatch")),
        (ResourceTypes(object=True), AccountSasPermissions(write=True), (403, "AuthorizationPermissionMismatch")),
    ],
)
async def test_account_sas_allows_its_permissions(
    clients: Clients,
    account: Account,
    levels: ResourceTypes,
    permission: AccountSasPermissions,
    expected: tuple[int, str],
) -> None:
    await (await clients.file(account, account.keys["key1"])).create_share("tools")
    token = generate_account_sas(account.name, account.keys["key1"], levels, permission, soon())
    file = (await holder(clients, account, token)).get_file_client("a")
    assert await refused(file.get_file_properties()) == expected


async def test_shared_key_access_can_be_disabled(account: Account, share: ShareClient) -> None:
    account.properties["allowSharedKeyAccess"] = False
    assert await refused(share.get_share_properties()) == (403, "KeyBasedAuthenticationNotPermitted")
