"""What becomes of a lockdown that ARM refuses, or does not answer."""

import asyncio

import pytest
from aiohttp import ClientOSError
from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError
from starlette.types import ASGIApp

from local.tenant.model import Account, Cloud
from shared.actions import lockdown
from shared.actions.lockdown import LockdownAction
from shared.cloud.accounts import Accounts
from shared.domain.target import Lockdown
from shared.errors import AccountGone, Blocked, Throttled, TransientFailure
from tests.support.arm_transport import NO_CONNECTION, Wire, answering
from tests.support.lockdowns import (
    REF,
    RULES,
    before,
    execute,
    lock,
)
from tests.support.samples import ACCOUNT

both = pytest.mark.parametrize("kind", list(Lockdown))


@both
async def test_lockdown_that_does_not_take_needs_a_person(
    action: LockdownAction, accounts: Accounts, wire: Wire, kind: Lockdown
) -> None:
    wire.instead = answering(200, {"location": "westeurope", "properties": {"networkAcls": RULES}})

    with pytest.raises(Blocked, match="still open"):
        await lock(action, accounts, kind)


@pytest.mark.parametrize(
    ("instead", "error"),
    [
        (answering(408), TransientFailure),
        (answering(429, Retry_After="0"), Throttled),
        (answering(500), TransientFailure),
        (answering(503, Retry_After="0"), TransientFailure),
        (answering(409, {"error": {"code": "StorageAccountOperationInProgress"}}), TransientFailure),
        (ServiceRequestError("reset", error=ClientOSError(104, "reset")), TransientFailure),
        (ServiceRequestError("refused", error=NO_CONNECTION), TransientFailure),
        (ServiceResponseError("cut"), TransientFailure),
    ],
    ids=["408", "429", "500", "503", "in progress", "reset", "refused", "cut"],
)
@both
async def test_call_that_fails_in_passing_is_sent_once(
    *,
    action: LockdownAction,
    accounts: Accounts,
    wire: Wire,
    kind: Lockdown,
    instead: ASGIApp | AzureError,
    error: type[TransientFailure],
) -> None:
    wire.instead = instead

    with pytest.raises(TransientFailure) as failed:
        await lock(action, accounts, kind)

    assert len(wire.calls) == 1
    assert type(failed.value) is error
    assert failed.value.had_no_effect, "reading shows that it did not"


async def test_call_that_is_never_answered_is_sent_once(
    action: LockdownAction, accounts: Accounts, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lockdown, "_UPDATE_TIMEOUT", 0.05)
    wire.instead = asyncio.Event()

    with pytest.raises(TransientFailure, match="got no answer within"):
        await lock(action, accounts, Lockdown.SHARED_KEY)

    assert len(wire.calls) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirect_is_not_followed(action: LockdownAction, accounts: Accounts, wire: Wire, status: int) -> None:
    wire.instead = answering(status, location="https://management.azure.com/elsewhere")

    with pytest.raises(Blocked):
        await lock(action, accounts, Lockdown.SHARED_KEY)

    assert len(wire.calls) == 1


@pytest.mark.parametrize(
    ("status", "code", "what_to_do"),
    [
        (403, "AuthorizationFailed", r"lacks the right"),
        (403, "RequestDisallowedByPolicy", r"exempt the account"),
        (400, "InvalidValuesForRequestParameters", r"Check it in Azure"),
    ],
)
@both
async def test_refusal_says_what_to_do(
    *, action: LockdownAction, accounts: Accounts, wire: Wire, kind: Lockdown, status: int, code: str, what_to_do: str
) -> None:
    wire.instead = answering(status, {"error": {"code": code, "message": "m"}})

    with pytest.raises(Blocked, match=f"Locking robustmodels down.*{code}.*{what_to_do}"):
        await lock(action, accounts, kind)


@both
async def test_read_only_lock_is_named(
    action: LockdownAction, accounts: Accounts, account: Account, kind: Lockdown
) -> None:
    account.locks.append("ReadOnly")

    with pytest.raises(Blocked, match="a ReadOnly lock forbids it"):
        await lock(action, accounts, kind)


async def test_missing_account_has_its_own_error(action: LockdownAction, accounts: Accounts, cloud: Cloud) -> None:
    facts = await accounts.facts(REF)
    del cloud.accounts[ACCOUNT]

    with pytest.raises(AccountGone):
        await execute(action, facts, before(action, facts, Lockdown.NETWORK))
