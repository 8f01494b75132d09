"""Approvals, rejections and retries: alone and concurrently."""

import asyncio
from dataclasses import replace

import pytest

from local.network.faults import Effect
from local.tenant.model import new_storage_key
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.errors import (
    NotPermitted,
    WrongState,
)
from shared.persistence.queues import Message
from tests.support.decisions import (
    ADA,
    BATCH,
    BOB,
    EVE,
    FOLLOW_UP_QUEUE,
    LIST_KEYS,
    asked,
    awaiting,
    carried_out,
    digest_of,
    ordered,
    rotated,
)
from tests.support.driver import Driver, Lifetime
from tests.support.leaks import account_sas

# Approve


async def test_approved_plan_is_executed_before_the_response(driver: Driver) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    done = await driver.app().http.revocations.approve(
        record.fingerprint, digest=digest_of(record), reason="Ours.", caller=BOB
    )
    assert (done.state, rotated(account)) == (State.CONTAINED, ["key1"])
    assert done.approval is not None
    assert (done.approval.by, done.approval.reason) == (BOB, "Ours.")
    approved = [e for e in await driver.history(record.fingerprint) if e.who == str(BOB)]
    assert [(e.state, e.what) for e in approved] == [(State.RECEIVED, "Approved. Reason: Ours.")]


async def test_approval_leaves_no_waiting_row(driver: Driver) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    await driver.app().http.revocations.approve(
        record.fingerprint, digest=digest_of(record), reason="Ours.", caller=BOB
    )
    rows = await driver.rows(account.name)
    assert ([key.split("~")[0] for key in rows], "Intent" in rows["lock"]) == (["lock", "rotation"], False)
    assert driver.messages("follow-up", record.fingerprint)


@pytest.mark.parametrize("mode", ["auto", "approve"])
async def test_reporter_of_a_leak_can_not_approve_it(driver: Driver, mode: str) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    service = driver.app(mode=mode).http.revocations
    with pytest.raises(NotPermitted):
        await service.approve(record.fingerprint, digest=digest_of(record), reason="Mine.", caller=ADA)
    assert (await driver.record(record.fingerprint)).state is State.AWAITING_APPROVAL


async def test_one_person_is_enough_without_second_person_setting(driver: Driver) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    service = driver.app(second_person="off").http.revocations
    done = await service.approve(record.fingerprint, digest=digest_of(record), reason="Mine.", caller=ADA)
    assert done.state is State.CONTAINED


async def test_plan_runs_nothing_after_its_key_was_regenerated_by_hand(driver: Driver) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    account.keys["key1"] = new_storage_key()
    await driver.cloud.model.keys_changed()
    after = await driver.app().http.revocations.approve(
        record.fingerprint, digest=digest_of(record), reason="Ours.", caller=BOB
    )
    assert (after.state, rotated(account)) == (State.CONTAINED, [])
    assert after.execution is not None
    assert not after.execution.is_ours


async def test_retry_makes_a_new_plan_after_the_deadline(driver: Driver) -> None:
    account = await driver.account()
    record = await ordered(driver, account)
    driver.clock.advance(hours=5)
    service = driver.app().http.revocations
    with pytest.raises(WrongState, match="Retry"):
        await service.approve(record.fingerprint, digest=digest_of(record), reason="Late.", caller=BOB)
    planned = await service.retry(record.fingerprint, reason="We slept.", caller=ADA)
    assert planned.state is State.AWAITING_APPROVAL
    assert planned.deadline is not None
    assert planned.deadline > driver.clock()
    done = await service.approve(record.fingerprint, digest=digest_of(planned), reason="Now.", caller=BOB)
    assert (done.state, rotated(account)) == (State.CONTAINED, ["key1"])


async def test_first_of_two_decisions_counts(driver: Driver) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    one, two = driver.app().http.revocations, driver.app().http.revocations
    outcomes = await asyncio.gather(
        one.approve(record.fingerprint, digest=digest_of(record), reason="Ours.", caller=BOB),
        two.reject(record.fingerprint, reason="A test.", caller=EVE),
        return_exceptions=True,
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, WrongState)]
    stands = await driver.record(record.fingerprint)
    assert len(refused) == 1
    assert (stands.state, rotated(account)) in [(State.CONTAINED, ["key1"]), (State.DISMISSED, [])]


async def test_twenty_concurrent_approvals_count_once(driver: Driver) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    services = [driver.app().http.revocations, driver.app().http.revocations]
    people = [replace(BOB, object_id=f"{n:032}") for n in range(20)]
    outcomes = await asyncio.gather(
        *(
            services[n % 2].approve(record.fingerprint, digest=digest_of(record), reason="Ours.", caller=person)
            for n, person in enumerate(people)
        ),
        return_exceptions=True,
    )
    accepted = [outcome for outcome in outcomes if isinstance(outcome, Revocation)]
    assert len(accepted) == 1
    assert all(isinstance(outcome, Revocation | WrongState) for outcome in outcomes)
    assert rotated(account) == ["key1"]


