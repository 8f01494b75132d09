"""Lines of histories are copied to the workspace, and changes of them are found by the copy.

Contract of the stand-ins: azure-rest-api-specs, monitor/data-plane/ingestion, 2023-01-01 (Upload), and
OperationalInsights v1 (Query_Execute).
"""

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from azure.data.tables import UpdateMode

from local.monitor.logs_ingestion import COLUMNS
from local.network.faults import Effect
from local.network.hostnames import HISTORY_HOST
from local.tenant.model import CustomLogRow, new_storage_key, now
from shared.app import App
from shared.cloud.history_copy import Row
from shared.domain.finding import Finding
from shared.domain.history import HistoryEntry, Integrity, chained
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.operations import history_check
from shared.persistence import history_rows
from shared.persistence.outbox import SETTLED
from shared.persistence.revocation_entity import _NO_FINDING, to_entity
from tests.support.driver import Crashed, Driver, Lifetime, found, report
from tests.support.leaks import account_sas
from tests.support.tables import delete_rows

SEND = f"POST https://{HISTORY_HOST}/"
NUMBERS = itertools.count(1)


@pytest.fixture
async def app(driver: Driver) -> AsyncIterator[App]:
    """An app whose outbox, copy and ledger have nothing of other tests in them."""
    made = driver.app()
    await emptied(made)
    driver.cloud.model.history.clear()
    yield made
    driver.cloud.model.history.clear()
    driver.cloud.model.history_delay = 0.0
    await emptied(made)


async def emptied(app: App) -> None:
    await delete_rows(app.fast_path.outbox._table, app.fast_path.store.revocations._table)


def finding() -> Finding:
    return found(account_sas(f"history{next(NUMBERS)}", new_storage_key()))


async def decided(app: App, *, more: int = 0) -> Revocation:
    """A record that ended without a revocation, with so many lines more."""
    ledger = app.fast_path.store.revocations
    record, _ = await ledger.claim(finding())
    record = await ledger.save(
        record.end(Reason.NO_KEY_MATCHES, now=app.fast_path.store.clock(), detail="Nothing fits."), what="Ended."
    )
    for number in range(more):
        record = await ledger.save(record, what=f"Note {number}.")
    return record


async def copied(app: App) -> None:
    copier = app.background.history_copier
    assert copier is not None
    await copier.run()


def lines_in_copy(driver: Driver, record: Revocation) -> list[int]:
    rows = [row.columns for row in driver.cloud.model.history]
    return [row["Line"] for row in rows if row["Fingerprint"] == record.fingerprint]


async def integrity(app: App, record: Revocation) -> Integrity:
    return (await app.background.history_checks.of(record.fingerprint)).integrity


async def rows_of(app: App, record: Revocation) -> list[dict[str, Any]]:
    """The rows of a history, as they are stored."""
    table = app.fast_path.store.revocations._table
    first, last = f"{record.fingerprint}~", f"{record.fingerprint}~~"
    query = f"PartitionKey eq '{record.fingerprint[:2]}' and RowKey gt '{first}' and RowKey lt '{last}'"
    return [dict(row) async for row in table.query_entities(query)]


async def rewrite(app: App, record: Revocation, entries: list[HistoryEntry]) -> None:
    """Put other lines into the rows of a history, as who has the identity can."""
    table = app.fast_path.store.revocations._table
    rows = await rows_of(app, record)
    for row, entry in zip(rows, entries, strict=False):
        await table.upsert_entity(row | {"Entry": msgspec.json.encode(entry).decode()})
    for row in rows[len(entries) :]:
        await table.delete_entity(row["PartitionKey"], row["RowKey"])


def test_rows_have_the_columns_of_the_stream() -> None:
    assert {field.name: field.type for field in msgspec.structs.fields(Row)} == COLUMNS


# The outbox


async def test_lines_are_in_the_copy_and_the_history_is_intact(driver: Driver, app: App) -> None:
    record = await decided(app, more=3)
    assert await integrity(app, record) is Integrity.UNCONFIRMED

    await copied(app)

    assert lines_in_copy(driver, record) == [1, 2, 3, 4, 5]
    assert await integrity(app, record) is Integrity.INTACT


async def test_line_is_not_copied_before_its_record_is_decided(driver: Driver, app: App) -> None:
    record, _ = await app.fast_path.store.revocations.claim(finding())
    await copied(app)
    assert lines_in_copy(driver, record) == []


async def test_each_line_is_sent_once(driver: Driver, app: App) -> None:
    record = await decided(app)
    await copied(app)
    await app.fast_path.store.revocations.save(record, what="Later.")
    await copied(app)
    await copied(app)
    assert lines_in_copy(driver, record) == [1, 2, 3]


