"""Records that ended long ago are removed with all that belongs to them, and the hash of their last line stays."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import replace

import msgspec
import pytest

from local.tenant.model import new_storage_key
from shared.app import App
from shared.domain.finding import Finding
from shared.domain.history import Integrity
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.persistence.history_rows import Copied
from shared.persistence.outbox import SETTLED
from shared.persistence.queues import Message
from shared.persistence.revocation_entity import to_entity
from tests.support.driver import Crashed, Driver, Lifetime, found
from tests.support.leaks import account_sas
from tests.support.tables import delete_rows

NUMBERS = itertools.count(1)
LONG = 401 * 24  # hours


@pytest.fixture
async def app(driver: Driver) -> AsyncIterator[App]:
    """An app whose tables have nothing of other tests in them."""
    made = driver.app()
    await emptied(made)
    driver.cloud.model.history.clear()
    yield made
    driver.cloud.model.history.clear()
    await emptied(made)


async def emptied(app: App) -> None:
    fast_path = app.fast_path
    await delete_rows(fast_path.outbox._table, fast_path.store.revocations._table, fast_path.state_index._table)


def finding() -> Finding:
    return found(account_sas(f"retained{next(NUMBERS)}", new_storage_key()))


async def dismissed(app: App, leak: Finding | None = None) -> Revocation:
    """A record with nothing open, which is copied."""
    store = app.fast_path.store
    leak = leak or finding()
    assert await app.fast_path.secret_index.record_of(leak) == leak.fingerprint
    record, _ = await store.revocations.claim(leak)
    record = await store.revocations.save(
        record.end(Reason.EXPIRED, now=store.clock(), detail="The token expired."), what="Ended."
    )
    await app.background.follow_up.run(Message(record.fingerprint))
    assert app.background.history_copier is not None
    await app.background.history_copier.run()
    await app.background.sweeper.run()
    return record


async def everything(app: App, record: Revocation) -> list[str]:
    """The keys of all rows that belong to a record, in all tables."""
    fast_path, keys = app.fast_path, []
    for table in (fast_path.outbox._table, fast_path.store.revocations._table, fast_path.state_index._table):
        found = [row async for row in table.query_entities("PartitionKey gt ''")]
        own = [row for row in found if record.fingerprint in row["RowKey"] or row.get("Record") == record.fingerprint]
        keys += [f"{row['PartitionKey']}/{row['RowKey']}" for row in own]
    return [key.replace(record.fingerprint, "…") for key in keys]


async def ended_long_ago(driver: Driver, app: App) -> Revocation:
    record = await dismissed(app)
    driver.clock.advance(hours=1)
    await app.background.sweeper.run()
    driver.clock.advance(hours=LONG)
    assert app.background.history_copier is not None
    await app.background.history_copier.run()
    return record


async def test_old_record_leaves_the_hash_of_its_last_line_and_nothing_else(driver: Driver, app: App) -> None:
    record = await ended_long_ago(driver, app)
    head = (await driver.record(record.fingerprint)).head
    assert head is not None

    await app.background.retention.run()

    assert await everything(app, record) == [f"{record.fingerprint[:2]}/…~~pruned~{head.chain}"]
    [left] = (await app.background.history_rows.stored(record.fingerprint)).pruned
    assert (left.line, left.sha256) == (head.line, head.sha256)


async def test_removed_record_is_no_erased_one(driver: Driver, app: App) -> None:
    record = await ended_long_ago(driver, app)
    await app.background.retention.run()
    await app.background.history_checks.run()
    assert [one async for one in app.fast_path.store.revocations.ended_for(Reason.TAMPERED)] == []
    assert (await app.background.history_checks.of(record.fingerprint)).integrity is Integrity.INTACT


async def written_by_version_0_2(app: App, record: Revocation) -> Revocation:
    """The record after an instance of the version before has written it, during an upgrade: it drops the head."""
    ledger = app.fast_path.store.revocations
    current = await ledger.read(record.fingerprint)
    assert current is not None
    await ledger._table.upsert_entity(to_entity(replace(current, head=None), record.received_at))
    written = await ledger.read(record.fingerprint)
    assert written is not None
    return written


async def removed(driver: Driver, app: App, record: Revocation) -> None:
    """Copy the record's lines, and have retention remove it once its time is over."""
    copier = app.background.history_copier
    assert copier is not None
    await copier.run()
    await app.background.sweeper.run()
    driver.clock.advance(hours=LONG)
    await copier.run()
    await app.background.retention.run()
    assert await app.fast_path.store.revocations.read(record.fingerprint) is None


async def accused(app: App) -> list[Revocation]:
    """The records that say that a history was changed, after the daily check."""
    await app.background.history_checks.run()
    return [one async for one in app.fast_path.store.revocations.ended_for(Reason.TAMPERED)]


@pytest.mark.parametrize("begins_another", [True, False])
async def test_removed_record_that_version_0_2_wrote_meanwhile_is_no_erased_one(
    driver: Driver, app: App, *, begins_another: bool
) -> None:
    leak = finding()
    record = await dismissed(app, leak)
    driver.clock.advance(hours=1)
    current = await written_by_version_0_2(app, record)
    if begins_another:
        await app.fast_path.store.revocations.save(current, what="Later.")
    await removed(driver, app, record)
    assert await accused(app) == []

    await dismissed(app, leak)
    assert await accused(app) == []
    assert (await app.background.history_checks.of(record.fingerprint)).integrity is Integrity.INTACT


