"""The account key action: the keys of an account, and what a key's execution affects."""

from datetime import timedelta

import pytest
from azure.mgmt.storage.aio import StorageManagementClient

from local.entra.service import Entra
from local.tenant.model import Account, Cloud
from shared.actions.account_key import AccountKeyAction, AccountKeySpec
from shared.actions.verification import Verifier
from shared.domain.account import AccountKey
from shared.errors import AccountGone, Blocked, TransientFailure
from tests.support import samples
from tests.support.account_keys import CORRELATION_ID, made
from tests.support.arm_transport import Wire, answering
from tests.support.asgi import Credential
from tests.support.data_plane import DataPlane
from tests.support.samples import ACCOUNT, KEYS, NOW, SUBSCRIPTION


def test_impact_names_the_account() -> None:
    lines = AccountKeySpec().impact(samples.account(), "key2")

    assert lines[0] == (
        "Every client that uses key2 of robustmodels: connection strings, Shared Key requests, SMB mounts."
    )
    assert not any("{" in line for line in lines)


# keys


async def test_keys_are_listed_with_their_age(action: AccountKeyAction, account: Account) -> None:
    keys = await action.keys(samples.account())

    assert {name: key.value for name, key in keys.items()} == KEYS
    assert keys["key1"].created is not None
    assert abs(keys["key1"].created - account.key_created["key1"]) < timedelta(milliseconds=1)


async def test_kerberos_keys_are_not_asked_for(action: AccountKeyAction, account: Account, wire: Wire) -> None:
    account.kerberos_keys = {"kerb1": samples.key("kerb1")}

    assert set(await action.keys(samples.account())) == {"key1", "key2"}
    assert "expand" not in wire.requests[-1].url


async def test_keys_that_come_unasked_are_left_out(action: AccountKeyAction, wire: Wire) -> None:
    listed = [{"keyName": name, "value": samples.key(name)} for name in ("key1", "kerb1", "key2", "key3")]
    wire.instead, wire.on = answering(200, {"keys": listed}), "/listKeys"

    assert set(await action.keys(samples.account())) == {"key1", "key2"}


@pytest.mark.parametrize("second", [[], [{"keyName": "key2", "value": ""}]], ids=["missing", "empty"])
async def test_half_an_answer_says_nothing_about_the_keys(
    action: AccountKeyAction, wire: Wire, second: list[dict[str, str]]
) -> None:
    listed = [{"keyName": "key1", "value": samples.key("key1")}, *second]
    wire.instead, wire.on = answering(200, {"keys": listed}), "/listKeys"

    with pytest.raises(TransientFailure, match="1 of 2 keys"):
        await action.keys(samples.account())


async def test_missing_account_has_its_own_error(action: AccountKeyAction, cloud: Cloud) -> None:
    del cloud.accounts[ACCOUNT]

    with pytest.raises(AccountGone, match="Listing the keys of robustmodels"):
        await action.keys(samples.account())


async def test_missing_right_needs_a_person(wire: Wire, cloud: Cloud, entra: Entra, plane: DataPlane) -> None:
    verifier = Verifier(plane.connect, clock=lambda: NOW, new_id=lambda: CORRELATION_ID)
    credential = Credential(entra, cloud.identities["reader"])
    async with StorageManagementClient(credential, SUBSCRIPTION, transport=wire) as client:
        powerless = made(client, verifier)
        with pytest.raises(Blocked, match="AuthorizationFailed"):
            await powerless.keys(samples.account())


def test_key_shows_its_value_to_nobody_who_prints_it() -> None:
    assert KEYS["key1"].rstrip("=") not in f"{AccountKey(KEYS['key1'], NOW)} {AccountKey(KEYS['key1'], NOW)!r}"
