"""A key that is still accepted, or still listed, after its regeneration."""

from local.tenant.model import Account
from shared.domain.execution import Outcome
from shared.domain.states import Reason, State
from tests.support.driver import OWNER, Driver, report
from tests.support.followups import contained, followed, left


async def test_key_that_is_still_accepted_is_proven_later(driver: Driver, account: Account) -> None:
    old = account.keys["key1"]
    finding = await contained(driver, account)
    new = await in_force(driver, account, old)
    first = await followed(driver, finding)
    assert first.state is State.CONTAINED
    assert first.verification is not None
    assert (first.verification.outcome, first.verification.accepted) == (Outcome.PENDING, True)
    assert len(left(driver, finding)) == 1
    await in_force(driver, account, new)
    assert (await followed(driver, finding)).state is State.CLOSED


async def in_force(driver: Driver, account: Account, key: str) -> str:
    """Have the data plane take `key` for key1 while ARM lists what it listed; returns the key that ARM lists."""
    listed = account.keys["key1"]
    account.keys["key1"] = key
    await driver.cloud.model.keys_changed()
    account.keys["key1"] = listed
    return listed


async def test_key_that_lives_on_for_half_an_hour_is_still_alive(driver: Driver, account: Account) -> None:
    old = account.keys["key1"]
    finding = await contained(driver, account)
    await in_force(driver, account, old)
    await followed(driver, finding)
    driver.clock.advance(minutes=28)
    record = await followed(driver, finding)
    assert (record.state, record.reason) == (State.FAILED, Reason.STILL_ALIVE)
    assert [mail.to for mail in driver.mails(account.name)] == [(OWNER,)]


async def test_key_that_was_alive_when_it_was_last_asked_is_not_proven_by_tokens_that_expired(
    driver: Driver, account: Account
) -> None:
    old = account.keys["key1"]
    finding = await contained(driver, account)
    await in_force(driver, account, old)
    await followed(driver, finding)
    driver.clock.advance(hours=1)
    record = await followed(driver, finding)
    assert (record.state, record.reason) == (State.FAILED, Reason.STILL_ALIVE)


async def test_list_of_keys_that_lags_for_a_moment_pages_nobody(driver: Driver, account: Account) -> None:
    old = account.keys["key1"]
    finding = await contained(driver, account)
    new, account.keys["key1"] = account.keys["key1"], old
    assert (await followed(driver, finding)).state is State.CONTAINED
    account.keys["key1"] = new
    assert (await followed(driver, finding)).state is State.CLOSED


async def test_old_key_that_arm_goes_on_listing_is_still_alive(driver: Driver, account: Account) -> None:
    old = account.keys["key1"]
    finding = await contained(driver, account)
    account.keys["key1"] = old
    driver.clock.advance(minutes=3)
    record = await followed(driver, finding)
    assert (record.state, record.reason) == (State.FAILED, Reason.STILL_ALIVE)
    assert "ARM still lists the old key1" in record.detail


async def test_still_alive_leak_that_is_reported_again_keeps_its_record(driver: Driver, account: Account) -> None:
    old = account.keys["key1"]
    finding = await contained(driver, account)
    account.keys["key1"] = old
    driver.clock.advance(minutes=3)
    await followed(driver, finding)
    driver.clock.advance(minutes=3)
    await driver.app().fast_path.ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).reason is Reason.STILL_ALIVE
