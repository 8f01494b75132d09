"""What is decided while the lock is held, and what an instance that took a lock over makes of its predecessor."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta

import pytest

from local.network.faults import Effect
from local.tenant.model import Account
from shared.containment.account_reader import behind_our_rotation
from shared.domain.account import AccountKey
from shared.domain.finding import Finding
from shared.domain.revocation import Reason, State
from shared.domain.target import ActionKind
from shared.persistence.accounts import Rotation
from shared.persistence.queues import Message
from tests.support import unusual_leaks
from tests.support.containment import rotated
from tests.support.driver import Crashed, Driver, Lifetime, found, report
from tests.support.leaks import account_sas, blob_sas, later, small_sas
from tests.support.patience import PATIENCE

REGENERATE = "/regenerateKey"
TABLES = "https://sasquashstate.table.core.windows.net"
NOTE = f"PUT {TABLES}/accounts(PartitionKey"


async def left_waiting(driver: Driver, finding: Finding) -> None:
    """Have `finding` received and durable, and nothing done about it."""
    driver.fault("/listKeys", times=3)
    await driver.app().fast_path.ingest.receive(report(finding))
    driver.cloud.faults.clear()
    driver.cool_down()


# --- nothing is run without a record


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


# --- the lock of an instance that crashed


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


# --- an instance that crashed before it had noted what it had proven


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


# --- what the lock holds


async def test_action_runs_though_the_lock_could_not_be_updated(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    driver.fault(f"{NOTE}='{account.name}',RowKey='lock')", Effect.STATUS, status=500, times=None)
    await driver.app().fast_path.ingest.receive(report(finding))
    assert ((await driver.record(finding.fingerprint)).state, rotated(account)) == (State.CONTAINED, ["key1"])


async def test_lock_is_released_though_the_answer_to_its_note_was_lost(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    driver.fault(f"{NOTE}='{account.name}',RowKey='lock')", Effect.STATUS, status=500, times=3, after=True)
    await driver.app().fast_path.ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED
    assert "Intent" not in (await driver.rows(account.name))["lock"]


async def crashes(driver: Driver, finding: Finding, life: Lifetime, *, minutes: float = 4) -> None:
    """Have an instance take `finding` and crash where `life` stops it; then let its lock's time pass."""
    task = asyncio.create_task(driver.app(life).fast_path.ingest.receive(report(finding)))
    stopped = asyncio.create_task(life.stopped.wait())
    await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    assert stopped.done(), "the instance never came to where it should crash"
    await noted_if_it_executes(driver, finding)
    life.ended = True
    life.go.set()
    with pytest.raises(Crashed):
        await task
    driver.clock.advance(minutes=minutes)


async def noted_if_it_executes(driver: Driver, finding: Finding) -> None:
    """Wait until the lock says what its holder proved: it is written while the action runs."""
    account = finding.credential.account if finding.credential else None
    async with asyncio.timeout(PATIENCE):
        while 'attributed":[{' not in (await driver.rows(account or ""))["lock"]["Intent"]:
            pass


async def locked_and_crashed(driver: Driver, account: Account, finding: Finding) -> None:
    """The lock as an instance leaves it that crashed between its call to ARM and its note."""
    await driver.app().fast_path.store.accounts.acquire(account.name, fingerprint=finding.fingerprint)


# --- a list of keys that lags


def key_of(name: str, *, made: datetime | None) -> AccountKey:
    """A key whose value is made of `name`."""
    return AccountKey(base64.b64encode(name.encode()).decode(), made)


@pytest.mark.parametrize(
    ("value", "made", "behind"),
    [
        ("old", timedelta(days=-400), "key1"),
        ("old", timedelta(seconds=-31), "key1"),
        ("new", timedelta(seconds=-1), None),
        ("another's", timedelta(seconds=5), None),
        ("old", None, None),
    ],
    ids=["as before", "just before", "ours", "somebody else's since", "of unknown age"],
)
def test_key_as_it_was_before_our_rotation_is_behind(value: str, made: timedelta | None, behind: str | None) -> None:
    at = datetime(2026, 11, 20, 3, tzinfo=UTC)
    ours = Rotation(ActionKind.ACCOUNT_KEY, "key1", at, "f" * 64, key_of("new", made=None).sha256)
    keys = {"key1": key_of(value, made=at + made if made is not None else None), "key2": key_of("x", made=at)}
    assert behind_our_rotation(keys, [ours]) == behind