async def test_decision_survives_a_concurrent_write_of_a_notification(driver: Driver) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    life = Lifetime(stops_at=f"POST https://sasquashstate{BATCH}")
    approving = asyncio.create_task(
        driver.app(life).http.revocations.approve(
            record.fingerprint, digest=digest_of(record), reason="Ours.", caller=BOB
        )
    )
    await life.stopped.wait()
    await driver.app().fast_path.store.revocations.change(
        record.fingerprint, lambda current: current, what="Mail sent."
    )
    life.go.set()
    assert (await approving).state is State.CONTAINED


@pytest.mark.parametrize("effect", [Effect.STATUS, Effect.RESET])
async def test_decision_with_a_lost_response_is_made_once(driver: Driver, effect: Effect) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    driver.fault(BATCH, effect, status=503, after=True)
    done = await driver.app().http.revocations.approve(
        record.fingerprint, digest=digest_of(record), reason="Ours.", caller=BOB
    )
    assert (done.state, rotated(account)) == (State.CONTAINED, ["key1"])
    approved = [e for e in await driver.history(record.fingerprint) if e.who == str(BOB)]
    assert len(approved) == 1


async def test_approved_plan_that_can_not_run_yet_is_retried_from_the_queue(driver: Driver) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    driver.fault(LIST_KEYS, times=3)
    after = await driver.app().http.revocations.approve(
        record.fingerprint, digest=digest_of(record), reason="Ours.", caller=BOB
    )
    assert after.state is State.RECEIVED
    driver.cloud.faults.clear()
    done = await carried_out(driver, record.fingerprint)
    assert (done.state, rotated(account)) == (State.CONTAINED, ["key1"])


# Reject and retry


async def test_rejected_plan_is_dismissed_and_followed_up(driver: Driver) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    after = await driver.app().http.revocations.reject(record.fingerprint, reason="A test account.", caller=BOB)
    assert (after.state, after.reason, rotated(account)) == (State.DISMISSED, Reason.REJECTED, [])
    assert after.detail == f"Rejected by {BOB}. A test account."
    assert driver.messages("follow-up", record.fingerprint)[-1] == (0.0, 0)


async def test_rejection_is_kept_while_the_follow_up_queue_is_down(driver: Driver) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    driver.fault(FOLLOW_UP_QUEUE, times=3)
    after = await driver.app().http.revocations.reject(record.fingerprint, reason="A test.", caller=BOB)
    driver.cloud.faults.clear()
    assert after.state is State.DISMISSED
    before = len(driver.messages("follow-up", record.fingerprint))
    await driver.app().fast_path.containment.resume(Message(record.fingerprint))  # the safety net
    assert len(driver.messages("follow-up", record.fingerprint)) == before + 1


async def test_retry_contains_a_failed_record_after_its_cause_is_removed(driver: Driver) -> None:
    account = await driver.account()
    account.locks.append("ReadOnly")
    service = driver.app().http.revocations
    [record] = await service.report(asked(account_sas(account.name, account.keys["key1"])), caller=ADA)
    assert record.state is State.FAILED
    account.locks.clear()
    after = await service.retry(record.fingerprint, reason="The lock is gone.", caller=ADA)
    assert (after.state, rotated(account)) == (State.CONTAINED, ["key1"])
    assert str(ADA) in [entry.who for entry in await driver.history(record.fingerprint)][1:]


async def test_retry_does_not_run_an_action_twice(driver: Driver) -> None:
    account = await driver.account()
    service = driver.app().http.revocations
    [record] = await service.report(asked(account_sas(account.name, account.keys["key1"])), caller=ADA)
    with pytest.raises(WrongState):
        await service.retry(record.fingerprint, reason="Once more.", caller=ADA)
    assert rotated(account) == ["key1"]


async def test_refused_decision_writes_nothing(driver: Driver) -> None:
    account = await driver.account()
    service = driver.app().http.revocations
    [record] = await service.report(asked(account_sas(account.name, account.keys["key1"])), caller=ADA)
    before, rows = (await driver.record(record.fingerprint)).etag, await driver.rows(account.name)
    sent = len(driver.sent)
    for act in (
        service.approve(record.fingerprint, digest="0" * 64, reason="x", caller=BOB),
        service.reject(record.fingerprint, reason="x", caller=BOB),
        service.retry(record.fingerprint, reason="x", caller=BOB),
        service.undo_lockdown(record.fingerprint, reason="x", caller=BOB),
    ):
        with pytest.raises(WrongState):
            await act
    assert ((await driver.record(record.fingerprint)).etag, await driver.rows(account.name)) == (before, rows)
    assert len(driver.sent) == sent