async def test_outbox_is_empty_once_all_is_copied_and_settled(driver: Driver, app: App) -> None:
    await decided(app)
    await copied(app)
    assert [one async for one in app.fast_path.outbox.to_copy()] != []  # a write may be under way
    driver.clock.advance(seconds=SETTLED.total_seconds() + 1)
    await copied(app)
    assert [one async for one in app.fast_path.outbox.to_copy()] == []


async def test_lines_wait_while_the_workspace_is_down_for_a_day(
    driver: Driver, app: App, caplog: pytest.LogCaptureFixture
) -> None:
    record = await decided(app)
    driver.fault(SEND, Effect.STATUS, status=503, times=100)
    for _ in range(24):
        await copied(app)
        driver.clock.advance(hours=1)
        record = await app.fast_path.store.revocations.save(record, what="Still here.")
    assert lines_in_copy(driver, record) == []
    driver.cloud.faults.clear()
    await copied(app)
    assert lines_in_copy(driver, record) == list(range(1, 27))
    assert await integrity(app, record) is Integrity.INTACT


async def test_copy_that_is_hours_behind_is_logged_for_the_alert_rule(
    driver: Driver, app: App, caplog: pytest.LogCaptureFixture
) -> None:
    await decided(app)
    driver.clock.advance(hours=7)
    driver.fault(SEND, Effect.STATUS, status=503, times=100)
    await copied(app)
    assert "History copy is behind: lines of 1 records wait, the oldest for 7 hours." in caplog.text


async def test_failing_outbox_holds_up_no_record(driver: Driver, app: App) -> None:
    driver.fault("/outbox", Effect.STATUS, status=503, times=100)
    record = await decided(app)
    driver.cloud.faults.clear()
    assert (await driver.record(record.fingerprint)).state is State.UNRESOLVED


async def test_two_instances_at_once_copy_each_line(driver: Driver, app: App) -> None:
    records = [await decided(app) for _ in range(4)]
    await asyncio.gather(copied(app), copied(driver.app()))
    assert {await integrity(app, record) for record in records} == {Integrity.INTACT}


async def test_instance_that_ends_at_any_call_loses_no_line(driver: Driver, app: App) -> None:
    number, ended = 0, True
    while ended:
        number += 1
        record = await decided(app)
        life, ended = Lifetime(ends_at=number, carried_out=number % 2 == 0), False
        try:
            await copied(driver.app(life))
        except Crashed:
            ended = True
        await copied(app)
        assert set(lines_in_copy(driver, record)) == {1, 2}, f"ended at call {number}"
        assert await integrity(app, record) is Integrity.INTACT
        driver.clock.advance(seconds=SETTLED.total_seconds() + 1)
        await copied(app)  # or the next run has all of them to read


async def test_record_with_a_thousand_lines_is_copied_in_calls_that_fit(driver: Driver, app: App) -> None:
    record = await decided(app)
    table, entries = app.fast_path.store.revocations._table, []
    head = record.head
    for number in range(1100):
        line = HistoryEntry(record.received_at, "sasquash", record.state, f"{number} " + "x" * 2000)
        entry, head = chained(line, head, fingerprint=record.fingerprint)
        entries.append((entry, head))
    rows = [
        history_rows.row(record.fingerprint, entry, stored_at=at.at, new_id=f"{n:06}")
        for n, (entry, at) in enumerate(entries)
    ]
    for start in range(0, len(rows), 100):
        await table.submit_transaction([("create", row) for row in rows[start : start + 100]])
    await table.upsert_entity(to_entity(replace(record, head=head), record.received_at))
    await copied(app)
    assert sorted(set(lines_in_copy(driver, record))) == list(range(1, 1103))
    assert await integrity(app, record) is Integrity.INTACT
    assert len(driver.requests(SEND)) > 2


async def test_refused_record_stops_no_other(driver: Driver, app: App, caplog: pytest.LogCaptureFixture) -> None:
    records = [await decided(app) for _ in range(2)]
    driver.fault(SEND, Effect.STATUS, status=400, times=2)  # together, then the first of both
    await copied(app)
    assert sorted(len(lines_in_copy(driver, record)) for record in records) == [0, 2]
    assert "The copy refuses lines of" in caplog.text


async def test_line_that_has_not_arrived_yet_is_unconfirmed(driver: Driver, app: App) -> None:
    driver.cloud.model.history_delay = 600.0
    record = await decided(app)
    await copied(app)
    assert await integrity(app, record) is Integrity.UNCONFIRMED


