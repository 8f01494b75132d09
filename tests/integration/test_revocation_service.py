"""Decisions of people on records: alone, concurrently, and interrupted by a crash."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from local.network.faults import Effect
from local.tenant.model import Account, new_storage_key
from shared.api.revocations import service as service_module
from shared.api.revocations.requests import OrderRequest, PageQuery, ReportRequest
from shared.domain.caller import Caller
from shared.domain.revocation import Reason, Revocation, State
from shared.domain.target import ActionKind, Lockdown
from shared.errors import (
    AccountBusy,
    InvalidRequest,
    NoSuchRecord,
    NotPermitted,
    SasquashError,
    TransientFailure,
    WrongState,
)
from shared.persistence.accounts import TAKEOVER_TIME, WORK_TIME
from shared.persistence.queues import Message
from tests.support import shares, unusual_leaks
from tests.support.driver import Driver, Killed, Life, found, report
from tests.support.leaks import account_sas, small_sas

ADA = Caller("ada@contoso.com", "00000000-0000-4000-8000-00000000000a")
BOB = Caller("bob@contoso.com", "00000000-0000-4000-8000-00000000000b")
EVE = Caller("eve@contoso.com", "00000000-0000-4000-8000-00000000000e")

BATCH = ".table.core.windows.net/$batch"
LIST_KEYS = "/listKeys"
FOLLOW_UP_QUEUE = "/follow-up/messages"
UPDATE_ACCOUNT = "PATCH https://management.azure.com"


def asked(text: str, **options: Any) -> ReportRequest:
    return ReportRequest(text, "Seen in a chat.", **options)


def bare(account: str, key: str) -> str:
    return account_sas(account, key).partition("?")[2]


def rotated(account: Account) -> list[str]:
    return [key for key, _ in account.rotations]


def shared_key_of(account: Account) -> object:
    return account.properties.get("allowSharedKeyAccess")


async def awaiting(driver: Driver, account: Account, **settings: str) -> Revocation:
    """The record of a leak that Ada reported, and that awaits the approval of a second person."""
    text = small_sas(account.name, account.keys["key1"])
    [record] = await driver.app(**settings).revocations.report(asked(text), caller=ADA)
    assert (record.state, rotated(account)) == (State.AWAITING_APPROVAL, [])
    return record


async def ordered(driver: Driver, account: Account) -> Revocation:
    """The record of an order of Ada, which awaits the approval of a second person."""
    request = OrderRequest(account.name, ActionKind.ACCOUNT_KEY, "key1", "A laptop was lost.")
    record = await driver.app().revocations.order(request, caller=ADA)
    assert (record.state, rotated(account)) == (State.AWAITING_APPROVAL, [])
    return record


def digest_of(record: Revocation) -> str:
    assert record.plan is not None
    return record.plan.digest


async def carried_out(driver: Driver, fingerprint: str, *, tries: int = 8) -> Revocation:
    """The record after its messages were processed, at intervals of minutes."""
    for _ in range(tries):
        driver.clock.advance(minutes=4)
        await driver.app().containment.resume(Message(fingerprint))
        record = await driver.record(fingerprint)
        if record.state is not State.RECEIVED:
            return record
    raise AssertionError(f"still received: {[entry.what for entry in await driver.history(fingerprint)]}")


# --- report


async def test_reported_leak_is_contained_when_the_caller_has_the_answer(driver: Driver) -> None:
    account = await driver.account()
    text = account_sas(account.name, account.keys["key1"])
    [record] = await driver.app().revocations.report(asked(text, url="https://wiki/x", source="chat"), caller=ADA)
    assert (record.state, rotated(account)) == (State.CONTAINED, ["key1"])
    finding = record.finding
    assert (finding.reported_by, finding.reason, finding.url, finding.source) == (
        ADA,
        "Seen in a chat.",
        "https://wiki/x",
        "chat",
    )
    first = (await driver.history(record.fingerprint))[0]
    assert (first.who, first.what) == (str(ADA), "Reported by chat. Reason: Seen in a chat.")


async def test_every_leak_in_a_text_has_a_record(driver: Driver) -> None:
    account = await driver.account()
    texts = [unusual_leaks.forged(account.name, "") for _ in range(3)]
    records = await driver.app().revocations.report(asked("\n".join(texts)), caller=ADA)
    assert [record.fingerprint for record in records] == [found(text).fingerprint for text in texts]


async def test_text_without_a_credential_creates_no_record(driver: Driver) -> None:
    assert await driver.app().revocations.report(asked("Nothing to see."), caller=ADA) == ()


async def test_repeated_report_is_in_the_history_with_its_caller(driver: Driver) -> None:
    account = await driver.account()
    text = account_sas(account.name, account.keys["key1"])
    await driver.app().ingest.receive(report(found(text)))
    [record] = await driver.app().revocations.report(asked(text), caller=ADA)
    last = (await driver.history(record.fingerprint))[-1]
    assert (last.who, last.what) == (str(ADA), f"Reported again by {ADA}. Reason: Seen in a chat.")
    assert (rotated(account), record.finding.reported_by) == (["key1"], None)


async def test_secret_in_a_reason_is_redacted(driver: Driver) -> None:
    account = await driver.account()
    text = small_sas(account.name, account.keys["key1"])
    service = driver.app().revocations
    signature = text.partition("sig=")[2]
    [record] = await service.report(ReportRequest(text, f"It says {text}", source=f"x sig={signature}"), caller=ADA)
    await service.reject(record.fingerprint, reason=f"Never mind {text}", caller=BOB)
    kept = repr((await driver.record(record.fingerprint), await driver.history(record.fingerprint)))
    assert signature not in kept
    assert "REDACTED" in kept


async def test_report_that_is_not_durable_raises_a_transient_failure(driver: Driver) -> None:
    account = await driver.account()
    texts = [unusual_leaks.forged(account.name, "") for _ in range(3)]
    driver.fault(BATCH, times=None)
    with pytest.raises(TransientFailure):
        await driver.app().revocations.report(asked("\n".join(texts)), caller=ADA)
    driver.cloud.faults.clear()
    records = await driver.app().revocations.report(asked("\n".join(texts)), caller=ADA)
    assert len(records) == 3


async def test_unattributed_token_is_contained_in_the_named_account(driver: Driver) -> None:
    other, account = await driver.account(), await driver.account()
    text = bare(account.name, account.keys["key2"])
    [record] = await driver.app().revocations.report(asked(text, accounts=(other.name, account.name)), caller=ADA)
    assert (record.state, rotated(account), rotated(other)) == (State.CONTAINED, ["key2"], [])
    history = [entry.what for entry in await driver.history(record.fingerprint)]
    assert f"Attributed by the accounts that the report names: key2 of {account.name} signed it." in history


async def test_unattributed_key_is_contained_in_the_named_account(driver: Driver) -> None:
    account = await driver.account()
    text = f"AccountKey={account.keys['key1']}"
    [record] = await driver.app().revocations.report(asked(text, accounts=(account.name,)), caller=ADA)
    assert (record.state, rotated(account)) == (State.CONTAINED, ["key1"])


async def test_token_without_a_matching_account_stays_unattributed_with_a_note(driver: Driver) -> None:
    account = await driver.account()
    text = bare(account.name, new_storage_key())
    [record] = await driver.app().revocations.report(
        asked(text, accounts=(account.name, "nobodysaccount")), caller=ADA
    )
    assert (record.state, record.reason) == (State.UNRESOLVED, Reason.LOOSE)
    assert (
        f"signed it ({account.name}). nobodysaccount is not an account in a monitored subscription" in record.detail
    )


async def test_unattributed_token_without_named_accounts_lists_no_keys(driver: Driver) -> None:
    account = await driver.account()
    [record] = await driver.app().revocations.report(asked(bare(account.name, account.keys["key1"])), caller=ADA)
    assert (record.reason, driver.requests(LIST_KEYS)) == (Reason.LOOSE, [])


# --- dry run


async def test_dry_run_returns_the_plan_and_writes_nothing(driver: Driver) -> None:
    account = await driver.account()
    text = account_sas(account.name, account.keys["key2"])
    service = driver.app().revocations
    [record] = await service.dry_run(asked(text), caller=ADA)
    assert record.plan is not None
    assert (record.plan.action, record.plan.target) == (ActionKind.ACCOUNT_KEY, "key2")
    assert [r for r in driver.requests("sasquashstate") if r.method != "GET"] == []
    assert (rotated(account), driver.sent, await driver.rows(account.name)) == ([], [], {})
    with pytest.raises(NoSuchRecord):
        await service.read(record.fingerprint)


async def test_dry_run_finds_the_account_of_an_unattributed_token(driver: Driver) -> None:
    account = await driver.account()
    text = bare(account.name, account.keys["key2"])
    service = driver.app().revocations
    [attributed] = await service.dry_run(asked(text, accounts=(account.name,)), caller=ADA)
    [unattributed] = await service.dry_run(asked(text, accounts=("nobodysaccount",)), caller=ADA)
    assert attributed.key_name == "key2"
    assert (unattributed.reason, "nobodysaccount is not an account" in unattributed.detail) == (Reason.LOOSE, True)


# --- order


async def test_order_runs_after_the_approval_of_a_second_person(driver: Driver) -> None:
    account = await driver.account()
    service = driver.app(mode="auto", second_person="off").revocations
    request = OrderRequest(account.name, ActionKind.ACCOUNT_KEY, "key2", "A laptop was lost.")
    record = await service.order(request, caller=ADA)
    assert (record.state, rotated(account)) == (State.AWAITING_APPROVAL, [])
    with pytest.raises(NotPermitted):
        await service.approve(record.fingerprint, digest=digest_of(record), reason="Mine.", caller=ADA)
    done = await service.approve(record.fingerprint, digest=digest_of(record), reason="Yes.", caller=BOB)
    assert (done.state, rotated(account)) == (State.CONTAINED, ["key2"])


async def test_order_has_its_caller_and_reason(driver: Driver) -> None:
    account = await driver.account()
    request = OrderRequest(account.name, ActionKind.ACCOUNT_KEY, "key2", "A laptop was lost.")
    service = driver.app().revocations
    record, [first, *_] = await service.read((await service.order(request, caller=ADA)).fingerprint)
    assert (record.finding.reported_by, record.finding.credential) == (ADA, None)
    assert first.who == str(ADA)
    assert first.what == f"Ordered: account_key on key2 of {account.name}. Reason: A laptop was lost."


@pytest.mark.parametrize("account", ["nobodysaccount", "sasquashstate"])
async def test_order_for_a_foreign_or_own_account_is_refused(driver: Driver, account: str) -> None:
    request = OrderRequest(account, ActionKind.ACCOUNT_KEY, "key1", "A typing error.")
    with pytest.raises(InvalidRequest, match="account: "):
        await driver.app().revocations.order(request, caller=ADA)
    assert driver.sent == []


@pytest.mark.parametrize("policy", ["typing-error", "ended"])
async def test_order_for_a_missing_or_expired_policy_is_refused(driver: Driver, policy: str) -> None:
    account = await driver.account()
    await shares.under_policies(driver, account, "ended", days=-1)
    request = OrderRequest(account.name, ActionKind.STORED_POLICY, f"file/homes/{policy}", "The contract is over.")
    with pytest.raises(InvalidRequest, match="target: "):
        await driver.app().revocations.order(request, caller=ADA)
    assert driver.sent == []


async def test_order_that_times_out_is_a_transient_failure(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    account = await driver.account()
    monkeypatch.setattr(service_module, "_PATIENCE", 0.3)
    driver.fault(LIST_KEYS, Effect.HANG, times=None)
    request = OrderRequest(account.name, ActionKind.ACCOUNT_KEY, "key2", "A laptop was lost.")
    with pytest.raises(TransientFailure, match="nothing was ordered"):
        await driver.app().revocations.order(request, caller=ADA)
    assert driver.sent == []


async def test_repeated_order_is_a_second_order(driver: Driver) -> None:
    account = await driver.account()
    request = OrderRequest(account.name, ActionKind.ACCOUNT_KEY, "key2", "A laptop was lost.")
    service = driver.app().revocations
    one, two = [await service.order(request, caller=ADA) for _ in range(2)]
    assert one.fingerprint != two.fingerprint


async def test_target_that_does_not_match_its_action_is_refused(driver: Driver) -> None:
    request = OrderRequest("contosodata", ActionKind.ACCOUNT_KEY, "kerb1", "A laptop was lost.")
    with pytest.raises(InvalidRequest, match="key1 or key2"):
        await driver.app().revocations.order(request, caller=ADA)


# --- approve


async def test_approved_plan_is_executed_before_the_response(driver: Driver) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    done = await driver.app().revocations.approve(
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
    await driver.app().revocations.approve(record.fingerprint, digest=digest_of(record), reason="Ours.", caller=BOB)
    rows = await driver.rows(account.name)
    assert ([key.split("~")[0] for key in rows], "Intent" in rows["lock"]) == (["lock", "rotation"], False)
    assert driver.messages("follow-up", record.fingerprint)


@pytest.mark.parametrize("mode", ["auto", "approve"])
async def test_reporter_of_a_leak_can_not_approve_it(driver: Driver, mode: str) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    service = driver.app(mode=mode).revocations
    with pytest.raises(NotPermitted):
        await service.approve(record.fingerprint, digest=digest_of(record), reason="Mine.", caller=ADA)
    assert (await driver.record(record.fingerprint)).state is State.AWAITING_APPROVAL


async def test_one_person_is_enough_without_second_person_setting(driver: Driver) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    service = driver.app(second_person="off").revocations
    done = await service.approve(record.fingerprint, digest=digest_of(record), reason="Mine.", caller=ADA)
    assert done.state is State.CONTAINED


async def test_plan_is_stale_after_its_key_was_regenerated(driver: Driver) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    account.keys["key1"] = new_storage_key()
    await driver.cloud.model.keys_changed()
    after = await driver.app().revocations.approve(
        record.fingerprint, digest=digest_of(record), reason="Ours.", caller=BOB
    )
    assert (after.reason, rotated(account)) == (Reason.NO_KEY_MATCHES, [])


async def test_retry_makes_a_new_plan_after_the_deadline(driver: Driver) -> None:
    account = await driver.account()
    record = await ordered(driver, account)
    driver.clock.advance(hours=5)
    service = driver.app().revocations
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
    one, two = driver.app().revocations, driver.app().revocations
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
    services = [driver.app().revocations, driver.app().revocations]
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
    life = Life(stops_at=f"POST https://sasquashstate{BATCH}")
    approving = asyncio.create_task(
        driver.app(life).revocations.approve(record.fingerprint, digest=digest_of(record), reason="Ours.", caller=BOB)
    )
    await life.stopped.wait()
    await driver.app().store.revocations.change(record.fingerprint, lambda current: current, what="Mail sent.")
    life.go.set()
    assert (await approving).state is State.CONTAINED


@pytest.mark.parametrize("effect", [Effect.STATUS, Effect.RESET])
async def test_decision_with_a_lost_response_is_made_once(driver: Driver, effect: Effect) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    driver.fault(BATCH, effect, status=503, after=True)
    done = await driver.app().revocations.approve(
        record.fingerprint, digest=digest_of(record), reason="Ours.", caller=BOB
    )
    assert (done.state, rotated(account)) == (State.CONTAINED, ["key1"])
    approved = [e for e in await driver.history(record.fingerprint) if e.who == str(BOB)]
    assert len(approved) == 1


async def test_approved_plan_that_can_not_run_yet_is_retried_from_the_queue(driver: Driver) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    driver.fault(LIST_KEYS, times=3)
    after = await driver.app().revocations.approve(
        record.fingerprint, digest=digest_of(record), reason="Ours.", caller=BOB
    )
    assert after.state is State.RECEIVED
    driver.cloud.faults.clear()
    done = await carried_out(driver, record.fingerprint)
    assert (done.state, rotated(account)) == (State.CONTAINED, ["key1"])


# --- reject and retry


async def test_rejected_plan_is_dismissed_and_followed_up(driver: Driver) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    after = await driver.app().revocations.reject(record.fingerprint, reason="A test account.", caller=BOB)
    assert (after.state, after.reason, rotated(account)) == (State.DISMISSED, Reason.REJECTED, [])
    assert after.detail == f"Rejected by {BOB}. A test account."
    assert driver.messages("follow-up", record.fingerprint)[-1] == (0.0, 0)


async def test_rejection_is_kept_while_the_follow_up_queue_is_down(driver: Driver) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    driver.fault(FOLLOW_UP_QUEUE, times=3)
    after = await driver.app().revocations.reject(record.fingerprint, reason="A test.", caller=BOB)
    driver.cloud.faults.clear()
    assert after.state is State.DISMISSED
    before = len(driver.messages("follow-up", record.fingerprint))
    await driver.app().containment.resume(Message(record.fingerprint))  # the safety net
    assert len(driver.messages("follow-up", record.fingerprint)) == before + 1


async def test_retry_contains_a_failed_record_after_its_cause_is_removed(driver: Driver) -> None:
    account = await driver.account()
    account.locks.append("ReadOnly")
    service = driver.app().revocations
    [record] = await service.report(asked(account_sas(account.name, account.keys["key1"])), caller=ADA)
    assert record.state is State.FAILED
    account.locks.clear()
    after = await service.retry(record.fingerprint, reason="The lock is gone.", caller=ADA)
    assert (after.state, rotated(account)) == (State.CONTAINED, ["key1"])
    assert str(ADA) in [entry.who for entry in await driver.history(record.fingerprint)][1:]


async def test_retry_does_not_run_an_action_twice(driver: Driver) -> None:
    account = await driver.account()
    service = driver.app().revocations
    [record] = await service.report(asked(account_sas(account.name, account.keys["key1"])), caller=ADA)
    with pytest.raises(WrongState):
        await service.retry(record.fingerprint, reason="Once more.", caller=ADA)
    assert rotated(account) == ["key1"]


async def test_refused_decision_writes_nothing(driver: Driver) -> None:
    account = await driver.account()
    service = driver.app().revocations
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


# --- undo a lockdown


async def locked_down(driver: Driver, account: Account) -> Revocation:
    """The record of an executed order to disable shared keys."""
    service = driver.app().revocations
    request = OrderRequest(account.name, ActionKind.LOCKDOWN, Lockdown.SHARED_KEY, "We don't know which key.")
    record = await service.order(request, caller=ADA)
    done = await service.approve(record.fingerprint, digest=digest_of(record), reason="Yes.", caller=BOB)
    assert (done.state, shared_key_of(account)) == (State.CONTAINED, False)
    return done


async def test_undone_lockdown_restores_the_properties(driver: Driver) -> None:
    account = await driver.account()
    record = await locked_down(driver, account)
    after = await driver.app().revocations.undo_lockdown(record.fingerprint, reason="All moved.", caller=EVE)
    assert shared_key_of(account) is not False
    assert after.lockdown is not None
    assert (after.state, after.lockdown.undone_at is not None) == (State.CLOSED, True)
    assert driver.messages("follow-up", record.fingerprint)[-1] == (0.0, 0)
    assert "lock" not in await driver.rows(account.name)


async def test_lockdown_is_undone_once(driver: Driver) -> None:
    account = await driver.account()
    record = await locked_down(driver, account)
    service = driver.app().revocations
    await service.undo_lockdown(record.fingerprint, reason="All moved.", caller=EVE)
    with pytest.raises(WrongState, match="already"):
        await service.undo_lockdown(record.fingerprint, reason="All moved.", caller=EVE)


async def test_lockdown_is_not_undone_during_containment_of_the_account(driver: Driver) -> None:
    account = await driver.account()
    record = await locked_down(driver, account)
    driver.rest()
    lock = await driver.app().store.accounts.acquire(account.name, fingerprint="another")
    with pytest.raises(AccountBusy):
        await driver.app().revocations.undo_lockdown(record.fingerprint, reason="All moved.", caller=EVE)
    assert shared_key_of(account) is False
    await driver.app().store.accounts.release(lock, listed_at=None)
    after = await driver.app().revocations.undo_lockdown(record.fingerprint, reason="All moved.", caller=EVE)
    assert after.state is State.CLOSED


async def test_lock_of_a_process_that_crashed_during_an_action_is_left_to_recovery(driver: Driver) -> None:
    account = await driver.account()
    record = await locked_down(driver, account)
    driver.rest()
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app().store.revocations.claim(finding)
    await driver.app().store.accounts.acquire(account.name, fingerprint=finding.fingerprint)
    predecessor = (await driver.rows(account.name))["lock"]["Intent"]
    driver.clock.advance(seconds=(WORK_TIME + TAKEOVER_TIME).total_seconds() + 1)
    with pytest.raises(AccountBusy):
        await driver.app().revocations.undo_lockdown(record.fingerprint, reason="All moved.", caller=EVE)
    assert (await driver.rows(account.name))["lock"]["Intent"] == predecessor
    assert (driver.messages("contain", finding.fingerprint), shared_key_of(account)) == ([(0.0, 0)], False)
    await driver.app().containment.resume(Message(finding.fingerprint))
    after = await driver.app().revocations.undo_lockdown(record.fingerprint, reason="All moved.", caller=EVE)
    assert after.state is State.CLOSED


async def test_lock_of_a_process_that_crashed_before_an_action_is_taken_over(driver: Driver) -> None:
    account = await driver.account()
    record = await locked_down(driver, account)
    driver.rest()
    await driver.app().store.accounts.acquire(account.name, fingerprint=record.fingerprint)
    driver.clock.advance(seconds=(WORK_TIME + TAKEOVER_TIME).total_seconds() + 1)
    after = await driver.app().revocations.undo_lockdown(record.fingerprint, reason="All moved.", caller=EVE)
    assert (after.state, "lock" in await driver.rows(account.name)) == (State.CLOSED, False)


async def test_account_changed_since_the_lockdown_is_not_changed(driver: Driver) -> None:
    account = await driver.account()
    service = driver.app().revocations
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


# --- read


async def test_record_is_read_with_its_history(driver: Driver) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    read, history = await driver.app().revocations.read(record.fingerprint)
    assert (read, [entry.state for entry in history]) == (record, [State.RECEIVED, State.AWAITING_APPROVAL])


async def test_record_is_read_by_its_id_only(driver: Driver) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    table = driver.app().store.revocations._table
    query = table.query_entities("PartitionKey eq @p", parameters={"p": record.fingerprint[:2]})
    rows = [row["RowKey"] async for row in query if row["RowKey"].startswith(f"{record.fingerprint}~")]
    assert rows
    for fingerprint in ("0" * 64, "", record.fingerprint.upper(), f"{record.fingerprint}\n", *rows):
        with pytest.raises(NoSuchRecord):
            await driver.app().revocations.read(fingerprint)


async def test_page_has_the_records_of_an_account(driver: Driver) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    service = driver.app().revocations
    page = await service.page(PageQuery(state=State.AWAITING_APPROVAL, account=account.name, limit=10))
    assert ([one.fingerprint for one in page.revocations], page.next) == ([record.fingerprint], None)
    assert (await service.page(PageQuery(state=State.PROVEN, account=account.name, limit=10))).revocations == ()


async def test_wait_ends_when_the_record_is_settled(driver: Driver) -> None:
    account = await driver.account()
    app = driver.app()
    [record] = await app.revocations.report(asked(account_sas(account.name, account.keys["key1"])), caller=ADA)
    assert record.state is State.CONTAINED
    waiting = asyncio.create_task(app.revocations.wait((record.fingerprint,), seconds=60))
    await app.follow_up.run(Message(record.fingerprint))
    [after] = await asyncio.wait_for(waiting, 30)
    assert after.state in (State.PROVEN, State.CLOSED)


async def test_wait_ends_after_its_time(driver: Driver) -> None:
    account = await driver.account()
    service = driver.app().revocations
    [record] = await service.report(asked(account_sas(account.name, account.keys["key1"])), caller=ADA)
    pauses: list[float] = []

    async def pass_time(seconds: float) -> None:
        pauses.append(seconds)
        driver.clock.advance(seconds=seconds)

    service = replace(service, sleep=pass_time)
    [after] = await service.wait((record.fingerprint,), seconds=20)
    assert after.state is State.CONTAINED
    assert sum(pauses) == pytest.approx(20, abs=5)
    assert pauses[:3] == sorted(pauses[:3])
    assert max(pauses) <= 4


async def test_settled_records_are_returned_immediately(driver: Driver) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    service = driver.app().revocations

    async def never(seconds: float) -> None:
        raise AssertionError("there is nothing to wait for")

    service = replace(service, sleep=never)
    assert await service.wait((record.fingerprint,), seconds=60) == (record,)
    assert await service.wait((), seconds=60) == ()


async def test_wait_does_not_include_the_second_search_for_an_account(driver: Driver) -> None:
    service = driver.app().revocations
    [record] = await service.report(asked(account_sas("nobodysaccount", new_storage_key())), caller=ADA)

    async def never(seconds: float) -> None:
        raise AssertionError("it comes in five minutes")

    service = replace(service, sleep=never)
    [after] = await service.wait((record.fingerprint,), seconds=60)
    assert after.state is State.RECEIVED


async def test_wait_for_a_missing_record_is_not_found(driver: Driver) -> None:
    with pytest.raises(NoSuchRecord):
        await driver.app().revocations.wait(("0" * 64,), seconds=1)


# --- interrupted at any remote call


async def interrupted_everywhere(
    driver: Driver,
    *,
    carried_out: bool,
    begin: Callable[[Account], Awaitable[Revocation]],
    act: Callable[[Driver, Life, Revocation], Awaitable[object]],
    check: Callable[[Account, Revocation, int], Awaitable[None]],
) -> int:
    """Interrupt `act` at each of its remote calls in turn; return their number."""
    number = 0
    while True:
        number += 1
        account = await driver.account()
        record = await begin(account)
        driver.sent.clear()
        life = Life(ends_at=number, carried_out=carried_out)
        try:
            await act(driver, life, record)
        except (Killed, SasquashError):
            assert life.ended
        if not life.ended:
            return number - 1
        driver.clock.advance(minutes=4)
        await check(account, record, number)


@pytest.mark.parametrize("after", [False, True])
async def test_approval_interrupted_at_any_call_is_not_made_or_executed(driver: Driver, after: bool) -> None:
    given: list[int] = []

    async def approve(driver: Driver, life: Life, record: Revocation) -> object:
        service = driver.app(life).revocations
        return await service.approve(record.fingerprint, digest=digest_of(record), reason="Ours.", caller=BOB)

    async def check(account: Account, record: Revocation, number: int) -> None:
        stands = await driver.record(record.fingerprint)
        if stands.state is State.AWAITING_APPROVAL:
            assert (stands.approval, rotated(account)) == (None, []), f"interrupted at call {number}"
            return
        given.append(number)
        # What is left of the interrupted process is the message that it sent before.
        assert (45.0, 0) in driver.messages("contain", record.fingerprint), f"interrupted at call {number}"
        done = await carried_out(driver, record.fingerprint)
        assert (done.state, rotated(account)) == (State.CONTAINED, ["key1"]), f"interrupted at call {number}"
        driver.clock.advance(minutes=4)
        await driver.app().containment.resume(Message(record.fingerprint))
        assert driver.messages("follow-up", record.fingerprint), f"interrupted at call {number}"

    calls = await interrupted_everywhere(
        driver,
        carried_out=after,
        begin=lambda account: ordered(driver, account),
        act=approve,
        check=check,
    )
    assert calls > 12
    assert 0 < len(given) < calls


@pytest.mark.parametrize("after", [False, True])
async def test_rejection_interrupted_at_any_call_is_not_made_or_followed_up(driver: Driver, after: bool) -> None:
    given: list[int] = []

    async def reject(driver: Driver, life: Life, record: Revocation) -> object:
        return await driver.app(life).revocations.reject(record.fingerprint, reason="A test.", caller=BOB)

    async def check(account: Account, record: Revocation, number: int) -> None:
        stands = await driver.record(record.fingerprint)
        if stands.state is State.AWAITING_APPROVAL:
            return
        given.append(number)
        assert stands.reason is Reason.REJECTED
        assert driver.messages("contain", record.fingerprint) == [(45.0, 0)], f"interrupted at call {number}"
        driver.sent.clear()
        await driver.app().containment.resume(Message(record.fingerprint))
        assert driver.messages("follow-up", record.fingerprint), f"interrupted at call {number}"

    calls = await interrupted_everywhere(
        driver, carried_out=after, begin=lambda account: ordered(driver, account), act=reject, check=check
    )
    assert 0 < len(given) < calls


@pytest.mark.parametrize("after", [False, True])
async def test_undo_of_a_lockdown_interrupted_at_any_call_can_be_repeated(driver: Driver, after: bool) -> None:
    async def undo(driver: Driver, life: Life, record: Revocation) -> object:
        return await driver.app(life).revocations.undo_lockdown(record.fingerprint, reason="All moved.", caller=EVE)

    async def check(account: Account, record: Revocation, number: int) -> None:
        stands = await driver.record(record.fingerprint)
        if stands.state is not State.CLOSED:
            await driver.app().revocations.undo_lockdown(record.fingerprint, reason="Again.", caller=EVE)
        stands = await driver.record(record.fingerprint)
        assert (stands.state, shared_key_of(account) is not False) == (State.CLOSED, True), f"call {number}"

    calls = await interrupted_everywhere(
        driver, carried_out=after, begin=lambda account: locked_down(driver, account), act=undo, check=check
    )
    assert calls > 6
