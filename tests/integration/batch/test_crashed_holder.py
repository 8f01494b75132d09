"""The lock of an instance that crashed."""

import pytest

from shared.domain.states import Reason, State
from shared.persistence.queues import Message
from tests.support.containment import rotated
from tests.support.driver import Crashed, Driver, Lifetime, found, report
from tests.support.leaks import account_sas, blob_sas, later
from tests.support.waiting_leaks import REGENERATE, crashes, left_waiting


async def test_crash_before_the_execution_is_followed_by_an_execution(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    await crashes(driver, finding, Lifetime(stops_at=REGENERATE))
    await driver.app().fast_path.containment.resume(Message(finding.fingerprint))
    record = await driver.record(finding.fingerprint)
    assert (record.state, rotated(account)) == (State.CONTAINED, ["key1"])
    assert record.execution is not None
    assert record.execution.confirmed_by == "answer"


async def test_crash_after_the_execution_is_reported(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    await crashes(driver, finding, Lifetime(stops_at=REGENERATE, carried_out=True))
    await driver.app().fast_path.containment.resume(Message(finding.fingerprint))
    record = await driver.record(finding.fingerprint)
    assert (record.state, record.key_name, rotated(account)) == (State.CONTAINED, "key1", ["key1"])
    assert record.execution is not None
    assert record.attributed_at is not None
    assert record.attributed_at <= record.execution.at


async def test_lock_of_a_crashed_process_is_not_taken_early(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    await crashes(driver, finding, Lifetime(stops_at=REGENERATE), minutes=2)
    await driver.app().fast_path.containment.resume(Message(finding.fingerprint))
    assert rotated(account) == []
    [*_, (delay, _)] = driver.messages("contain", finding.fingerprint)
    assert 55 < delay <= 61


async def test_attribution_of_a_crashed_process_covers_all_its_leaks(driver: Driver) -> None:
    account = await driver.account()
    waits = found(blob_sas(account.name, account.keys["key1"]))
    await left_waiting(driver, waits)
    finding = found(account_sas(account.name, account.keys["key1"]))
    await crashes(driver, finding, Lifetime(stops_at=REGENERATE, carried_out=True))
    await driver.app().fast_path.containment.resume(Message(waits.fingerprint))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED
    assert (await driver.record(waits.fingerprint)).reason is Reason.COVERED


async def test_crash_of_the_successor_loses_no_information(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    await crashes(driver, finding, Lifetime(stops_at=REGENERATE, carried_out=True))
    number, crashed = 0, True
    while crashed:
        number += 1
        life = Lifetime(ends_at=number)
        try:
            await driver.app(life).fast_path.containment.resume(Message(finding.fingerprint))
        except Crashed:
            driver.clock.advance(minutes=4)
        crashed = life.ended
    assert number > 8
    record = await driver.record(finding.fingerprint)
    assert (record.state, record.key_name, rotated(account)) == (State.CONTAINED, "key1", ["key1"])


async def test_what_was_settled_and_could_not_be_saved_is_settled_again(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    await crashes(driver, finding, Lifetime(stops_at=REGENERATE, carried_out=True))
    driver.fault("/$batch", times=None)
    await driver.app().fast_path.containment.resume(Message(finding.fingerprint))
    driver.cloud.faults.clear()
    driver.clock.advance(minutes=4)
    await driver.app().fast_path.containment.resume(Message(finding.fingerprint))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED


async def test_rotation_is_counted_once_and_reported_by_one_record(driver: Driver) -> None:
    account = await driver.account()
    waits = found(blob_sas(account.name, account.keys["key1"]))
    await left_waiting(driver, waits)
    finding = found(account_sas(account.name, account.keys["key1"]))
    # The record of the execution stands, the covered one's does not.
    life = Lifetime(stops_at="POST https://sasquashstate.queue.core.windows.net/follow-up")
    await crashes(driver, finding, life)
    await driver.app().fast_path.containment.resume(Message(waits.fingerprint))
    records = [await driver.record(f.fingerprint) for f in (finding, waits)]
    assert [r.execution is not None for r in records] == [True, False]
    assert records[1].reason is Reason.COVERED
    assert sum(key.startswith("rotation~") for key in await driver.rows(account.name)) == 1


@pytest.mark.parametrize("key", ["key1", "key2"])
async def test_lock_that_was_left_behind_does_not_hold_up_a_new_leak(driver: Driver, key: str) -> None:
    """Its holder had done all but give it back; long after, the account leaks again."""
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    row = f"accounts(PartitionKey='{account.name}',RowKey='lock')"
    # The first writing of the lock's row is its note, the second gives it back.
    life = Lifetime(ends_at=2, counting=f"PUT https://sasquashstate.table.core.windows.net/{row}")
    with pytest.raises(Crashed):
        await driver.app(life).fast_path.ingest.receive(report(finding))
    driver.clock.advance(days=30)
    again = found(account_sas(account.name, account.keys[key], expiry=later(300)))
    await driver.app().fast_path.ingest.receive(report(again))
    assert ((await driver.record(again.fingerprint)).state, rotated(account)) == (State.CONTAINED, ["key1", key])


async def test_new_leak_is_decided_after_the_predecessors_execution_is_reconciled(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    await crashes(driver, finding, Lifetime(stops_at=REGENERATE, carried_out=True))
    again = found(account_sas(account.name, account.keys["key2"]))
    await driver.app().fast_path.ingest.receive(report(again))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED
    assert (await driver.record(again.fingerprint)).state is State.AWAITING_APPROVAL
    assert rotated(account) == ["key1"]
