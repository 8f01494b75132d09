"""The lock of an instance that stopped, or that lost it."""

import asyncio

import pytest

from local.tenant.model import Account
from shared.domain.states import Reason, State
from shared.persistence.queues import Message
from tests.support import shares
from tests.support.driver import Crashed, Driver, Lifetime, ended, found, report
from tests.support.leaks import blob_sas
from tests.support.patience import PATIENCE
from tests.support.policy_leaks import LIST_KEYS, REGENERATE, TOMBSTONE, leaked, set_acl


async def interrupted(driver: Driver, account: Account, text: str, at: str, *, carried_out: bool = True) -> None:
    """Stop an instance at the call `at`, when the lock says what for; then let the lock expire."""
    life = Lifetime(stops_at=at, carried_out=carried_out)
    task = asyncio.create_task(driver.app(life).fast_path.ingest.receive(report(found(text))))
    await life.stopped.wait()
    async with asyncio.timeout(PATIENCE):
        while 'attributed":[{' not in (await driver.rows(account.name))["lock"]["Intent"]:
            pass
    life.ended = True
    life.go.set()
    with pytest.raises(Crashed):
        await task
    driver.clock.advance(minutes=4)


@pytest.mark.parametrize("action", ["policy", "key"])
async def test_recovery_is_repeated_after_a_read_without_answer(driver: Driver, action: str) -> None:
    account, text = await leaked(driver)
    text = text if action == "policy" else blob_sas(account.name, account.keys["key1"])
    await interrupted(driver, account, text, set_acl(account) if action == "policy" else REGENERATE)
    driver.fault(LIST_KEYS, times=3)
    await driver.app().fast_path.containment.resume(Message(found(text).fingerprint))
    driver.cloud.faults.clear()
    record = await ended(driver, found(text).fingerprint)
    assert (record.state, record.execution is None) == (State.CONTAINED, False), record.detail


async def test_recovered_policy_revocation_names_the_signing_key(driver: Driver) -> None:
    account, _ = await leaked(driver)
    text = shares.leak(account, key="key2")
    await interrupted(driver, account, text, set_acl(account))
    record = await ended(driver, found(text).fingerprint)
    assert (record.key_name, record.key_sha256 is None) == ("key2", False)
    assert record.attributed_at is not None


async def test_policy_removed_by_others_after_a_crash_is_not_taken_for_our_execution(driver: Driver) -> None:
    account, text = await leaked(driver)
    await interrupted(driver, account, text, set_acl(account), carried_out=False)
    await shares.under_policies(driver, account, "suppliers")
    record = await ended(driver, found(text).fingerprint)
    assert (record.reason, record.execution) == (Reason.POLICY_GONE, None)
    assert (shares.policies(account)["partners"] or "").startswith(TOMBSTONE)


async def test_instance_that_lost_its_lock_revokes_nothing_twice(driver: Driver) -> None:
    account, text = await leaked(driver)
    finding = found(text)
    life = Lifetime(stops_at=set_acl(account))
    slow = asyncio.create_task(driver.app(life).fast_path.ingest.receive(report(finding)))
    await life.stopped.wait()
    driver.clock.advance(minutes=4)
    await driver.app().fast_path.containment.resume(Message(finding.fingerprint))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED
    life.go.set()
    await slow
    record = await driver.record(finding.fingerprint)
    assert [change.state for change in record.changes] == [State.RECEIVED, State.CONTAINED]
    assert (shares.policies(account)["partners"] or "").startswith(TOMBSTONE)
    assert not (shares.policies(account)["suppliers"] or TOMBSTONE).startswith(TOMBSTONE)