def test_only_our_latest_rotation_of_a_key_counts() -> None:
    at = datetime(2026, 11, 20, 3, tzinfo=UTC)
    rotations = [
        Rotation(
            ActionKind.ACCOUNT_KEY, "key1", at + timedelta(hours=n), "f" * 64, key_of(f"new{n}", made=None).sha256
        )
        for n in (1, 2)
    ]
    keys = {"key1": key_of("new2", made=at + timedelta(hours=2))}
    assert behind_our_rotation(keys, reversed(rotations)) is None


async def test_second_leak_under_a_lagging_list_does_not_rotate_again(driver: Driver) -> None:
    account = await driver.account()
    first, second = (found(account_sas(account.name, account.keys["key1"], expiry=later(n))) for n in (2, 3))
    old = (dict(account.keys), dict(account.key_created))
    app = driver.app()
    await app.fast_path.ingest.receive(report(first))
    new = (dict(account.keys), dict(account.key_created))
    account.keys, account.key_created = old  # what ARM still lists
    driver.cool_down()
    await app.fast_path.ingest.receive(report(second))
    assert (await driver.record(second.fingerprint)).state is State.RECEIVED
    account.keys, account.key_created = new
    driver.cool_down()
    await app.fast_path.containment.resume(Message(second.fingerprint))
    assert (await driver.record(second.fingerprint)).reason is Reason.COVERED
    assert len(account.rotations) == 1


async def test_action_does_not_run_when_too_little_of_the_lock_is_left(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    life = Lifetime(stops_at="/listKeys", carried_out=True)
    containing = asyncio.create_task(driver.app(life).fast_path.ingest.receive(report(finding)))
    await life.stopped.wait()
    driver.clock.advance(seconds=40)
    life.go.set()
    await containing
    assert ((await driver.record(finding.fingerprint)).state, rotated(account)) == (State.RECEIVED, [])
    assert driver.requests(REGENERATE) == []


# --- reports that come late, under a key that is gone


async def test_leak_reported_after_the_rotation_is_covered_by_the_process_that_rotated(driver: Driver) -> None:
    account = await driver.account()
    first = found(account_sas(account.name, account.keys["key1"]))
    late = found(blob_sas(account.name, account.keys["key1"]))
    app = driver.app()
    await app.fast_path.ingest.receive(report(first))
    driver.cool_down()
    await app.fast_path.ingest.receive(report(late))
    record = await driver.record(late.fingerprint)
    assert (record.state, record.reason, rotated(account)) == (State.DISMISSED, Reason.COVERED, ["key1"])


async def test_forged_leak_that_comes_after_the_rotation_is_not(driver: Driver) -> None:
    account = await driver.account()
    app = driver.app()
    await app.fast_path.ingest.receive(report(found(account_sas(account.name, account.keys["key1"]))))
    driver.cool_down()
    forged = found(unusual_leaks.forged(account.name, ""))
    await app.fast_path.ingest.receive(report(forged))
    assert (await driver.record(forged.fingerprint)).reason is Reason.NO_KEY_MATCHES


async def test_leak_reported_to_another_process_during_the_rotation_is_covered(driver: Driver) -> None:
    account = await driver.account()
    first = found(account_sas(account.name, account.keys["key1"]))
    late = found(blob_sas(account.name, account.keys["key1"]))
    life = Lifetime(stops_at=REGENERATE)
    rotating = asyncio.create_task(driver.app(life).fast_path.ingest.receive(report(first)))
    await life.stopped.wait()
    await driver.app().fast_path.ingest.receive(report(late))
    life.go.set()
    await rotating
    assert (await driver.record(late.fingerprint)).reason is Reason.COVERED
    assert rotated(account) == ["key1"]


async def test_late_leak_in_another_process_names_the_rotation_as_a_possible_cause(
    driver: Driver,
) -> None:
    account = await driver.account()
    first = found(account_sas(account.name, account.keys["key1"]))
    late = found(blob_sas(account.name, account.keys["key1"]))
    await driver.app().fast_path.ingest.receive(report(first))
    driver.cool_down()
    await driver.app().fast_path.ingest.receive(report(late))
    record = await driver.record(late.fingerprint)
    assert record.reason is Reason.NO_KEY_MATCHES
    assert "Sasquash itself regenerated key1" in record.detail