async def test_copy_that_cannot_be_read_leaves_the_history_unconfirmed(driver: Driver, app: App) -> None:
    record = await decided(app)
    await copied(app)
    driver.fault("api.loganalytics.io", Effect.STATUS, status=503, times=20)
    checked = await app.background.history_checks.of(record.fingerprint)
    assert checked.integrity is Integrity.UNCONFIRMED
    assert "Reading the copy of the history" in checked.said


async def as_of_version_0_2(app: App, record: Revocation) -> None:
    """Store a record and its lines as version 0.2 did: no head, no links, notifications within the record."""
    table = app.fast_path.store.revocations._table
    entity = await table.get_entity(record.fingerprint[:2], record.fingerprint)
    entity["Record"] = msgspec.json.encode(
        replace(record, finding=_NO_FINDING, head=None, etag="", written=None)
    ).decode()
    await table.upsert_entity(
        {name: value for name, value in entity.items() if name not in ("Head", "Notifications")},
        mode=UpdateMode.REPLACE,
    )
    for row in await rows_of(app, record):
        line = msgspec.json.decode(row["Entry"])
        del line["link"]
        await table.upsert_entity(row | {"Entry": msgspec.json.encode(line).decode()})


async def test_record_of_version_0_2_is_read_and_its_next_line_begins_a_chain(driver: Driver, app: App) -> None:
    record = await decided(app)
    await as_of_version_0_2(app, record)

    stored = await driver.record(record.fingerprint)
    assert (stored.head, stored.state) == (None, State.UNRESOLVED)
    assert (await app.background.history_checks.of(record.fingerprint)).said.startswith("No line is chained")

    await app.fast_path.store.revocations.save(stored, what="Later.")
    await copied(app)
    assert [entry.what for entry in await driver.history(record.fingerprint)][-1] == "Later."
    assert lines_in_copy(driver, record) == [1]
    assert await integrity(app, record) is Integrity.UNCONFIRMED


async def test_record_that_version_0_2_wrote_meanwhile_is_unconfirmed(driver: Driver, app: App) -> None:
    """During a deployment an instance of the version before may write a record, and drops its head."""
    record = await decided(app)
    await copied(app)
    table = app.fast_path.store.revocations._table
    await table.upsert_entity(to_entity(replace(record, head=None), record.received_at))
    current = await driver.record(record.fingerprint)
    await app.fast_path.store.revocations.save(current, what="Later.")
    await copied(app)
    assert await integrity(app, record) is Integrity.UNCONFIRMED


# Attacks by who has the identity


async def test_rewritten_line_is_found(driver: Driver, app: App) -> None:
    record = await decided(app)
    await copied(app)
    entries = list(await driver.history(record.fingerprint))
    forged, head = chained(
        HistoryEntry(entries[0].at, "sasquash", State.RECEIVED, "Nobody reported it."),
        None,
        fingerprint=record.fingerprint,
    )
    last, head = chained(
        HistoryEntry(entries[1].at, entries[1].who, entries[1].state, entries[1].what),
        head,
        fingerprint=record.fingerprint,
    )
    await rewrite(app, record, [forged, last])
    await app.fast_path.store.revocations._table.upsert_entity(
        to_entity(replace(record, head=head), record.received_at)
    )
    assert await integrity(app, record) is Integrity.BROKEN


async def test_removed_and_swapped_lines_are_found_without_the_copy(driver: Driver, app: App) -> None:
    for change in (lambda e: e[:-1], lambda e: [e[1], e[0], e[2]], lambda e: [e[0], e[2]]):
        record = await decided(app, more=1)
        await rewrite(app, record, change(list(await driver.history(record.fingerprint))))
        assert await integrity(app, record) is Integrity.BROKEN


async def test_erased_record_pages_people_once(driver: Driver, app: App, caplog: pytest.LogCaptureFixture) -> None:
    record = await decided(app)
    await copied(app)
    table = app.fast_path.store.revocations._table
    for row in [{"PartitionKey": record.fingerprint[:2], "RowKey": record.fingerprint}, *await rows_of(app, record)]:
        await table.delete_entity(row["PartitionKey"], row["RowKey"])

    await app.background.history_checks.run()
    failures = [r async for r in app.fast_path.store.revocations.ended_for(Reason.TAMPERED)]
    driver.clock.advance(hours=24)
    await app.background.history_checks.run()
    again = [r async for r in app.fast_path.store.revocations.ended_for(Reason.TAMPERED)]

    [failure] = failures
    assert [one.fingerprint for one in again] == [failure.fingerprint]
    assert record.fingerprint[:12] in failure.detail
    assert f"of record {record.fingerprint[:12]}" in caplog.text


