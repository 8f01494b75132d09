"""Faults of the action: throttled, lost and slow responses of ARM."""

import asyncio

import pytest

from local.network.faults import Effect
from local.tenant.model import SUBSCRIPTION_ID, Account
from shared.actions import account_key
from shared.app import App
from shared.cloud.arm_throttle import Kind as ArmCall
from shared.containment import execution, ingest
from shared.domain.finding import Finding
from shared.domain.states import State
from shared.persistence.accounts import AccountTable
from shared.persistence.queues import Message
from tests.support import shares, unusual_leaks
from tests.support.containment import (
    LIST_KEYS,
    REGENERATE,
    rotated,
)
from tests.support.driver import Driver, ended, found, report
from tests.support.leaks import account_sas, later, small_sas

# --- faults of the action


async def test_rotation_is_recorded_though_the_note_in_the_lock_gets_no_answer(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the lock's time is up before the record is written, and nothing says whose rotation it was."""

    async def unanswered(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(AccountTable, "attribute", unanswered)
    monkeypatch.setattr(execution, "_NOTE_PATIENCE", 0.0)
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))

    await driver.app().fast_path.ingest.receive(report(finding))

    record = await driver.record(finding.fingerprint)
    assert (record.state, rotated(account)) == (State.CONTAINED, ["key1"])
    assert "Intent" not in (await driver.rows(account.name))["lock"]


async def test_throttled_action_runs_when_arm_permits(driver: Driver) -> None:
    account = await driver.account()
    driver.fault(REGENERATE, status=429)
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app().fast_path.ingest.receive(report(finding))
    assert (rotated(account), "Intent" in (await driver.rows(account.name))["lock"]) == ([], False)
    assert (await ended(driver, finding.fingerprint)).state is State.CONTAINED
    assert (rotated(account), len(driver.requests(REGENERATE))) == (["key1"], 2)


async def waiting_for_arm(driver: Driver, account: Account, *, seconds: float = 3600) -> tuple[App, Finding]:
    """A leak of key1 whose action ARM refused, and the app whose ARM takes no change for so long."""
    driver.fault(REGENERATE, status=429)
    finding = found(account_sas(account.name, account.keys["key1"]))
    app = driver.app()
    await app.fast_path.ingest.receive(report(finding))
    driver.cool_down()
    app.clients.pace.throttled(SUBSCRIPTION_ID, ArmCall.WRITE, seconds=seconds)
    return app, finding


async def test_what_waits_for_arm_lists_no_keys_meanwhile(driver: Driver) -> None:
    account = await driver.account()
    app, finding = await waiting_for_arm(driver, account, seconds=120)
    before = len(driver.requests("management.azure.com"))
    for message in (Message(finding.fingerprint), Message(finding.fingerprint, attempt=9)):
        await app.fast_path.containment.resume(message)
    assert len(driver.requests("management.azure.com")) == before > 0
    assert driver.messages("contain", finding.fingerprint)[-1] == (240.0, 10)
    driver.clock.advance(minutes=4)
    await app.fast_path.containment.resume(Message(finding.fingerprint, attempt=10))
    assert ((await driver.record(finding.fingerprint)).state, rotated(account)) == (State.CONTAINED, ["key1"])


async def test_what_failed_otherwise_since_is_not_held_back_for_arm(driver: Driver) -> None:
    account = await driver.account()
    driver.fault(REGENERATE, status=429)
    finding = found(account_sas(account.name, account.keys["key1"]))
    app = driver.app()
    await app.fast_path.ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).waits_for_arm
    driver.clock.advance(minutes=1)
    driver.fault(LIST_KEYS, times=3)
    await app.fast_path.containment.resume(Message(finding.fingerprint, attempt=1))
    assert not (await driver.record(finding.fingerprint)).waits_for_arm


