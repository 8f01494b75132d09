"""The account key action: one key is regenerated, once, and each failure says whether it may have happened."""

import asyncio

import pytest
from aiohttp import ClientConnectorError, ClientOSError
from aiohttp.client_reqrep import ConnectionKey
from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError
from starlette.types import ASGIApp

from local.tenant.model import Account
from shared.actions import account_key
from shared.actions.account_key import AccountKeyAction
from shared.domain.account import AccountKey
from shared.domain.execution import Execution
from shared.domain.target import ActionKind
from shared.errors import Blocked, SasquashError, Throttled, TransientFailure
from shared.sas import key_sha256
from tests.support import samples
from tests.support.account_keys import CORRELATION_ID, execution
from tests.support.arm_transport import Wire, answering
from tests.support.data_plane import NEW_KEY
from tests.support.jobs import job
from tests.support.samples import KEYS, NOW


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
