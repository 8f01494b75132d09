"""What waits for an account is decided with it, and nothing is run without a record."""

import asyncio

from shared.domain.states import Reason, State
from shared.persistence.queues import Message
from tests.support import unusual_leaks
from tests.support.containment import rotated
from tests.support.driver import Driver, Lifetime, found, report
from tests.support.leaks import account_sas, blob_sas, small_sas
from tests.support.waiting_leaks import REGENERATE, left_waiting


async def test_waiting_row_of_a_decided_leak_runs_no_action(driver: Driver) -> None:
    """It is there for a moment whenever a known leak is reported again."""
    account = await driver.account()
    decided = found(account_sas(account.name, account.keys["key1"]))
    await driver.app(mode="approve").fast_path.ingest.receive(report(decided))
    await driver.app().fast_path.store.accounts.add_waiting(decided)
    await driver.app().fast_path.ingest.receive(report(found(unusual_leaks.forged(account.name, ""))))
    assert (await driver.record(decided.fingerprint)).state is State.AWAITING_APPROVAL
    assert rotated(account) == []


async def test_waiting_leak_without_a_record_runs_no_action(driver: Driver) -> None:
    account = await driver.account()
    unclaimed = found(account_sas(account.name, account.keys["key1"]))
    await driver.app().fast_path.store.accounts.add_waiting(unclaimed)
    await driver.app().fast_path.ingest.receive(report(found(unusual_leaks.forged(account.name, ""))))
    assert rotated(account) == []


async def test_another_waiting_leak_is_revoked_too(driver: Driver) -> None:
    account = await driver.account()
    waits = found(account_sas(account.name, account.keys["key1"]))
    await left_waiting(driver, waits)
    await driver.app().fast_path.ingest.receive(report(found(unusual_leaks.forged(account.name, ""))))
    assert ((await driver.record(waits.fingerprint)).state, rotated(account)) == (State.CONTAINED, ["key1"])


async def test_leak_that_was_decided_while_the_lock_was_awaited_is_left_alone(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    await left_waiting(driver, finding)
    late = Lifetime(stops_at="POST https://sasquashstate.table.core.windows.net/accounts")  # the lock
    resuming = asyncio.create_task(driver.app(late).fast_path.containment.resume(Message(finding.fingerprint)))
    await late.stopped.wait()
    await driver.app(mode="observe").fast_path.containment.resume(Message(finding.fingerprint))
    late.go.set()
    await resuming
    assert ((await driver.record(finding.fingerprint)).state, rotated(account)) == (State.OBSERVED, [])


async def test_low_privilege_leak_of_a_key_rotated_for_another_is_covered(driver: Driver) -> None:
    account = await driver.account()
    small = found(small_sas(account.name, account.keys["key1"]))
    await left_waiting(driver, small)
    await driver.app().fast_path.ingest.receive(report(found(account_sas(account.name, account.keys["key1"]))))
    assert (await driver.record(small.fingerprint)).reason is Reason.COVERED


async def test_blocked_action_fails_every_leak_that_it_would_revoke(driver: Driver) -> None:
    account = await driver.account()
    waits = found(blob_sas(account.name, account.keys["key1"]))
    await left_waiting(driver, waits)
    driver.fault(REGENERATE, status=403)
    await driver.app().fast_path.ingest.receive(report(found(account_sas(account.name, account.keys["key1"]))))
    assert (await driver.record(waits.fingerprint)).reason is Reason.BLOCKED


async def test_leak_of_the_other_key_stays_in_the_batch_when_the_first_action_is_blocked(driver: Driver) -> None:
    account = await driver.account()
    other = found(account_sas(account.name, account.keys["key2"]))
    await left_waiting(driver, other)
    driver.fault(REGENERATE, status=403)
    await driver.app().fast_path.ingest.receive(report(found(account_sas(account.name, account.keys["key1"]))))
    assert (await driver.record(other.fingerprint)).state is State.RECEIVED
