"""Undoing a lockdown: restored properties, and locks of other processes."""

from dataclasses import replace
from typing import Any

import pytest

from shared.api.revocations.requests import OrderRequest
from shared.domain.states import State
from shared.domain.target import ActionKind, Lockdown
from shared.errors import (
    AccountBusy,
    NotAPerson,
    TransientFailure,
    WrongState,
)
from shared.persistence.accounts import TAKEOVER_TIME, WORK_TIME
from shared.persistence.queues import Message
from tests.support.containment import CONTAIN_QUEUE
from tests.support.decisions import ADA, BOB, EVE, digest_of, locked_down, shared_key_of
from tests.support.driver import Driver, found
from tests.support.leaks import account_sas


async def test_undone_lockdown_restores_the_properties(driver: Driver) -> None:
    account = await driver.account()
    record = await locked_down(driver, account)
    after = await driver.app().http.revocations.undo_lockdown(record.fingerprint, reason="All moved.", caller=EVE)
    assert shared_key_of(account) is not False
    assert after.lockdown is not None
    assert (after.state, after.lockdown.undone_at is not None) == (State.CLOSED, True)
    assert driver.messages("follow-up", record.fingerprint)[-1] == (0.0, 0)
    assert "lock" not in await driver.rows(account.name)


async def test_lockdown_is_undone_once(driver: Driver) -> None:
    account = await driver.account()
    record = await locked_down(driver, account)
    service = driver.app().http.revocations
    await service.undo_lockdown(record.fingerprint, reason="All moved.", caller=EVE)
    with pytest.raises(WrongState, match="was undone"):
        await service.undo_lockdown(record.fingerprint, reason="All moved.", caller=EVE)


async def test_account_stays_locked_while_the_queue_refuses_messages(driver: Driver) -> None:
    """An account that were opened without its record would stay open, and its record say that it is locked."""
    account = await driver.account()
    record = await locked_down(driver, account)
    driver.fault(CONTAIN_QUEUE, times=9)
    with pytest.raises(TransientFailure):
        await driver.app().http.revocations.undo_lockdown(record.fingerprint, reason="All moved.", caller=EVE)
    assert shared_key_of(account) is False
    driver.cloud.faults.clear()
    after = await driver.app().http.revocations.undo_lockdown(record.fingerprint, reason="All moved.", caller=EVE)
    assert (after.state, shared_key_of(account) is not False) == (State.CLOSED, True)


async def test_lockdown_is_not_undone_during_containment_of_the_account(driver: Driver) -> None:
    account = await driver.account()
    record = await locked_down(driver, account)
    driver.cool_down()
    lock = await driver.app().fast_path.store.accounts.acquire(account.name, fingerprint="another")
    with pytest.raises(AccountBusy):
        await driver.app().http.revocations.undo_lockdown(record.fingerprint, reason="All moved.", caller=EVE)
    assert shared_key_of(account) is False
    await driver.app().fast_path.store.accounts.release(lock, listed_at=None)
    after = await driver.app().http.revocations.undo_lockdown(record.fingerprint, reason="All moved.", caller=EVE)
    assert after.state is State.CLOSED


async def test_lock_of_a_process_that_crashed_during_an_action_is_left_to_recovery(driver: Driver) -> None:
    account = await driver.account()
    record = await locked_down(driver, account)
    driver.cool_down()
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app().fast_path.store.revocations.claim(finding)
    await driver.app().fast_path.store.accounts.acquire(account.name, fingerprint=finding.fingerprint)
    predecessor = (await driver.rows(account.name))["lock"]["Intent"]
    driver.clock.advance(seconds=(WORK_TIME + TAKEOVER_TIME).total_seconds() + 1)
    with pytest.raises(AccountBusy):
        await driver.app().http.revocations.undo_lockdown(record.fingerprint, reason="All moved.", caller=EVE)
    assert (await driver.rows(account.name))["lock"]["Intent"] == predecessor
    assert (driver.messages("contain", finding.fingerprint), shared_key_of(account)) == ([(0.0, 0)], False)
    await driver.app().fast_path.containment.resume(Message(finding.fingerprint))
    after = await driver.app().http.revocations.undo_lockdown(record.fingerprint, reason="All moved.", caller=EVE)
    assert after.state is State.CLOSED


async def test_lock_of_a_process_that_crashed_before_an_action_is_taken_over(driver: Driver) -> None:
    account = await driver.account()
    record = await locked_down(driver, account)
    driver.cool_down()
    await driver.app().fast_path.store.accounts.acquire(account.name, fingerprint=record.fingerprint)
    driver.clock.advance(seconds=(WORK_TIME + TAKEOVER_TIME).total_seconds() + 1)
    after = await driver.app().http.revocations.undo_lockdown(record.fingerprint, reason="All moved.", caller=EVE)
    assert (after.state, "lock" in await driver.rows(account.name)) == (State.CLOSED, False)


async def test_account_changed_since_the_lockdown_is_not_changed(driver: Driver) -> None:
    account = await driver.account()
    service = driver.app().http.revocations
    request = OrderRequest(account.name, ActionKind.LOCKDOWN, Lockdown.NETWORK, "We don't know which key.")
    record = await service.order(request, caller=ADA)
    done = await service.approve(record.fingerprint, digest=digest_of(record), reason="Yes.", caller=BOB)
    assert done.state is State.CONTAINED
    rules: Any = account.properties["networkAcls"]
    account.properties["networkAcls"] = rules | {"ipRules": [{"value": "203.0.113.7", "action": "Allow"}]}
    with pytest.raises(WrongState, match="ipRules"):
        await service.undo_lockdown(record.fingerprint, reason="All moved.", caller=EVE)
    assert (await driver.record(record.fingerprint)).state is State.CONTAINED
    assert "lock" not in await driver.rows(account.name)


async def test_application_undoes_no_lockdown(driver: Driver) -> None:
    """The leak that it blocks may work again."""
    account = await driver.account()
    record = await locked_down(driver, account)
    program = replace(EVE, is_person=False)
    with pytest.raises(NotAPerson):
        await driver.app().http.revocations.undo_lockdown(record.fingerprint, reason="Moved.", caller=program)
    assert account.properties["allowSharedKeyAccess"] is False
