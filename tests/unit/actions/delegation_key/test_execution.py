"""User delegation keys are revoked once, whatever ARM answers."""

import asyncio
from dataclasses import replace

import pytest
from aiohttp import ClientOSError
from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError
from starlette.types import ASGIApp

from local.tenant.model import Account, Cloud
from shared.actions import delegation_key
from shared.actions.delegation_key import DelegationKeyAction
from shared.domain.execution import Execution
from shared.domain.target import DELEGATION_KEYS, ActionKind
from shared.errors import AccountGone, Blocked, Throttled, TransientFailure
from tests.support.arm_transport import NO_CONNECTION, Wire, answering
from tests.support.delegation_keys import CORRELATION_ID, JOB, Clock, execution
from tests.support.delegation_plane import DelegationPlane
from tests.support.samples import ACCOUNT


async def test_what_was_issued_before_is_revoked(action: DelegationKeyAction, account: Account, clock: Clock) -> None:
    before = clock()
    await execution(action)

    assert account.delegation_keys_revoked_at is not None
    assert before <= account.delegation_keys_revoked_at <= clock()


async def test_execution_records_what_was_done(action: DelegationKeyAction, account: Account, clock: Clock) -> None:
    executed = await execution(action)

    assert executed == Execution(
        ActionKind.DELEGATION_KEY, DELEGATION_KEYS, executed.at, "", "", "answer", CORRELATION_ID
    )
    assert account.delegation_keys_revoked_at is not None
    assert account.delegation_keys_revoked_at <= executed.at <= clock()


async def test_correlation_id_of_the_record_is_sent_to_arm(action: DelegationKeyAction, wire: Wire) -> None:
    await execution(action)

    [request] = wire.calls
    assert request.headers["x-ms-correlation-request-id"] == CORRELATION_ID


async def test_revoking_twice_ends_the_same_way(action: DelegationKeyAction, wire: Wire) -> None:
    wire.instead, wire.after = answering(503), True
    with pytest.raises(TransientFailure):
        await execution(action)
    wire.instead = None

    again = await execution(action)

    assert (again.confirmed_by, len(wire.calls)) == ("answer", 2)


@pytest.mark.parametrize(
    ("instead", "error", "certain"),
    [
        (answering(408), TransientFailure, False),
        (answering(429, Retry_After="0"), Throttled, True),
        (answering(500), TransientFailure, False),
        (answering(503, Retry_After="0"), TransientFailure, False),
        (ServiceRequestError("reset", error=ClientOSError(104, "reset")), TransientFailure, False),
        (ServiceRequestError("refused", error=NO_CONNECTION), TransientFailure, True),
        (ServiceResponseError("cut"), TransientFailure, False),
    ],
    ids=["408", "429", "500", "503", "reset", "refused", "cut"],
)
async def test_call_that_fails_in_passing_is_sent_once(
    action: DelegationKeyAction,
    wire: Wire,
    instead: ASGIApp | AzureError,
    error: type[TransientFailure],
    certain: bool,
) -> None:
    wire.instead = instead

    with pytest.raises(TransientFailure) as failed:
        await execution(action)

    assert len(wire.calls) == 1
    assert type(failed.value) is error
    assert failed.value.had_no_effect is certain


async def test_call_that_is_never_answered_is_sent_once(
    action: DelegationKeyAction, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delegation_key, "_REVOKE_TIMEOUT", 0.05)
    wire.instead = asyncio.Event()

    with pytest.raises(TransientFailure, match="got no answer within"):
        await execution(action)

    assert len(wire.calls) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_not_followed(action: DelegationKeyAction, wire: Wire, status: int) -> None:
    wire.instead = answering(status, location="https://management.azure.com/elsewhere/revokeUserDelegationKeys")

    with pytest.raises(Blocked):
        await execution(action)

    assert len(wire.calls) == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [(403, "AuthorizationFailed"), (403, "RequestDisallowedByPolicy"), (409, "ScopeLocked"), (400, "BadRequest")],
)
async def test_refusal_is_sent_once_and_needs_a_person(
    action: DelegationKeyAction, wire: Wire, status: int, code: str
) -> None:
    wire.instead = answering(status, {"error": {"code": code, "message": "m"}})

    with pytest.raises(Blocked, match=f"Revoking the user delegation keys of robustmodels failed: {status} {code}"):
        await execution(action)

    assert len(wire.calls) == 1


async def test_read_only_lock_is_named(action: DelegationKeyAction, account: Account) -> None:
    account.locks.append("ReadOnly")

    with pytest.raises(Blocked, match="a ReadOnly lock forbids it"):
        await execution(action)


async def test_missing_account_has_its_own_error(action: DelegationKeyAction, cloud: Cloud) -> None:
    del cloud.accounts[ACCOUNT]

    with pytest.raises(AccountGone):
        await execution(action)


async def test_verification_token_is_tried_before_the_keys_are_revoked(
    action: DelegationKeyAction, plane: DelegationPlane
) -> None:
    tokens = await action.mint(JOB)

    executed = await execution(action, *tokens)

    assert executed.verification_tokens == (replace(tokens[0], accepted_before=True),)
    assert len(plane.requests) == 2
