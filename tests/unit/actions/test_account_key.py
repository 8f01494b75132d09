"""The account key action, through the real management client, against the local ARM in process."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from aiohttp import ClientConnectorError, ClientOSError
from aiohttp.client_reqrep import ConnectionKey
from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError
from azure.mgmt.storage.aio import StorageManagementClient
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.types import ASGIApp

from local.arm import service
from local.entra.service import Entra
from local.tenant import identities
from local.tenant.model import Account, Cloud
from shared.actions import account_key
from shared.actions.account_key import AccountKeyAction, AccountKeySpec, by_listing
from shared.actions.action import Interrupted
from shared.actions.verification import Verifier
from shared.domain.account import AccountKey
from shared.domain.retired_keys import RetiredKeys
from shared.domain.revocation import Execution, Outcome, Revocation, VerificationToken
from shared.domain.target import ActionKind
from shared.errors import AccountGone, Blocked, SasquashError, Throttled, TransientFailure
from shared.persistence.accounts import Intent
from shared.sas import key_sha256
from tests.support import samples
from tests.support.arm_transport import Wire, answering
from tests.support.asgi import Credential
from tests.support.data_plane import NEW_KEY, DataPlane
from tests.support.jobs import job
from tests.support.samples import ACCOUNT, KEYS, NOW, SUBSCRIPTION

_NEVER = 10  # seconds after which a test that waits for what does not come fails instead of hanging
REGENERATE = "/regenerateKey"
CORRELATION_ID = "11111111-2222-4333-8444-555555555555"


@pytest.fixture(scope="module")
def entra_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def account() -> Account:
    return Account(name=ACCOUNT, resource_group="research", keys=dict(KEYS))


@pytest.fixture
def cloud(account: Account) -> Cloud:
    return Cloud(accounts={ACCOUNT: account}, identities=identities.directory(), regenerate_seconds=0)


@pytest.fixture
def entra(cloud: Cloud, entra_key: rsa.RSAPrivateKey) -> Entra:
    return Entra(cloud, key=entra_key)


@pytest.fixture
def wire(cloud: Cloud, entra: Entra) -> Wire:
    return Wire(service.app(cloud, entra), on=REGENERATE)


@pytest.fixture
def plane() -> DataPlane:
    return DataPlane(keys=list(KEYS.values()))


@pytest.fixture
async def action(wire: Wire, cloud: Cloud, entra: Entra, plane: DataPlane) -> AsyncIterator[AccountKeyAction]:
    credential = Credential(entra, cloud.identities["responder"])
    async with StorageManagementClient(
        credential, SUBSCRIPTION, transport=wire, retry_total=2, retry_backoff_factor=0
    ) as client:
        verifier = Verifier(plane.connect, clock=lambda: NOW, new_id=lambda: CORRELATION_ID)
        yield made(client, verifier)


def made(client: StorageManagementClient, verifier: Verifier) -> AccountKeyAction:
    retired = RetiredKeys(clock=lambda: NOW)
    return AccountKeyAction(
        lambda _: client, verifier, retired=retired, clock=lambda: NOW, new_id=lambda: CORRELATION_ID
    )


async def execution(action: AccountKeyAction, *tokens: VerificationToken, target: str = "key2") -> Execution:
    return (await action.execute(job(samples.plan(target=target)), tokens)).execution


# impact


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


# execute


@pytest.mark.parametrize(("target", "other"), [("key1", "key2"), ("key2", "key1")])
async def test_one_key_is_regenerated_and_the_other_never(
    action: AccountKeyAction, account: Account, target: str, other: str
) -> None:
    await execution(action, target=target)

    assert [name for name, _ in account.rotations] == [target]
    assert account.keys[target] != KEYS[target]
    assert account.keys[other] == KEYS[other]


async def test_execution_records_what_was_done(action: AccountKeyAction, account: Account) -> None:
    assert await execution(action) == Execution(
        action=ActionKind.ACCOUNT_KEY,
        target="key2",
        at=NOW,
        old_sha256=key_sha256(KEYS["key2"]),
        new_sha256=key_sha256(account.keys["key2"]),
        confirmed_by="answer",
        correlation_id=CORRELATION_ID,
        verification_tokens=(),
    )


async def test_correlation_id_of_the_record_is_sent_to_arm(action: AccountKeyAction, wire: Wire) -> None:
    await execution(action)

    [request] = wire.calls
    assert request.headers["x-ms-correlation-request-id"] == CORRELATION_ID


NO_CONNECTION = ClientConnectorError(
    ConnectionKey("management.azure.com", 443, True, True, None, None, None), OSError("refused")
)


@pytest.mark.parametrize(
    ("instead", "error", "certain"),
    [
        (answering(408), TransientFailure, False),
        (answering(429, Retry_After="0"), Throttled, True),
        (answering(500), TransientFailure, False),
        (answering(502), TransientFailure, False),
        (answering(503, Retry_After="0"), TransientFailure, False),
        (answering(504), TransientFailure, False),
        (ServiceRequestError("reset", error=ClientOSError(104, "reset")), TransientFailure, False),
        (ServiceRequestError("refused", error=NO_CONNECTION), TransientFailure, True),
        (ServiceResponseError("cut"), TransientFailure, False),
    ],
    ids=["408", "429", "500", "502", "503", "504", "reset", "refused", "cut"],
)
async def test_call_that_fails_in_passing_is_sent_once_and_says_whether_it_may_have_happened(
    action: AccountKeyAction, wire: Wire, instead: ASGIApp | AzureError, error: type[TransientFailure], certain: bool
) -> None:
    wire.instead = instead

    with pytest.raises(TransientFailure) as failed:
        await execution(action)

    assert len(wire.calls) == 1
    assert type(failed.value) is error
    assert failed.value.had_no_effect is certain


async def test_call_that_is_never_answered_is_sent_once_and_may_have_happened(
    action: AccountKeyAction, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_key, "_REGENERATE_TIMEOUT", 0.05)
    wire.instead = asyncio.Event()

    with pytest.raises(TransientFailure, match="got no answer within") as failed:
        await execution(action)

    assert len(wire.calls) == 1
    assert not failed.value.had_no_effect


@pytest.mark.parametrize(
    "instead", [answering(503), ServiceRequestError("reset", error=ClientOSError(104, "reset"))], ids=["503", "reset"]
)
async def test_answer_that_is_lost_costs_no_second_rotation(
    action: AccountKeyAction, wire: Wire, account: Account, instead: ASGIApp | AzureError
) -> None:
    wire.instead, wire.after = instead, True

    executed = await execution(action, samples.verification_token())

    assert [name for name, _ in account.rotations] == ["key2"]
    assert (executed.confirmed_by, executed.correlation_id) == ("listing", None)
    assert (executed.old_sha256, executed.new_sha256) == (key_sha256(KEYS["key2"]), key_sha256(account.keys["key2"]))
    assert executed.verification_tokens == (samples.verification_token(),)


async def test_lost_answer_that_cannot_be_read_back_is_left_to_the_next_holder_of_the_lock(
    action: AccountKeyAction, wire: Wire, account: Account
) -> None:
    wire.instead, wire.after, wire.on = answering(503), True, ""

    with pytest.raises(TransientFailure, match="Listing the keys will show whether it happened") as failed:
        await execution(action)

    assert not failed.value.had_no_effect
    assert failed.value.retry_after == 180.0


async def test_regenerated_key_is_remembered_as_it_was(action: AccountKeyAction) -> None:
    await execution(action)

    leak = samples.leak(samples.account_sas(key_name="key2"))
    retired = action.retired.behind(leak, account=samples.account().name)
    assert retired is not None
    assert (retired.name, retired.value) == ("key2", KEYS["key2"])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_not_followed(action: AccountKeyAction, wire: Wire, status: int) -> None:
    wire.instead = answering(status, location="https://management.azure.com/elsewhere/regenerateKey")

    with pytest.raises(Blocked):
        await execution(action)

    assert len(wire.calls) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 409, 412, 422])
async def test_refusal_is_sent_once_and_needs_a_person(action: AccountKeyAction, wire: Wire, status: int) -> None:
    wire.instead = answering(status)

    with pytest.raises(Blocked, match=str(status)):
        await execution(action)

    assert len(wire.calls) == 1


async def test_read_only_lock_is_named(action: AccountKeyAction, account: Account) -> None:
    account.locks.append("ReadOnly")

    with pytest.raises(Blocked, match="a ReadOnly lock forbids it"):
        await execution(action)


async def test_answer_with_the_old_key_is_no_rotation(action: AccountKeyAction, wire: Wire) -> None:
    wire.instead = answering(200, {"keys": [{"keyName": name, "value": value} for name, value in KEYS.items()]})

    with pytest.raises(TransientFailure, match="is what it was") as failed:
        await execution(action)

    assert not failed.value.had_no_effect


@pytest.mark.parametrize("keys", [[], [{"keyName": "key1", "value": NEW_KEY}]])
async def test_answer_without_the_key_is_no_rotation(
    action: AccountKeyAction, wire: Wire, keys: list[dict[str, str]]
) -> None:
    wire.instead = answering(200, {"keys": keys})

    with pytest.raises(TransientFailure) as failed:
        await execution(action)

    assert not failed.value.had_no_effect


async def test_key_that_changed_since_the_plan_is_left_alone(action: AccountKeyAction, wire: Wire) -> None:
    keys = {"key1": AccountKey(KEYS["key1"], None), "key2": AccountKey(NEW_KEY, None)}

    with pytest.raises(TransientFailure, match="changed since the plan was made") as failed:
        await action.execute(job(samples.plan(target="key2"), keys=keys), (samples.verification_token(),))

    assert failed.value.had_no_effect
    assert wire.requests == []


@pytest.mark.parametrize("status", [403, 409, 429, 500])
async def test_no_failure_repeats_a_key_or_what_arm_said(action: AccountKeyAction, wire: Wire, status: int) -> None:
    said = {"error": {"code": KEYS["key1"], "message": f"the key is {KEYS['key2']}"}}
    wire.instead = answering(status, said)

    with pytest.raises(SasquashError) as failed:
        await execution(action)

    assert not any(key.rstrip("=") in f"{failed.value} {failed.value!r}" for key in KEYS.values())


# the verification tokens, tried meanwhile


async def test_token_answered_before_the_execution_was_accepted_before(
    action: AccountKeyAction, plane: DataPlane
) -> None:
    executed = await execution(action, samples.verification_token())

    assert executed.verification_tokens == (samples.verification_token(accepted_before=True),)
    assert len(plane.requests) == 1


async def test_token_that_is_not_answered_in_time_delays_nothing(
    action: AccountKeyAction, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up: list[VerificationToken] = []

    async def silent(_: Verifier, token: VerificationToken) -> VerificationToken:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.append(token)
        return token

    monkeypatch.setattr(Verifier, "try_before", silent)

    async with asyncio.timeout(_NEVER):
        executed = await execution(action, samples.verification_token())

    assert executed.verification_tokens == (samples.verification_token(),)
    assert given_up == [samples.verification_token()]


async def test_token_that_can_t_be_tried_spares_no_key(
    action: AccountKeyAction, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: Verifier, token: VerificationToken) -> VerificationToken:
        raise RuntimeError("unexpected")

    monkeypatch.setattr(Verifier, "try_before", broken)

    assert (await execution(action, samples.verification_token())).verification_tokens == (
        samples.verification_token(),
    )
    assert account.keys["key2"] != KEYS["key2"]


async def test_tries_end_with_a_failed_execution(
    action: AccountKeyAction, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[VerificationToken] = []

    async def silent(_: Verifier, token: VerificationToken) -> VerificationToken:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(token)
        return token

    monkeypatch.setattr(Verifier, "try_before", silent)
    wire.instead = answering(503)

    with pytest.raises(TransientFailure):
        async with asyncio.timeout(_NEVER):
            await execution(action, samples.verification_token())

    assert ended == [samples.verification_token()]


# an answer that was lost


@pytest.mark.parametrize(("created", "at"), [(NOW - timedelta(seconds=9), NOW - timedelta(seconds=9)), (None, NOW)])
def test_lost_answer_is_settled_by_the_list_of_keys(created: datetime | None, at: datetime) -> None:
    assert by_listing("key2", "0" * 64, AccountKey(NEW_KEY, created), at=NOW) == Execution(
        action=ActionKind.ACCOUNT_KEY,
        target="key2",
        at=at,
        old_sha256="0" * 64,
        new_sha256=key_sha256(NEW_KEY),
        confirmed_by="listing",
        correlation_id=None,
    )


# verify


async def test_regenerated_key_is_verified_revoked(
    action: AccountKeyAction, plane: DataPlane, account: Account
) -> None:
    executed = await execution(action, samples.verification_token())
    plane.keys = list(account.keys.values())

    assert (await action.verify(executed, samples.account(), samples.revocation())).outcome is Outcome.PROVEN


async def test_key_that_arm_still_lists_is_alive(action: AccountKeyAction) -> None:
    assert (
        await action.verify(samples.execution(), samples.account(), samples.revocation())
    ).outcome is Outcome.STILL_ALIVE


async def test_key_that_was_regenerated_again_meanwhile_is_proven_with_the_newest(
    action: AccountKeyAction, plane: DataPlane, account: Account
) -> None:
    executed = replace(await execution(action, samples.verification_token()), new_sha256="0" * 64)
    plane.keys = list(account.keys.values())

    assert (await action.verify(executed, samples.account(), samples.revocation())).outcome is Outcome.PROVEN


# recovery


@pytest.mark.parametrize("knows_the_right_path", [True, False])
async def test_key_that_is_young_for_another_reason_is_no_execution_for_a_leak_that_a_key_still_signs(
    action: AccountKeyAction, *, knows_the_right_path: bool
) -> None:
    right = samples.leak(samples.blob_sas(key_name="key1"))
    first = replace(samples.finding(samples.blob_sas(key_name="key1")), credential=replace(right, path="wrong/a"))
    record = Revocation.of(first.with_readings([right] if knows_the_right_path else []), now=NOW)
    left = Interrupted(
        predecessor=Intent("1", record.fingerprint, NOW, NOW + timedelta(minutes=1)),
        account=samples.account(),
        keys={
            "key1": AccountKey(KEYS["key1"], NOW - timedelta(days=400)),
            "key2": AccountKey(NEW_KEY, NOW + timedelta(seconds=5)),
        },
        rotations=(),
        noted=(),
        others=(record,),
    )

    assert (action.settle_unnoted(left) is None) is knows_the_right_path
