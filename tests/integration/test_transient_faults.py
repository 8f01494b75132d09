"""Faults of every other call, and crashes at any of them: retried, and never twice."""

import asyncio
from dataclasses import replace

import pytest

from local.network.faults import Effect
from shared.domain.states import Reason, State
from shared.errors import SasquashError
from shared.persistence.queues import Message
from tests.support import unusual_leaks
from tests.support.containment import (
    BATCH,
    CONTAIN_QUEUE,
    LIST_KEYS,
    REGENERATE,
    RESOURCE_GRAPH,
    fingerprint_of,
    rotated,
)
from tests.support.driver import Crashed, Driver, Lifetime, ended, found, report
from tests.support.leaks import account_sas

# --- faults of everything else: what passes is tried again, and never twice


@pytest.mark.parametrize(
    "match",
    [
        RESOURCE_GRAPH,
        LIST_KEYS,
        "storageAccounts/driven",
        "/accounts()?$filter",
        "POST https://sasquashstate.table.core.windows.net/accounts",
    ],
)
@pytest.mark.parametrize("effect", [Effect.STATUS, Effect.RESET])
async def test_failing_call_only_delays_the_revocation(driver: Driver, match: str, effect: Effect) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    driver.fault(match.strip(), effect, times=3)
    await driver.app().fast_path.ingest.receive(report(finding))
    driver.cloud.faults.clear()
    assert ((await ended(driver, finding.fingerprint)).state, rotated(account)) == (State.CONTAINED, ["key1"])


@pytest.mark.parametrize(
    "match",
    [
        "POST https://sasquashstate.table.core.windows.net/accounts",  # the lock
        "/accounts()?$filter",  # what waits for the account
        "GET https://sasquashstate.table.core.windows.net/revocations(",
        "sasquashstate.table.core.windows.net/accounts",
    ],
)
@pytest.mark.parametrize("status", [401, 403, 404])
async def test_leak_waits_while_sasquash_s_own_tables_refuse(driver: Driver, match: str, status: int) -> None:
    """A refusal of Azure would conclude it as blocked, and this says nothing about the leak."""
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    app = driver.app()
    await app.fast_path.store.revocations.claim(finding)  # durable before the refusals begin
    await app.fast_path.store.accounts.add_waiting(finding)
    refusals = driver.fault(match, status=status, times=None)
    for attempt in range(3):
        await driver.app().fast_path.containment.resume(Message(finding.fingerprint, attempt))
    driver.cloud.faults.clear()
    waiting = await driver.record(finding.fingerprint)
    assert refusals.hits
    assert (waiting.state, rotated(account)) == (State.RECEIVED, [])
    assert len(driver.messages("contain", finding.fingerprint)) == 3  # one for each that failed
    assert ((await ended(driver, finding.fingerprint)).state, rotated(account)) == (State.CONTAINED, ["key1"])


async def test_leak_whose_changes_are_refused_is_enqueued_once_for_each_try(driver: Driver) -> None:
    """What it waits for can't be noted then, and two messages for each one would soon be millions."""
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    app = driver.app()
    await app.fast_path.store.revocations.claim(finding)
    for match in (LIST_KEYS, BATCH):
        driver.fault(match, status=403 if match == BATCH else 503, times=None)
    for attempt in range(2):
        await driver.app().fast_path.containment.resume(Message(finding.fingerprint, attempt))
    assert len(driver.messages("contain", finding.fingerprint)) == 2


@pytest.mark.parametrize("match", [BATCH, "RowKey='waiting~", CONTAIN_QUEUE])
async def test_report_is_not_acknowledged_until_it_is_durable(driver: Driver, match: str) -> None:
    account = await driver.account()
    one = report(found(account_sas(account.name, account.keys["key1"])))
    driver.fault(match, times=3)
    with pytest.raises(SasquashError):
        await driver.app().fast_path.ingest.receive(one)
    assert rotated(account) == []
    await driver.app().fast_path.ingest.receive(one)  # Event Grid tries again
    assert (await ended(driver, fingerprint_of(one))).state is State.CONTAINED


async def test_failure_after_the_finding_is_durable_is_not_event_grid_s(driver: Driver) -> None:
    """Its retries would delay other findings: the safety net is in the queue already."""
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    driver.fault("visibilitytimeout=5", times=None)  # the message that would go on earlier
    driver.fault(LIST_KEYS, times=3)
    await driver.app().fast_path.ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).state is State.RECEIVED


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("effect", [Effect.STATUS, Effect.RESET])
async def test_unrecorded_execution_is_recorded_later(driver: Driver, effect: Effect, after: bool) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    life = Lifetime(stops_at="RowKey='rotation~")  # written right before the record
    receiving = asyncio.create_task(driver.app(life).fast_path.ingest.receive(report(finding)))
    await life.stopped.wait()
    driver.fault(BATCH, effect, times=3, after=after)
    life.go.set()
    await receiving
    driver.cloud.faults.clear()
    record = await ended(driver, finding.fingerprint)
    driver.clock.advance(minutes=4)
    await driver.app().fast_path.containment.resume(Message(finding.fingerprint))
    assert (record.state, rotated(account)) == (State.CONTAINED, ["key1"])
    assert driver.messages("follow-up", finding.fingerprint)


