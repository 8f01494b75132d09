"""Orders of containment actions: checks, approval and history."""

import pytest

from local.network.faults import Effect
from shared.api.revocations import service as service_module
from shared.api.revocations.requests import OrderRequest
from shared.domain.states import State
from shared.domain.target import ActionKind
from shared.errors import (
    InvalidRequest,
    NotPermitted,
    TransientFailure,
)
from tests.support import shares
from tests.support.decisions import ADA, BOB, LIST_KEYS, digest_of, rotated
from tests.support.driver import Driver


async def test_order_runs_after_the_approval_of_a_second_person(driver: Driver) -> None:
    account = await driver.account()
    service = driver.app(mode="auto", second_person="off").http.revocations
    request = OrderRequest(account.name, ActionKind.ACCOUNT_KEY, "key2", "A laptop was lost.")
    record = await service.order(request, caller=ADA)
    assert (record.state, rotated(account)) == (State.AWAITING_APPROVAL, [])
    with pytest.raises(NotPermitted):
        await service.approve(record.fingerprint, digest=digest_of(record), reason="Mine.", caller=ADA)
    done = await service.approve(record.fingerprint, digest=digest_of(record), reason="Yes.", caller=BOB)
    assert (done.state, rotated(account)) == (State.CONTAINED, ["key2"])


async def test_order_has_its_caller_and_reason(driver: Driver) -> None:
    account = await driver.account()
    request = OrderRequest(account.name, ActionKind.ACCOUNT_KEY, "key2", "A laptop was lost.")
    service = driver.app().http.revocations
    record, [first, *_] = await service.read((await service.order(request, caller=ADA)).fingerprint)
    assert (record.finding.reported_by, record.finding.credential) == (ADA, None)
    assert first.who == str(ADA)
    assert first.what == f"Ordered: account_key on key2 of {account.name}. Reason: A laptop was lost."


@pytest.mark.parametrize("account", ["nobodysaccount", "sasquashstate"])
async def test_order_for_a_foreign_or_own_account_is_refused(driver: Driver, account: str) -> None:
    request = OrderRequest(account, ActionKind.ACCOUNT_KEY, "key1", "A typing error.")
    with pytest.raises(InvalidRequest, match="account: "):
        await driver.app().http.revocations.order(request, caller=ADA)
    assert driver.sent == []


async def test_order_for_an_account_that_was_deleted_since_it_was_looked_up_is_refused(driver: Driver) -> None:
    account = await driver.account()
    app = driver.app()
    await app.fast_path.accounts.take_inventory()
    del driver.cloud.model.accounts[account.name]
    request = OrderRequest(account.name, ActionKind.ACCOUNT_KEY, "key1", "A laptop was lost.")
    with pytest.raises(InvalidRequest, match="account: "):
        await app.http.revocations.order(request, caller=ADA)


@pytest.mark.parametrize("policy", ["typing-error", "ended"])
async def test_order_for_a_missing_or_expired_policy_is_refused(driver: Driver, policy: str) -> None:
    account = await driver.account()
    await shares.under_policies(driver, account, "ended", days=-1)
    request = OrderRequest(account.name, ActionKind.STORED_POLICY, f"file/homes/{policy}", "The contract is over.")
    with pytest.raises(InvalidRequest, match="target: "):
        await driver.app().http.revocations.order(request, caller=ADA)
    assert driver.sent == []


async def test_order_that_times_out_is_a_transient_failure(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    account = await driver.account()
    monkeypatch.setattr(service_module, "_PATIENCE", 0.3)
    driver.fault(LIST_KEYS, Effect.HANG, times=None)
    request = OrderRequest(account.name, ActionKind.ACCOUNT_KEY, "key2", "A laptop was lost.")
    with pytest.raises(TransientFailure, match="nothing was ordered"):
        await driver.app().http.revocations.order(request, caller=ADA)
    assert driver.sent == []


async def test_repeated_order_is_a_second_order(driver: Driver) -> None:
    account = await driver.account()
    request = OrderRequest(account.name, ActionKind.ACCOUNT_KEY, "key2", "A laptop was lost.")
    service = driver.app().http.revocations
    one, two = [await service.order(request, caller=ADA) for _ in range(2)]
    assert one.fingerprint != two.fingerprint


async def test_target_that_does_not_match_its_action_is_refused(driver: Driver) -> None:
    request = OrderRequest("contosodata", ActionKind.ACCOUNT_KEY, "kerb1", "A laptop was lost.")
    with pytest.raises(InvalidRequest, match="key1 or key2"):
        await driver.app().http.revocations.order(request, caller=ADA)