@pytest.mark.parametrize("missing", ["first", "last"])
async def test_chain_that_was_cut_before_its_record_was_removed_is_found(
    driver: Driver, app: App, missing: str
) -> None:
    """Who has the identity can cut a chain with its head, or take away one of two. The copy has what was cut."""
    ledger = app.fast_path.store.revocations
    record = await dismissed(app)
    driver.clock.advance(hours=1)
    later = await ledger.save(await written_by_version_0_2(app, record), what="Later.")
    last = await ledger.save(later, what="And later.")
    assert app.background.history_copier is not None
    await app.background.history_copier.run()
    lines = (await app.background.history_rows.stored(record.fingerprint)).lines
    cut = lines[-1:] if missing == "last" else lines[:2]
    for line in cut:
        await ledger._table.delete_entity(record.fingerprint[:2], line.key)
    stands = later if missing == "last" else last
    assert stands.head is not None
    await ledger._table.upsert_entity(to_entity(stands, record.received_at))
    await app.background.history_rows.save_copied(
        record.fingerprint, Copied(stands.head.chain, stands.head.line, lines[-1].key)
    )
    await removed(driver, app, record)
    [accusation] = await accused(app)
    assert f"The copy has {len(cut)} lines of this record that are gone" in accusation.detail


async def test_record_stays_for_its_time_and_for_good_where_that_is_set(driver: Driver, app: App) -> None:
    record = await ended_long_ago(driver, app)
    for days in ("0", "402", "4000"):
        await driver.app(retention_days=days).background.retention.run()
    assert (await driver.record(record.fingerprint)).state is State.DISMISSED


async def test_record_stays_until_it_is_copied(driver: Driver, app: App) -> None:
    record = await ended_long_ago(driver, app)
    await app.background.history_rows.save_copied(record.fingerprint, Copied())
    await app.background.retention.run()
    assert await driver.record(record.fingerprint)
    assert app.background.history_copier is not None
    await app.background.history_copier.run()
    await app.background.retention.run()
    assert await app.fast_path.store.revocations.read(record.fingerprint) is None


async def test_record_whose_history_is_broken_stays(driver: Driver, app: App) -> None:
    record = await ended_long_ago(driver, app)
    stored = await app.background.history_rows.stored(record.fingerprint)
    forged = msgspec.json.encode(replace(stored.entries[0], what="Forged."))
    key = {"PartitionKey": record.fingerprint[:2], "RowKey": stored.lines[0].key}
    await app.fast_path.store.revocations._table.upsert_entity(key | {"Entry": forged.decode()})
    await app.background.retention.run()
    assert await driver.record(record.fingerprint)


async def test_leak_that_is_reported_again_later_has_a_new_record(driver: Driver, app: App) -> None:
    leak = finding()
    record = await dismissed(app, leak)
    driver.clock.advance(hours=1)
    await app.background.sweeper.run()
    driver.clock.advance(hours=LONG)
    await app.background.history_copier.run()  # type: ignore[union-attr]
    await app.background.retention.run()

    again = await dismissed(app, leak)
    assert again.received_at > record.received_at
    assert len(await driver.history(record.fingerprint)) >= 2
    assert (await app.background.history_checks.of(record.fingerprint)).integrity is Integrity.INTACT


async def test_leak_that_is_reported_while_its_record_is_removed_is_not_lost(driver: Driver, app: App) -> None:
    """The report changes the record, which then stays; or it finds none."""
    for at in ("/$batch", "RowKey", "/outbox"):
        leak = finding()
        record = await dismissed(app, leak)
        driver.clock.advance(hours=1)
        await app.background.sweeper.run()
        driver.clock.advance(hours=LONG)
        await app.background.history_copier.run()  # type: ignore[union-attr]
        life = Lifetime(stops_at=at)
        removing = asyncio.create_task(driver.app(life).background.retention.run())
        await asyncio.wait_for(life.stopped.wait(), 20)
        await app.fast_path.store.revocations.change(
            record.fingerprint,
            lambda current: current.reach(State.RECEIVED, now=driver.clock(), detail="Again."),
            what="Again.",
        )
        life.go.set()
        await removing
        kept = await driver.record(record.fingerprint)
        assert kept.state is State.RECEIVED, f"stopped at {at}"
        assert [entry.what for entry in await driver.history(record.fingerprint)][-1] == "Again."
        assert any(key.startswith("secret~") for key in await everything(app, record)), "its secret still leads to it"


async def test_run_that_ends_at_any_call_is_finished_by_the_next(driver: Driver, app: App) -> None:
    number, ended = 0, True
    while ended:
        number += 1
        record = await ended_long_ago(driver, app)
        life, ended = Lifetime(ends_at=number, carried_out=number % 2 == 0), False
        try:
            await driver.app(life).background.retention.run()
        except Crashed:
            ended = True
        driver.clock.advance(seconds=SETTLED.total_seconds())
        await app.background.retention.run()
        await app.background.retention.run()
        [left] = await everything(app, record)
        assert "~~pruned~" in left, f"ended at call {number}"


async def test_record_that_was_removed_without_an_answer_leaves_nothing_else(driver: Driver, app: App) -> None:
    record = await ended_long_ago(driver, app)
    driver.fault("/$batch", status=503, after=True)
    await app.background.retention.run()
    [left] = await everything(app, record)
    assert "~~pruned~" in left


async def test_two_runs_at_once_leave_one_row(driver: Driver, app: App) -> None:
    record = await ended_long_ago(driver, app)
    await asyncio.gather(app.background.retention.run(), driver.app().background.retention.run())
    [left] = await everything(app, record)
    assert "~~pruned~" in left