@pytest.mark.parametrize("what", ["a policy", "a person", "nothing"])
async def test_leak_that_waits_for_arm_holds_up_no_other_of_its_account(driver: Driver, what: str) -> None:
    account = await driver.account()
    await shares.under_policies(driver, account, "partners")
    app, waits = await waiting_for_arm(driver, account)
    leak, state = {
        "a policy": (shares.leak(account, key="key2"), State.CONTAINED),
        "a person": (small_sas(account.name, account.keys["key2"]), State.AWAITING_APPROVAL),
        "nothing": (unusual_leaks.forged(account.name, ""), State.UNRESOLVED),
    }[what]
    await app.fast_path.ingest.receive(report(found(leak)))
    assert (await driver.record(found(leak).fingerprint)).state is state
    record = await driver.record(waits.fingerprint)
    assert (record.state, record.waits_for_arm, rotated(account)) == (State.RECEIVED, True, [])


async def test_leak_under_the_key_that_waits_for_arm_waits_for_it_too(driver: Driver) -> None:
    account = await driver.account()
    app, _ = await waiting_for_arm(driver, account)
    second = found(account_sas(account.name, account.keys["key1"], expiry=later(3)))
    await app.fast_path.ingest.receive(report(second))
    assert (await driver.record(second.fingerprint)).waits_for_arm


async def test_leak_that_was_not_decided_on_asks_a_person_though_arm_wants_to_be_left_alone(driver: Driver) -> None:
    account = await driver.account()
    driver.fault(LIST_KEYS, times=3)
    app = driver.app(mode="approve")
    finding = found(account_sas(account.name, account.keys["key1"]))
    await app.fast_path.ingest.receive(report(finding))
    driver.cool_down()
    app.clients.pace.throttled(SUBSCRIPTION_ID, ArmCall.WRITE, seconds=3600)
    await app.fast_path.containment.resume(Message(finding.fingerprint, attempt=1))
    assert (await driver.record(finding.fingerprint)).state is State.AWAITING_APPROVAL


async def test_stored_policy_is_ended_though_arm_wants_to_be_left_alone(driver: Driver) -> None:
    account = await driver.account()
    await shares.under_policies(driver, account, "partners")
    finding = found(shares.leak(account))
    driver.fault(LIST_KEYS, times=3)
    app = driver.app()
    await app.fast_path.ingest.receive(report(finding))
    driver.cool_down()
    app.clients.pace.throttled(SUBSCRIPTION_ID, ArmCall.WRITE, seconds=3600)
    await app.fast_path.containment.resume(Message(finding.fingerprint, attempt=1))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED


@pytest.mark.parametrize(
    ("effect", "after"),
    [
        (Effect.STATUS, False),
        (Effect.STATUS, True),
        (Effect.RESET, False),
        (Effect.RESET, True),
        (Effect.HANG, False),
        (Effect.HANG, True),
    ],
)
async def test_action_with_a_lost_response_runs_once(
    driver: Driver, effect: Effect, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_key, "_REGENERATE_TIMEOUT", 0.4)
    account = await driver.account()
    driver.fault(REGENERATE, effect, after=after)
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app().fast_path.ingest.receive(report(finding))
    record = await ended(driver, finding.fingerprint)
    assert (record.state, rotated(account)) == (State.CONTAINED, ["key1"])
    assert record.execution is not None
    assert record.execution.confirmed_by == ("listing" if after else "answer")


async def test_lost_answer_is_settled_at_once_when_the_keys_can_be_listed(driver: Driver) -> None:
    account = await driver.account()
    driver.fault(REGENERATE, Effect.RESET, after=True)
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app().fast_path.ingest.receive(report(finding))
    record = await driver.record(finding.fingerprint)
    assert record.state is State.CONTAINED
    assert record.execution is not None
    assert record.execution.verification_tokens


async def test_action_that_exceeds_the_inline_budget_is_recovered(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "INLINE_BUDGET", 0.6)
    account = await driver.account()
    driver.fault(REGENERATE, Effect.HANG, after=True)
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app().fast_path.ingest.receive(report(finding))
    assert "lock" in await driver.rows(account.name)
    record = await ended(driver, finding.fingerprint)
    assert (record.state, record.key_name, rotated(account)) == (State.CONTAINED, "key1", ["key1"])
