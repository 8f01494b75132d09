"""Others change the policy at the same time."""

from shared.domain.caller import Caller
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind
from tests.support import shares
from tests.support.driver import Driver, found, report
from tests.support.policy_leaks import TOMBSTONE, leaked, meanwhile

ADA = Caller("ada@contoso.com", "00000000-0000-4000-8000-00000000000a", is_person=True)


async def test_policy_that_somebody_removes_in_between_is_dormant_under_a_tombstone(driver: Driver) -> None:
    account, text = await leaked(driver)
    record = await meanwhile(driver, account, text, shares.under_policies(driver, account, "suppliers"))
    assert (record.state, record.reason) == (State.UNRESOLVED, Reason.POLICY_GONE)
    assert (shares.policies(account)["partners"] or "").startswith(TOMBSTONE)
    assert not (shares.policies(account)["suppliers"] or TOMBSTONE).startswith(TOMBSTONE)


async def test_policy_that_somebody_makes_anew_in_between_is_ended_as_it_is_then(driver: Driver) -> None:
    account, text = await leaked(driver)
    record = await meanwhile(
        driver, account, text, shares.under_policies(driver, account, "partners", "suppliers", days=90)
    )
    assert record.state is State.CONTAINED
    assert (shares.policies(account)["partners"] or "").startswith(TOMBSTONE)


async def test_policy_recreated_while_its_tombstone_is_written_is_revoked(driver: Driver) -> None:
    account, text = await leaked(driver)
    await shares.under_policies(driver, account, "suppliers")
    record = await meanwhile(driver, account, text, shares.under_policies(driver, account, "partners", "suppliers"))
    assert (record.state, record.execution is None) == (State.CONTAINED, False), record.detail
    assert (shares.policies(account)["partners"] or "").startswith(TOMBSTONE)


async def approve(driver: Driver, record: Revocation) -> Revocation:
    assert record.plan is not None
    console = driver.app(mode="approve").http.revocations
    return await console.approve(record.fingerprint, digest=record.plan.digest, reason="Yes.", caller=ADA)


async def awaiting(driver: Driver, text: str) -> Revocation:
    await driver.app(mode="approve").fast_path.ingest.receive(report(found(text)))
    record = await driver.record(found(text).fingerprint)
    assert (record.state, record.plan and record.plan.action) == (State.AWAITING_APPROVAL, ActionKind.STORED_POLICY)
    return record


async def test_approved_end_of_a_policy_is_carried_out(driver: Driver) -> None:
    account, text = await leaked(driver)
    record = await awaiting(driver, text)
    await shares.under_policies(driver, account, "others", share="elsewhere")  # of no concern
    assert (await approve(driver, record)).state is State.CONTAINED
    assert (shares.policies(account)["partners"] or "").startswith(TOMBSTONE)


async def test_approval_goes_stale_with_the_policy(driver: Driver) -> None:
    account, text = await leaked(driver)
    record = await awaiting(driver, text)
    await shares.under_policies(driver, account, "partners", days=90)
    after = await approve(driver, record)
    assert (after.state, "the plan has changed since" in after.detail) == (State.AWAITING_APPROVAL, True)
    assert not (shares.policies(account)["partners"] or TOMBSTONE).startswith(TOMBSTONE)
    assert (await approve(driver, after)).state is State.CONTAINED


async def test_approval_outlives_a_change_of_its_neighbors(driver: Driver) -> None:
    account, text = await leaked(driver)
    record = await awaiting(driver, text)
    account.policies["file", "homes"] = account.policies["file", "homes"][:1]  # the other one is removed
    assert (await approve(driver, record)).state is State.CONTAINED