async def test_revocation_is_reported_though_the_record_ended_meanwhile(driver: Driver) -> None:
    """Another instance was refused by Azure and ended the record, while this one's action was on its way."""
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    life = Lifetime(stops_at=REGENERATE)
    receiving = asyncio.create_task(driver.app(life).fast_path.ingest.receive(report(finding)))
    await life.stopped.wait()
    driver.fault(RESOURCE_GRAPH, status=403)
    await driver.app().fast_path.containment.resume(Message(finding.fingerprint))
    assert (await driver.record(finding.fingerprint)).state is State.FAILED
    life.go.set()
    await receiving
    record = await driver.record(finding.fingerprint)
    assert (record.state, rotated(account)) == (State.CONTAINED, ["key1"])


async def test_leak_whose_record_was_written_without_an_answer_is_revoked_at_once(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    driver.fault(BATCH, status=503, after=True)
    await driver.app().fast_path.ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED


async def test_saved_record_with_a_lost_response_is_enqueued(driver: Driver) -> None:
    account = await driver.account()
    finding = found(unusual_leaks.forged(account.name, ""))
    driver.fault(LIST_KEYS, times=3)
    await driver.app().fast_path.ingest.receive(report(finding))
    driver.cool_down()
    driver.fault(BATCH, status=503, after=True)  # the client tries again, and gets the answer that the record changed
    await driver.app().fast_path.containment.resume(Message(finding.fingerprint))
    assert driver.messages("follow-up", finding.fingerprint) == [(0.0, 0)]


async def test_table_that_is_down_puts_the_message_back(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    driver.fault(LIST_KEYS, times=3)
    await driver.app().fast_path.ingest.receive(report(finding))
    driver.fault("/revocations(", times=3)
    await driver.app().fast_path.containment.resume(Message(finding.fingerprint, attempt=3))
    assert driver.messages("contain", finding.fingerprint)[-1] == (8.0, 4)


async def test_backs_off_and_gives_up_after_a_day(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    driver.fault(LIST_KEYS, times=None)
    await driver.app().fast_path.ingest.receive(report(finding))
    assert driver.messages("contain", finding.fingerprint)[-1] == (1.0, 1)
    driver.cool_down()
    await driver.app().fast_path.containment.resume(Message(finding.fingerprint, attempt=20))
    assert driver.messages("contain", finding.fingerprint)[-1] == (900.0, 21)
    driver.clock.advance(hours=25)
    await driver.app().fast_path.containment.resume(Message(finding.fingerprint, attempt=90))
    record = await driver.record(finding.fingerprint)
    assert (record.state, record.reason) == (State.FAILED, Reason.BLOCKED)


async def test_message_of_a_decided_record_enqueues_it_unless_the_follow_up_started(driver: Driver) -> None:
    account = await driver.account()
    finding = found(unusual_leaks.forged(account.name, ""))
    app = driver.app()
    await app.fast_path.ingest.receive(report(finding))
    await app.fast_path.containment.resume(Message(finding.fingerprint))
    assert len(driver.messages("follow-up", finding.fingerprint)) == 2
    await app.background.follow_up.run(Message(finding.fingerprint))
    await app.fast_path.containment.resume(Message(finding.fingerprint))
    assert len(driver.messages("follow-up", finding.fingerprint)) == 2


async def test_record_says_what_it_waits_for(driver: Driver) -> None:
    """A responder at three in the morning must not have to read logs."""
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    driver.fault(LIST_KEYS, times=3)
    await driver.app().fast_path.ingest.receive(report(finding))
    record = await driver.record(finding.fingerprint)
    assert record.state is State.RECEIVED
    assert record.detail.startswith("It is being tried again. Listing the keys of")


async def test_report_that_many_send_at_once_is_acknowledged_though_it_could_not_be_noted(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app().fast_path.ingest.receive(report(finding))
    monkeypatch.setattr("shared.persistence.revocations._CHANGE_ATTEMPTS", 0)
    await driver.app().fast_path.ingest.receive(report(replace(finding, source="another")))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED


# --- crashed at any remote call


@pytest.mark.parametrize("carried_out", [False, True])
async def test_crash_at_any_call_leaves_one_rotation_and_its_record(driver: Driver, carried_out: bool) -> None:
    number = 0
    while True:
        number += 1
        account = await driver.account()
        one = report(found(account_sas(account.name, account.keys["key1"])))
        life = Lifetime(ends_at=number, carried_out=carried_out)
        try:
            await driver.app(life).fast_path.ingest.receive(one)
        except Crashed:
            driver.clock.advance(minutes=1)
            await driver.app().fast_path.ingest.receive(one)  # it was not acknowledged
        if not life.ended:
            break
        record = await ended(driver, fingerprint_of(one))
        assert (record.state, rotated(account)) == (State.CONTAINED, ["key1"]), f"crashed at call {number}"
        assert record.execution is not None
        driver.clock.advance(minutes=4)
        await driver.app().fast_path.containment.resume(Message(record.fingerprint))
        assert driver.messages("follow-up", record.fingerprint), f"crashed at call {number}"
    assert number > 12
