"""An instance that crashed before it had noted what it had proven."""

from datetime import UTC, datetime, timedelta

import pytest

from local.network.faults import Effect
from local.tenant.model import Account
from shared.domain.finding import Finding
from shared.domain.states import Reason, State
from shared.persistence.queues import Message
from tests.support import unusual_leaks
from tests.support.containment import rotated
from tests.support.driver import Crashed, Driver, Lifetime, found, report
from tests.support.leaks import account_sas, blob_sas
from tests.support.waiting_leaks import NOTE, REGENERATE, TABLES, crashes, left_waiting


async def test_key_created_under_an_unnoted_lock_is_evidence_of_the_execution(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    await left_waiting(driver, finding)
    await locked_and_crashed(driver, account, finding)
    await driver.cloud.model.regenerate(account, "key1")  # the crashed instance's call
    account.key_created["key1"] = driver.clock()
    driver.clock.advance(minutes=4)
    await driver.app().fast_path.containment.resume(Message(finding.fingerprint))
    record = await driver.record(finding.fingerprint)
    assert (record.state, rotated(account)) == (State.CONTAINED, ["key1"])
    assert record.attributed_at is None, "nobody can prove any more which key it was"


async def test_key_created_after_the_time_of_an_unnoted_lock_is_no_evidence(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    await left_waiting(driver, finding)
    await locked_and_crashed(driver, account, finding)
    await driver.cloud.model.regenerate(account, "key1")
    account.key_created["key1"] += timedelta(minutes=10)
    driver.clock.advance(minutes=20)
    await driver.app().fast_path.containment.resume(Message(finding.fingerprint))
    assert (await driver.record(finding.fingerprint)).reason is Reason.NO_KEY_MATCHES


async def test_reported_rotation_is_not_reported_again_for_the_next_crash(driver: Driver) -> None:
    """The next takes the lock a moment after the account was rotated for another leak, and crashes at once."""
    account = await driver.account()
    recorded = found(account_sas(account.name, account.keys["key1"]))
    late = found(blob_sas(account.name, account.keys["key1"]))
    await driver.app().fast_path.ingest.receive(report(recorded))
    await left_waiting(driver, late)
    account.key_created["key1"] = driver.clock()  # as if regenerating it had taken all of its time
    await locked_and_crashed(driver, account, late)
    driver.clock.advance(minutes=4)
    await driver.app().fast_path.containment.resume(Message(late.fingerprint))
    record = await driver.record(late.fingerprint)
    assert (record.reason, record.execution) == (Reason.NO_KEY_MATCHES, None)


async def test_unnoted_execution_is_reported_though_the_successor_crashed_too(driver: Driver) -> None:
    account = await driver.account()
    first = found(account_sas(account.name, account.keys["key1"]))
    second = found(blob_sas(account.name, account.keys["key1"]))
    for finding in (first, second):
        await left_waiting(driver, finding)
    await locked_and_crashed(driver, account, first)
    await driver.cloud.model.regenerate(account, "key1")  # the crashed instance's call
    account.key_created["key1"] = driver.clock()
    for _ in range(2):  # each crashed before it had settled anything
        driver.clock.advance(minutes=4)
        await locked_and_crashed(driver, account, second)
    driver.clock.advance(minutes=4)
    await driver.app().fast_path.containment.resume(Message(second.fingerprint))
    assert (await driver.record(first.fingerprint)).state is State.CONTAINED
    assert (await driver.record(second.fingerprint)).reason is Reason.NO_KEY_MATCHES


async def test_unnoted_execution_is_reported_under_a_lock_with_the_predecessors_attribution(
    driver: Driver,
) -> None:
    """The second instance crashed at its own action, two days later, once it had settled the first one's."""
    account = await driver.account()
    first, second = (found(account_sas(account.name, account.keys[key])) for key in ("key1", "key2"))
    await crashes(driver, first, Lifetime(stops_at=REGENERATE, carried_out=True), minutes=2 * 24 * 60)
    # The first writing of the lock's row takes it over, the second would have been its note.
    life = Lifetime(ends_at=2, counting=f"{NOTE}='{account.name}',RowKey='lock')")
    with pytest.raises(Crashed):
        await driver.app(life).fast_path.ingest.receive(report(second))
    assert (await driver.record(first.fingerprint)).state is State.CONTAINED
    await driver.cloud.model.regenerate(account, "key2")  # the second instance's call
    account.key_created["key2"] = driver.clock()
    driver.clock.advance(minutes=4)
    await driver.app().fast_path.containment.resume(Message(second.fingerprint))
    record = await driver.record(second.fingerprint)
    assert (record.state, record.execution and record.execution.target) == (State.CONTAINED, "key2")


async def test_unnoted_execution_for_a_waiting_leak_is_reported_by_its_own_record(driver: Driver) -> None:
    account = await driver.account()
    waits = found(account_sas(account.name, account.keys["key1"]))
    forged = found(unusual_leaks.forged(account.name, ""))
    await left_waiting(driver, waits)
    driver.fault(f"{NOTE}='{account.name}',RowKey='lock')", Effect.STATUS, status=500, times=None)
    life = Lifetime(
        ends_at=2, counting=f"POST {TABLES}/$batch"
    )  # the first is the claim of what it holds the lock for
    with pytest.raises(Crashed):
        await driver.app(life).fast_path.ingest.receive(report(forged))
    driver.cloud.faults.clear()
    driver.clock.advance(minutes=4)
    await driver.app().fast_path.containment.resume(Message(forged.fingerprint))
    record = await driver.record(waits.fingerprint)
    assert (record.state, record.execution and record.execution.target) == (State.CONTAINED, "key1")
    assert (await driver.record(forged.fingerprint)).reason is Reason.NO_KEY_MATCHES


async def test_forged_leak_on_an_account_that_was_just_made_is_not_called_contained(driver: Driver) -> None:
    account = await driver.account()
    account.key_created = dict.fromkeys(account.keys, datetime.now(UTC))
    finding = found(unusual_leaks.forged(account.name, ""))
    await left_waiting(driver, finding)
    await locked_and_crashed(driver, account, finding)
    driver.clock.advance(minutes=4)
    await driver.app().fast_path.containment.resume(Message(finding.fingerprint))
    assert (await driver.record(finding.fingerprint)).reason is Reason.NO_KEY_MATCHES


async def test_live_leak_under_an_unnoted_lock_is_revoked(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    await left_waiting(driver, finding)
    await locked_and_crashed(driver, account, finding)
    driver.clock.advance(minutes=4)
    await driver.app().fast_path.containment.resume(Message(finding.fingerprint))
    assert ((await driver.record(finding.fingerprint)).state, rotated(account)) == (State.CONTAINED, ["key1"])


async def locked_and_crashed(driver: Driver, account: Account, finding: Finding) -> None:
    """The lock as an instance leaves it that crashed between its call to ARM and its note."""
    await driver.app().fast_path.store.accounts.acquire(account.name, fingerprint=finding.fingerprint)