async def test_many_broken_histories_are_one_page(driver: Driver, app: App) -> None:
    records = [await decided(app, more=1) for _ in range(12)]
    for record in records:
        await rewrite(app, record, list(await driver.history(record.fingerprint))[:1])
    await app.background.history_checks.run()
    [failure] = [r async for r in app.fast_path.store.revocations.ended_for(Reason.TAMPERED)]
    assert "The history of 12 records" in failure.detail


async def test_daily_check_is_noted_in_the_record(driver: Driver, app: App) -> None:
    record = await decided(app)
    await copied(app)
    await app.background.history_checks.run()
    checked = await app.background.history_checks.latest(record.fingerprint)
    assert checked is not None
    assert checked.integrity is Integrity.INTACT


async def test_daily_check_takes_in_all_records_in_turn(
    driver: Driver, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_check, "_MOST", 4)
    monkeypatch.setattr(history_check, "_AT_ONCE", 2)
    records = [await decided(app) for _ in range(9)]
    for _ in range(3):
        await app.background.history_checks.run()
    checked = [await app.background.history_checks.latest(record.fingerprint) for record in records]
    assert None not in checked


async def test_line_that_was_lost_on_its_way_is_sent_again_after_a_day(driver: Driver, app: App) -> None:
    record = await decided(app)
    await copied(app)
    history = driver.cloud.model.history
    history[:] = [row for row in history if row.columns["Line"] != 1]
    await app.background.history_checks.run()
    driver.clock.advance(hours=25)
    await app.background.history_checks.run()
    await copied(app)
    assert await integrity(app, record) is Integrity.INTACT


async def test_line_that_the_outbox_lost_is_copied_after_the_daily_check(driver: Driver, app: App) -> None:
    record = await decided(app)
    await app.fast_path.outbox.forget(record.fingerprint)
    driver.clock.advance(seconds=SETTLED.total_seconds() + 1)
    await app.background.history_checks.run()
    await copied(app)
    assert await integrity(app, record) is Integrity.INTACT


async def test_line_of_a_stranger_in_the_copy_is_found(driver: Driver, app: App) -> None:
    """Only the responder may add lines: another line under a number is its own, or its identity's."""
    record = await decided(app)
    await copied(app)
    [row, *_] = driver.cloud.model.history
    driver.cloud.model.history.append(CustomLogRow(now() - timedelta(1), row.columns | {"Hash": "0" * 64}))
    assert await integrity(app, record) is Integrity.BROKEN


async def test_copy_has_no_verification_token(driver: Driver, app: App) -> None:
    account = await driver.account()
    leak = found(account_sas(account.name, account.keys["key1"]))
    await app.fast_path.ingest.receive(report(leak))
    execution = (await driver.record(leak.fingerprint)).execution
    assert execution is not None
    assert execution.verification_tokens

    await copied(app)

    rows = [str(row.columns) for row in driver.cloud.model.history]
    assert any(account.name in row for row in rows)
    assert [row for row in rows if "sig=" in row or execution.verification_tokens[0].query in row] == []


async def test_chains_are_checked_while_the_copy_cannot_be_read(driver: Driver, app: App) -> None:
    record = await decided(app, more=1)
    await rewrite(app, record, list(await driver.history(record.fingerprint))[:1])
    driver.fault("api.loganalytics.io", Effect.STATUS, status=503, times=100)
    await app.background.history_checks.run()
    [failure] = [r async for r in app.fast_path.store.revocations.ended_for(Reason.TAMPERED)]
    assert record.fingerprint[:12] in failure.detail


async def test_line_that_can_not_be_read_is_reported_and_stops_no_other_check(driver: Driver, app: App) -> None:
    """Write access to the table must not be enough to switch the check off."""
    records = sorted([await decided(app, more=1) for _ in range(2)], key=lambda record: record.fingerprint)
    first, second = records
    table = app.fast_path.store.revocations._table
    query = f"PartitionKey eq '{first.fingerprint[:2]}' and RowKey gt '{first.fingerprint}~2'"
    rows = [row async for row in table.query_entities(f"{query} and RowKey lt '{first.fingerprint}~3'")]
    await table.upsert_entity({**rows[0], "Entry": "{"})
    await app.background.history_checks.run()
    [failure] = [r async for r in app.fast_path.store.revocations.ended_for(Reason.TAMPERED)]
    assert (first.fingerprint[:12] in failure.detail, "can't be read" in failure.detail) == (True, True)
    assert await app.background.history_checks.latest(second.fingerprint) is not None
