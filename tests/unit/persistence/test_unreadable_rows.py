"""A row that can't be read is kept, named, and worked around, in every table."""

import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.domain.summary_line import SummaryLine
from shared.domain.target import ActionKind
from shared.errors import AccountBusy, MalformedEvent, UnreadableRow
from shared.persistence import queues
from shared.persistence.account_rows import Attributed, Rotation
from shared.persistence.accounts import TAKEOVER_TIME, WORK_TIME
from shared.persistence.history_rows import Copied
from shared.persistence.outages import Loss
from shared.persistence.readiness import AccountCheck, DrillRun
from shared.persistence.rows import SCHEMA
from tests.support import samples
from tests.support.samples import ACCOUNT, NOW
from tests.support.unreadable import Place, ways


@pytest.fixture
def place() -> Place:
    return Place()


# --- the records


@ways
async def test_unreadable_record_is_a_typed_error_that_quotes_nothing(
    place: Place, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    record = await place.record()
    kept = place.spoil_record(record, way)
    with caplog.at_level(logging.DEBUG), pytest.raises(UnreadableRow) as raised:
        await place.ledger.read(record.fingerprint)
    said = str(raised.value)
    assert raised.value.code == "unreadable_row"
    assert (record.fingerprint in said, "Rolling back" in said) == (True, True)
    assert raised.value.is_newer is (way == "a newer format")
    assert record.fingerprint in caplog.text
    assert "UNhY4Jhez" not in said + caplog.text
    assert raised.value.__cause__ is None
    assert place.stored.row("revocations", record.fingerprint[:2], record.fingerprint) == kept
    assert await place.noted() == {("revocations", record.fingerprint)}


@ways
async def test_list_names_an_unreadable_record_and_shows_the_others(place: Place, way: str) -> None:
    bad, good = await place.record("key1"), await place.record("key2")
    place.spoil_record(bad, way)
    page = await place.ledger.page(state=None, account=ACCOUNT, limit=10, after=None)
    assert ([record.fingerprint for record in page.records], page.unreadable) == (
        [good.fingerprint],
        (bad.fingerprint,),
    )


@ways
async def test_every_record_of_a_state_is_found_beside_an_unreadable_one(place: Place, way: str) -> None:
    records = [await place.record(key) for key in ("key1", "key2")]
    ended = [
        await place.ledger.save(record.end(Reason.POLICY_GONE, now=NOW, detail="Gone."), what="Gone.")
        for record in records
    ]
    place.spoil_record(ended[0], way)
    found = [record.fingerprint async for record in place.ledger.ended_for(Reason.POLICY_GONE)]
    assert found == [ended[1].fingerprint]
    assert len(place.stored.keys("states", "unresolved")) == 2  # its row in the index stays, too


@ways
async def test_every_watched_record_is_found_beside_an_unreadable_one(place: Place, way: str) -> None:
    ended = []
    for key in ("key1", "key2"):
        signed = replace(await place.record(key), key_name="key1", key_sha256="ab" * 32)
        ended.append(await place.ledger.save(signed.end(Reason.POLICY_GONE, now=NOW, detail="Gone."), what="Gone."))
    place.spoil_record(ended[0], way)
    assert [record.fingerprint async for record in place.ledger.watched()] == [ended[1].fingerprint]


async def test_record_that_does_not_say_when_its_leak_was_reported_is_not_taken_for_gone(place: Place) -> None:
    record = await place.record()
    assert await place.ledger.received_at(record.fingerprint) == NOW
    assert await place.ledger.received_at("cd" * 32) is None
    for columns in ({"Schema": SCHEMA + 1}, {"ReceivedAt": "then", "ReceivedAt@odata.type": "Edm.String"}):
        place.stored.change("revocations", record.fingerprint[:2], record.fingerprint, **columns)
        with pytest.raises(UnreadableRow):
            await place.ledger.received_at(record.fingerprint)
    assert await place.noted() == {("revocations", record.fingerprint)}


@ways
async def test_what_is_left_of_a_record_that_can_t_be_read(place: Place, way: str) -> None:
    record = await place.record()
    place.spoil_record(record, way)
    remnant = await place.ledger.left_of(record.fingerprint)
    assert (remnant.finding, remnant.state, remnant.reason) == (record.finding, "received", "")


async def test_finding_that_can_t_be_read_either_is_not_there(place: Place) -> None:
    record = await place.record()
    place.spoil("revocations", record.fingerprint[:2], record.fingerprint, "Finding", "no JSON")
    assert (await place.ledger.left_of(record.fingerprint)).finding is None
    assert (await place.ledger.left_of("cd" * 32)).finding is None


@ways
async def test_report_of_a_leak_whose_record_can_t_be_read_gets_a_record_that_stands_in(
    place: Place, way: str
) -> None:
    record = await place.record()
    kept = place.spoil_record(record, way)
    with pytest.raises(UnreadableRow):
        await place.ledger.claim(record.finding)
    instead, is_new = await place.ledger.claim_readable(record.finding)
    again, is_new_again = await place.ledger.claim_readable(record.finding)
    assert (is_new, is_new_again, again.fingerprint) == (True, False, instead.fingerprint)
    assert instead.fingerprint != record.fingerprint
    assert instead.finding.credential == record.finding.credential
    assert place.stored.row("revocations", record.fingerprint[:2], record.fingerprint) == kept


# --- histories


@ways
async def test_unreadable_line_leaves_the_others(place: Place, way: str) -> None:
    record = await place.record()
    await place.ledger.save(record, what="Second.")
    first, _ = [key for key in place.stored.keys("revocations", record.fingerprint[:2]) if "~" in key]
    kept = place.spoil("revocations", record.fingerprint[:2], first, "Entry", way)
    stored = await place.history.stored(record.fingerprint)
    assert [entry.what for entry in await place.ledger.history(record.fingerprint)] == ["Second."]
    assert [entry.what for entry in stored.entries] == ["Second."]
    assert [(row.key, row.is_newer) for row in stored.unreadable] == [(first, way == "a newer format")]
    assert place.stored.row("revocations", record.fingerprint[:2], first) == kept


@ways
async def test_nothing_of_a_record_that_can_t_be_read_is_pruned(place: Place, way: str) -> None:
    """A run that was interrupted goes on from the outbox: what it finds may be another record by now."""
    record = await place.record()
    await place.history.save_copied(record.fingerprint, Copied("c", 1, "key"))
    place.spoil_record(record, way)
    before = place.stored.entities("revocations")
    await place.outbox.begin_pruning(record.fingerprint)
    await place.pruning.finish(record.fingerprint)
    assert place.stored.entities("revocations") == before
    assert [name async for name in place.outbox.pruning()] == [record.fingerprint]


# --- an account


@ways
async def test_unreadable_waiting_row_stops_no_other_leak(place: Place, way: str) -> None:
    good, bad = samples.finding(samples.account_sas(key_name="key1")), samples.finding()
    for finding in (good, bad):
        await place.accounts.add_waiting(finding)
    key = f"waiting~{bad.fingerprint}"
    text = place.stored.row("accounts", ACCOUNT, key)["Finding"]
    place.stored.change("accounts", ACCOUNT, key, Finding=text.replace('"account_sas"', '"received"'))
    kept = place.spoil("accounts", ACCOUNT, key, "Finding", way)
    rows = await place.accounts.rows([ACCOUNT])
    assert [finding.fingerprint for finding in rows.waiting] == [good.fingerprint]
    assert place.stored.row("accounts", ACCOUNT, key) == kept
    assert await place.noted() == {("accounts", key)}


@ways
async def test_unreadable_rotation_counts_as_one_of_an_unknown_key(place: Place, way: str) -> None:
    execution = samples.execution()
    rotation = Rotation(execution.action, "key2", NOW, "ab" * 32, execution.new_sha256)
    await place.accounts.add_rotation(ACCOUNT, rotation)
    [key] = place.stored.keys("accounts", ACCOUNT)
    place.spoil("accounts", ACCOUNT, key, "Rotation", way)
    rows = await place.accounts.rows([ACCOUNT])
    assert (rows.rotations, rows.unread_rotations) == ((), (NOW,))


@ways
async def test_unreadable_lock_is_held_until_its_holder_is_certainly_gone(place: Place, way: str) -> None:
    kept = await place.spoiled_lock(way)
    for passed in (timedelta(0), WORK_TIME, WORK_TIME + TAKEOVER_TIME - timedelta(seconds=1)):
        place.now = NOW + passed
        with pytest.raises(AccountBusy) as raised:
            await place.accounts.acquire(ACCOUNT, fingerprint="ab" * 32, urgent=True)
        assert raised.value.retry_after > 0
        assert place.stored.row("accounts", ACCOUNT, "lock") == kept
    place.now = NOW + WORK_TIME + TAKEOVER_TIME
    lock = await place.accounts.acquire(ACCOUNT, fingerprint="ab" * 32)
    assert lock.predecessor is not None
    assert (lock.predecessor.attributed, lock.predecessor.suspects) == ((), ())
    assert lock.predecessor.tenures[0].acquired_at == NOW - WORK_TIME
    with pytest.raises(AccountBusy):
        await place.accounts.acquire(ACCOUNT, fingerprint="cd" * 32)


@ways
async def test_row_of_an_unreadable_lock_is_kept_beside_the_one_that_took_over(place: Place, way: str) -> None:
    before = await place.spoiled_lock(way)
    place.now = NOW + timedelta(minutes=4)
    lock = await place.accounts.acquire(ACCOUNT, fingerprint="ab" * 32)
    await place.accounts.release(lock, listed_at=None)
    [key] = place.stored.keys("accounts", ACCOUNT)
    assert key.startswith("unread~")
    assert place.stored.row("accounts", ACCOUNT, key) == before | {"RowKey": key}
    assert ("accounts", key) in await place.noted()


async def test_one_of_two_takes_an_unreadable_lock_over(place: Place) -> None:
    await place.spoiled_lock("no JSON")
    held = await place.accounts._table.get_entity(ACCOUNT, "lock")
    place.now = NOW + timedelta(minutes=4)
    await place.accounts.acquire(ACCOUNT, fingerprint="ab" * 32)
    intent = (await place.accounts.acquire("another", fingerprint="cd" * 32)).intent
    with pytest.raises(AccountBusy):  # it had read the lock before
        await place.accounts._take_over_unread(ACCOUNT, intent, held)


async def test_cooldown_that_can_t_be_read_is_a_lock_that_can_t_be_read(place: Place) -> None:
    lock = await place.accounts.acquire(ACCOUNT, fingerprint="ab" * 32)
    await place.accounts.release(lock, listed_at=NOW)
    place.stored.change(
        "accounts", ACCOUNT, "lock", **{"CoolsDownUntil": "soon", "CoolsDownUntil@odata.type": "Edm.String"}
    )
    with pytest.raises(AccountBusy):
        await place.accounts.acquire(ACCOUNT, fingerprint="ab" * 32, urgent=True)
    place.now = NOW + timedelta(minutes=4)
    await place.accounts.acquire(ACCOUNT, fingerprint="ab" * 32)


@ways
async def test_what_a_holder_may_have_done_stops_nobody_where_it_can_t_be_read(place: Place, way: str) -> None:
    lock = await place.accounts.acquire(ACCOUNT, fingerprint="ab" * 32)
    noted = [Attributed("ab" * 32, ActionKind.ACCOUNT_KEY, "key1", "v")]
    bad, good = replace(lock.intent, attributed=tuple(noted)), replace(lock.intent, holder="another")
    for intent in (bad, good):
        await place.accounts.keep_unsettled(ACCOUNT, intent)
    key = f"unsettled~{bad.holder}"
    kept = place.spoil("accounts", ACCOUNT, key, "Intent", way)
    assert (await place.accounts.rows([ACCOUNT])).unsettled == (good,)
    assert place.stored.row("accounts", ACCOUNT, key) == kept
    assert await place.noted() == {("accounts", key)}


async def test_two_unknown_holders_are_kept_apart(place: Place) -> None:
    for _ in range(2):
        await place.spoiled_lock("no JSON")
        place.now = place.stored.now = place.now + timedelta(minutes=4)
        lock = await place.accounts.acquire(ACCOUNT, fingerprint="ab" * 32)
        assert lock.predecessor is not None
        await place.accounts.keep_unsettled(ACCOUNT, lock.predecessor, taken_from=lock.taken_from)
        await place.accounts.release(lock, listed_at=None)
    rows = await place.accounts.rows([ACCOUNT])
    assert len({intent.holder for intent in rows.unsettled}) == 2
    assert {intent.suspects for intent in rows.unsettled} == {()}


# --- the index and the outbox


async def test_row_of_the_index_that_is_none_stops_no_list(place: Place) -> None:
    record = await place.record()
    place.stored.put("states", {"PartitionKey": "received", "RowKey": "what?", "Account": ACCOUNT, "Reason": ""})
    page = await place.ledger.page(state=None, account=None, limit=10, after=None)
    assert [one.fingerprint for one in page.records] == [record.fingerprint]
    assert "what?" in place.stored.keys("states", "received")
    assert await place.noted() == {("states", "what?")}


@pytest.mark.parametrize("columns", [{"Sweeps": "often"}, {"Schema": SCHEMA + 1}])
async def test_row_of_the_sweep_that_can_t_be_read_stops_no_sweep(place: Place, columns: dict[str, Any]) -> None:
    bad, good = await place.record("key1"), await place.record("key2")
    place.stored.change("states", "open", bad.fingerprint, **columns)
    place.now = NOW + timedelta(hours=1)
    assert [row.fingerprint async for row in place.index.due()] == [good.fingerprint]
    assert await place.noted() == {("states", bad.fingerprint)}


@pytest.mark.parametrize("columns", [{"At": "now", "At@odata.type": "Edm.String"}, {"Schema": SCHEMA + 1}])
async def test_row_of_the_outbox_that_can_t_be_read_stops_no_copy(place: Place, columns: dict[str, Any]) -> None:
    for name in ("ab" * 32, "cd" * 32):
        await place.outbox.add(name)
    place.stored.change("outbox", "copy", "ab" * 32, **columns)
    assert [row.fingerprint async for row in place.outbox.to_copy()] == ["cd" * 32]
    assert await place.noted() == {("outbox", "ab" * 32)}


# --- shared incidents, outages, readiness, messages


async def grouped(place: Place, record: Revocation) -> str:
    group, _ = await place.groups.join(SummaryLine.of(record))
    return group


@ways
async def test_unreadable_finding_of_a_group_leaves_the_others(place: Place, way: str) -> None:
    bad, good = await place.record("key1"), await place.record("key2")
    group = await grouped(place, bad)
    assert await grouped(place, good) == group
    place.spoil("digest", group, bad.fingerprint, "Line", way)
    members = [member.line.fingerprint async for member in place.groups.members(group)]
    assert members == [good.fingerprint]
    assert await place.noted() == {("digest", bad.fingerprint)}


@pytest.mark.parametrize("columns", [{"Begun": "then", "Begun@odata.type": "Edm.String"}, {"Schema": SCHEMA + 1}])
async def test_hour_that_can_t_be_read_is_begun_beside_it(place: Place, columns: dict[str, Any]) -> None:
    record = await place.record()
    first = await grouped(place, record)
    place.stored.change("digest", "current", "received~", **columns)
    kept = place.stored.row("digest", "current", "received~")
    place.now = NOW + timedelta(minutes=1)
    second = await grouped(place, record)
    assert second != first
    assert await grouped(place, record) == second
    assert place.stored.row("digest", "current", "received~") == kept


async def test_incident_that_can_t_be_read_is_not_written(place: Place) -> None:
    group = await grouped(place, await place.record())
    await place.groups.begin_writing(group)
    place.stored.change("digest", group, "group", Schema=SCHEMA + 1)
    place.now = NOW + timedelta(hours=1)
    with pytest.raises(UnreadableRow):
        await place.groups.begin_writing(group)
    assert await place.noted() == {("digest", "group")}


@ways
async def test_outage_that_can_t_be_read_is_counted_beside_it(place: Place, way: str) -> None:
    await place.outages.note([Loss("received", 1, 0, (), None)])
    place.stored.change("digest", "outage", "outage", Outage='{"events": "received"}')
    kept = place.spoil("digest", "outage", "outage", "Outage", way)
    await place.outages.note([Loss("first", 2, 0, (), None)])
    outage = await place.outages.note([Loss("first", 2, 0, (), None), Loss("second", 3, 0, (), None)])
    assert outage.events == 5
    assert place.stored.row("digest", "outage", "outage") == kept


@ways
async def test_check_and_drill_that_can_t_be_read_are_kept_and_leave_the_others(place: Place, way: str) -> None:
    for name in ("bad", "good"):
        await place.readiness.save_check(AccountCheck(name, f"/{name}", "received", NOW))
    for hours in (0, 1):
        await place.readiness.save_drill(DrillRun(NOW + timedelta(hours=hours), "received", "ab" * 32))
    text = '{"account": "received", "outcome": "received"}'
    first = f"{NOW:%Y%m%dT%H%M%S%f}"
    for partition, key in (("account", "received~bad"), ("drill", first)):
        place.stored.change("readiness", partition, key, Record=text)
        place.spoil("readiness", partition, key, "Record", way)
    kept = place.stored.row("readiness", "account", "received~bad")
    await place.readiness.save_check(AccountCheck("bad", "/bad", "received", NOW))
    assert [check.account for check in await place.readiness.checks()] == ["good"]
    assert [run.started_at for run in await place.readiness.drills()] == [NOW + timedelta(hours=1)]
    assert place.stored.row("readiness", "account", "received~bad") == kept
    assert await place.noted() == {("readiness", "received~bad"), ("readiness", first)}


def test_message_of_a_newer_format_is_not_taken_for_one_of_ours() -> None:
    message = queues.Message("ab" * 32)
    assert queues.read(queues.encode(message).encode()) == message
    with pytest.raises(MalformedEvent, match="newer version"):
        queues.read(queues.encode(replace(message, schema=SCHEMA + 1)).encode())
    older = b'{"fingerprint":"' + b"ab" * 32 + b'","attempt":2}'
    assert queues.read(older) == replace(message, attempt=2)


# --- the notes


async def test_note_goes_once_the_row_can_be_read_or_is_gone(place: Place) -> None:
    records = [await place.record(key) for key in ("key1", "key2")]
    rows = [place.stored.row("revocations", one.fingerprint[:2], one.fingerprint) for one in records]
    for record in records:
        place.spoil_record(record, "no JSON")
        assert await place.ledger.readable(record.fingerprint) is None
    assert {row.key for row in await place.unreadable.recheck()} == {one.fingerprint for one in records}
    place.stored.put("revocations", rows[0])
    del place.stored.tables.tables["revocations"][rows[1]["PartitionKey"]][rows[1]["RowKey"]]
    assert await place.unreadable.recheck() == []
    assert await place.noted() == set()


async def test_row_is_logged_and_noted_once_a_process(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    record = await place.record()
    place.spoil_record(record, "no JSON")
    for _ in range(3):
        assert await place.ledger.readable(record.fingerprint) is None
    assert caplog.text.count("Unreadable row") == 1
    assert [row.found_at for row in await place.unreadable.all()] == [NOW]


async def test_row_that_can_t_be_noted_stops_nobody(place: Place) -> None:
    record = await place.record()
    place.spoil_record(record, "no JSON")
    readiness = place.stored.tables.tables.pop("readiness")
    assert await place.ledger.readable(record.fingerprint) is None
    place.stored.tables.tables["readiness"] = readiness
    assert await place.ledger.readable(record.fingerprint) is None
    assert await place.noted() == {("revocations", record.fingerprint)}


async def test_unknown_state_is_a_value_of_a_newer_version(place: Place) -> None:
    record = await place.record()
    assert record.state is State.RECEIVED
    place.spoil_record(record, "an unknown value")
    assert await place.ledger.readable(record.fingerprint) is None
