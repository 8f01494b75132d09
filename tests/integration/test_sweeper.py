"""The sweep: what is stuck goes on, what waits is left in peace, and nothing is given up for good."""

from datetime import timedelta

import pytest

from local.tenant.model import Account
from shared.domain.finding import Finding
from shared.domain.states import State
from shared.persistence.account_rows import waiting_partition
from shared.persistence.queues import Message
from tests.support.driver import OWNER, Crashed, Driver, Lifetime, found, report
from tests.support.leaks import account_sas

TAGS = {"sasquash-owner": OWNER}


@pytest.fixture(autouse=True)
async def quiet(driver: Driver) -> None:
    """The sweep checks nothing but what the test makes."""
    await driver.nothing_open()


@pytest.fixture
async def account(driver: Driver) -> Account:
    return await driver.account(tags=TAGS)


@pytest.fixture
async def stuck(driver: Driver, account: Account) -> Finding:
    """A leak that was recorded by an instance that crashed before it had sent a message."""
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app().fast_path.store.revocations.claim(finding)
    return finding


async def swept(driver: Driver, *, minutes: float = 21) -> None:
    driver.clock.advance(minutes=minutes)
    await driver.app().background.sweeper.run()


async def is_open(driver: Driver, finding: Finding) -> bool:
    table = driver.app().fast_path.state_index._table
    rows = table.query_entities("PartitionKey eq 'open' and RowKey eq @f", parameters={"f": finding.fingerprint})
    return bool([row async for row in rows])


async def test_received_record_without_a_message_gets_one(driver: Driver, stuck: Finding) -> None:
    await swept(driver)
    assert driver.messages("contain", stuck.fingerprint) == [(0.0, 0)]
    assert f"waiting~{stuck.fingerprint}" in await driver.rows(waiting_partition(stuck))


async def test_record_that_moved_lately_is_left_alone(driver: Driver, stuck: Finding) -> None:
    await swept(driver, minutes=19)
    assert driver.messages("contain", stuck.fingerprint) == []


async def test_record_is_swept_once_in_twenty_minutes(driver: Driver, stuck: Finding) -> None:
    await swept(driver)
    await swept(driver, minutes=5)
    assert len(driver.messages("contain", stuck.fingerprint)) == 1
    await swept(driver, minutes=16)
    assert len(driver.messages("contain", stuck.fingerprint)) == 2


async def test_record_is_swept_every_six_hours_after_a_day(driver: Driver, stuck: Finding) -> None:
    for _ in range(73):
        await swept(driver)
    before = len(driver.messages("contain", stuck.fingerprint))
    await swept(driver, minutes=300)
    assert len(driver.messages("contain", stuck.fingerprint)) == before
    await swept(driver, minutes=70)
    assert len(driver.messages("contain", stuck.fingerprint)) == before + 1


async def test_message_of_the_sweep_that_fails_adds_no_other(driver: Driver, stuck: Finding) -> None:
    driver.fault("/listKeys", times=None)
    await driver.app().fast_path.containment.resume(Message(stuck.fingerprint, swept=True))
    assert driver.messages("contain", stuck.fingerprint) == []


async def test_message_of_the_sweep_that_finds_the_account_busy_is_put_back_as_its_own(
    driver: Driver, account: Account, stuck: Finding
) -> None:
    await driver.app().fast_path.store.accounts.acquire(account.name, fingerprint="another")
    await driver.app().fast_path.containment.resume(Message(stuck.fingerprint, swept=True))
    [sent] = [s.message for s in driver.sent if s.message.fingerprint == stuck.fingerprint]
    assert sent.swept


async def test_revocation_with_a_lost_follow_up_is_followed_up(driver: Driver, account: Account) -> None:
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app().fast_path.ingest.receive(report(finding))
    driver.sent.clear()
    await swept(driver)
    assert driver.messages("follow-up", finding.fingerprint) == [(0.0, 0)]


async def test_closed_record_is_no_longer_checked(driver: Driver, account: Account) -> None:
    finding = found(account_sas(account.name, account.keys["key1"]))
    app = driver.app()
    await app.fast_path.ingest.receive(report(finding))
    await app.background.follow_up.run(Message(finding.fingerprint))
    assert (await driver.record(finding.fingerprint)).state is State.CLOSED
    await swept(driver)
    assert not await is_open(driver, finding)
    assert len(driver.messages("follow-up", finding.fingerprint)) == 1


async def test_waiting_plan_is_checked_at_its_deadline(driver: Driver, account: Account) -> None:
    finding = found(account_sas(account.name, account.keys["key1"]))
    app = driver.app(mode="approve")
    await app.fast_path.ingest.receive(report(finding))
    await app.background.follow_up.run(Message(finding.fingerprint))
    await swept(driver)
    assert await is_open(driver, finding)
    assert (await driver.record(finding.fingerprint)).state is State.AWAITING_APPROVAL
    await swept(driver, minutes=timedelta(hours=4) / timedelta(minutes=1))
    assert (await driver.record(finding.fingerprint)).state is State.UNRESOLVED


async def test_deadline_without_a_notification_is_on_time(driver: Driver, account: Account) -> None:
    """Its follow-up fails all the while, so that the sweep checks it every twenty minutes."""
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app(mode="approve").fast_path.ingest.receive(report(finding))
    for _ in range(11):
        await swept(driver)
    await swept(driver, minutes=10)
    assert (await driver.record(finding.fingerprint)).state is State.UNRESOLVED


async def test_unreadable_record_stops_no_other(driver: Driver, stuck: Finding) -> None:
    account = await driver.account()
    other = found(account_sas(account.name, account.keys["key1"]))
    await driver.app().fast_path.store.revocations.claim(other)
    driver.fault(f"RowKey='{stuck.fingerprint}'", times=None)
    await swept(driver)
    assert driver.messages("contain", other.fingerprint) == [(0.0, 0)]


@pytest.mark.parametrize("carried_out", [False, True])
async def test_sweep_that_crashes_at_any_call_is_repeated(
    driver: Driver, account: Account, *, carried_out: bool
) -> None:
    number, crashed = 0, True
    while crashed:
        number += 1
        await driver.nothing_open()  # a sweep of all that crashed before takes as many calls more
        finding = found(account_sas(account.name, f"{account.keys['key1'][:-6]}{number:04}=="))
        await driver.app().fast_path.store.revocations.claim(finding)
        driver.clock.advance(minutes=21)
        life, crashed = Lifetime(ends_at=number, carried_out=carried_out), False
        try:
            await driver.app(life).background.sweeper.run()
        except Crashed:
            crashed = True
        await swept(driver)
        assert driver.messages("contain", finding.fingerprint), f"crashed at call {number}"
        await driver.app().fast_path.containment.resume(Message(finding.fingerprint))
        driver.cool_down()
    assert number > 4
