"""Rows of the last versions are read and changed by this one, and what a newer one wrote survives that.

The rows are those that the versions wrote (`rows/README.md`). A newer version is this one's rows with columns and
fields that it does not know.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count

import pytest

from shared.domain.history import Integrity, judge
from shared.domain.readiness import Check, Trouble
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.domain.summary_line import SummaryLine
from shared.persistence.account_rows import Attributed
from shared.persistence.accounts import AccountTable
from shared.persistence.history_rows import Checked, Copied, HistoryRows
from shared.persistence.hourly_groups import HourlyGroups
from shared.persistence.outages import Loss, Outages
from shared.persistence.outbox import Outbox
from shared.persistence.readiness import DrillOutcome, ReadinessTable
from shared.persistence.reminders import Reminders
from shared.persistence.revocations import Ledger
from shared.persistence.rows import SCHEMA, unreadable
from shared.persistence.state_index import StateIndex
from shared.persistence.summary_lines import SummaryLines, line_in
from shared.persistence.unreadable_rows import UnreadableRows
from tests.support import samples
from tests.support.memory_tables import Stored, written_by
from tests.support.samples import NOW

VERSIONS = ["0.2.0", "before_schema"]
UNSTRUCTURED = {("digest", "lock"), ("digest", "mailed")}  # a time alone; one that can't be read is another's
JSON_COLUMNS = (
    "Record",
    "Finding",
    "Facts",
    "Plan",
    "Paths",
    "Head",
    "Intent",
    "Rotation",
    "Entry",
    "Line",
    "Outage",
)


class Place:
    """This version's readers and writers, on tables in memory."""

    def __init__(self, version: str | None = None) -> None:
        self.stored = Stored(written_by(version) if version else None)
        self.now = NOW
        numbers = count(1)
        table = self.stored.client.get_table_client
        self.index = StateIndex(table("states"), clock=self.clock)
        self.outbox = Outbox(table("outbox"), clock=self.clock)
        self.ledger = Ledger(
            table("revocations"),
            self.index,
            clock=self.clock,
            new_id=lambda: f"{next(numbers):036}",
            outbox=self.outbox,
        )
        self.accounts = AccountTable(table("accounts"), clock=self.clock, new_id=lambda: f"id{next(numbers)}")
        self.history = HistoryRows(table("revocations"))
        self.readiness = ReadinessTable(table("readiness"))
        self.groups = HourlyGroups(table("digest"), clock=self.clock, new_id=lambda: f"id{next(numbers)}")
        self.lines = SummaryLines(table("digest"), clock=self.clock, new_id=lambda: f"id{next(numbers)}")
        self.reminders = Reminders(table("digest"), clock=self.clock, new_id=lambda: f"id{next(numbers)}")
        self.outages = Outages(table("digest"), clock=self.clock)

    def clock(self) -> datetime:
        return self.now

    def records(self) -> list[str]:
        rows = self.stored.entities("revocations")
        return [row["RowKey"] for row in rows if "State" in row]

    def widen(self) -> None:
        """Write into every row what a newer version may have added, which this one can read all the same."""
        for table, rows in self.stored.tables.tables.items():
            for partition, held in rows.items():
                for key in list(held):
                    row = self.stored.row(table, partition, key)
                    added = {
                        name: json.dumps(json.loads(row[name]) | {"novel": name})
                        for name in JSON_COLUMNS
                        if str(row.get(name, "")).startswith("{")
                    }
                    self.stored.change(table, partition, key, Novel="kept", **added)


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_row_of_the_last_versions_can_be_read(version: str) -> None:
    place = Place(version)
    rows = UnreadableRows(place.stored.client.get_table_client, clock=place.clock)
    noted = 0
    for table, held in written_by(version).items():
        for row in held:
            if (table, row["PartitionKey"]) not in UNSTRUCTURED:
                await rows.note(unreadable(table, row))
                noted += 1
    assert len(await rows.all()) == noted
    assert await rows.recheck() == []  # each is read again


@pytest.mark.parametrize("version", VERSIONS)
async def test_records_of_the_last_versions_are_changed_and_read_again(version: str) -> None:
    place = Place(version)
    states = set()
    for fingerprint in place.records():
        before = await place.ledger.read(fingerprint)
        assert before is not None
        states.add(before.state)
        saved = await place.ledger.save(replace(before, detail="Changed."), what="Changed.")
        after = await place.ledger.read(fingerprint)
        row = place.stored.row("revocations", fingerprint[:2], fingerprint)
        assert after == saved
        assert after == replace(before, detail="Changed.", head=saved.head, etag=saved.etag)
        assert row["Schema"] == SCHEMA
    assert {State.RECEIVED, State.CONTAINED, State.PROVEN, State.CLOSED, State.FAILED} <= states


@pytest.mark.parametrize("version", VERSIONS)
async def test_history_of_the_last_versions_goes_on(version: str) -> None:
    place = Place(version)
    for fingerprint in place.records():
        before = await place.ledger.history(fingerprint)
        await place.ledger.change(fingerprint, lambda current: current, what="A line more.")
        stored = await place.history.stored(fingerprint)
        assert stored.entries[: len(before)] == before
        assert stored.record is not None
        judgment = judge(stored.entries, stored.record.head, fingerprint=fingerprint, copied=None)
        assert judgment.integrity is Integrity.UNCONFIRMED  # there is no copy, and nothing contradicts it


@pytest.mark.parametrize("version", VERSIONS)
async def test_lock_and_rows_of_an_account_of_the_last_versions_are_read(version: str) -> None:
    place = Place(version)
    rows = await place.accounts.rows(["models0"])
    place.now = NOW + timedelta(days=400)
    lock = await place.accounts.acquire("models0", fingerprint="ab" * 32)
    assert (len(rows.waiting), len(rows.rotations), rows.unread_rotations) == (1, 1, ())
    assert lock.predecessor is not None
    assert lock.intent.attributed == lock.predecessor.attributed != ()


@pytest.mark.parametrize("version", VERSIONS)
async def test_index_of_the_last_versions_is_read(version: str) -> None:
    place = Place(version)
    place.now = NOW + timedelta(days=400)
    due = [row.fingerprint async for row in place.index.due()]
    listed = await place.ledger.page(state=None, account=None, limit=100, after=None)
    assert due == place.stored.keys("states", "open")
    assert listed.records
    assert listed.unreadable == ()


@pytest.mark.parametrize("version", VERSIONS)
async def test_checks_and_drills_of_the_last_versions_are_read_and_written(version: str) -> None:
    place = Place(version)
    [check], [run] = await place.readiness.checks(), await place.readiness.drills()
    await place.readiness.save_check(replace(check, troubles=()))
    await place.readiness.save_drill(replace(run, outcome=DrillOutcome.FAILED))
    assert check.troubles == (Trouble(Check.LOCK, True, "A lock forbids it."),)
    assert [each.troubles for each in await place.readiness.checks()] == [()]
    assert [each.outcome for each in await place.readiness.drills()] == [DrillOutcome.FAILED]


async def test_groups_outage_and_outbox_of_the_last_version_go_on() -> None:
    place = Place("before_schema")
    place.now = datetime.fromisoformat("2026-11-30T12:10:00+00:00")
    [changed] = await place.groups.changed()
    [member] = [each async for each in place.groups.members(changed.id)]
    group = await place.groups.begin_writing(changed.id)
    outage = await place.outages.note([Loss("another", 3, 0, (), None)])
    assert member.line.state is State.UNRESOLVED
    assert group is not None
    assert (outage.events, len(outage.counted)) == (5, 2)
    assert [row.fingerprint async for row in place.outbox.to_copy()]
    assert await place.outbox.place("history") == "ab" * 32


def novel(place: Place, table: str, partition: str, key: str, column: str | None = None) -> tuple[object, object]:
    row = place.stored.row(table, partition, key)
    return row.get("Novel"), json.loads(row[column]).get("novel") if column else None


async def of_newer() -> Place:
    """A record of this version, an execution's lock, and rows around them, as a newer version would have them."""
    place = Place("before_schema")
    place.widen()
    return place


def changes(record: Revocation) -> Iterator[Revocation]:
    yield replace(record, detail="Changed.")
    yield record.reach(State.UNRESOLVED, now=NOW, detail="Moved.")
    yield record.with_readings(replace(samples.finding(), reported_by=samples.PERSON))


@pytest.mark.parametrize("number", range(3))
async def test_record_of_a_newer_version_keeps_what_this_one_does_not_know(number: int) -> None:
    place = await of_newer()
    for fingerprint in place.records():
        before = await place.ledger.read(fingerprint)
        assert before is not None
        await place.ledger.save(list(changes(before))[number], what="Changed.")
        for column in ("Record", "Finding", "Paths"):
            assert novel(place, "revocations", fingerprint[:2], fingerprint, column) == ("kept", column)
        if before.plan is not None:  # as it was
            assert novel(place, "revocations", fingerprint[:2], fingerprint, "Plan") == ("kept", "Plan")


async def test_record_that_is_saved_twice_keeps_it() -> None:
    place = await of_newer()
    fingerprint = place.records()[0]
    record = await place.ledger.read(fingerprint)
    assert record is not None
    saved = await place.ledger.save(replace(record, detail="Once."), what="Once.")
    await place.ledger.save(replace(saved, detail="Twice."), what="Twice.")
    assert novel(place, "revocations", fingerprint[:2], fingerprint, "Record") == ("kept", "Record")


async def test_plan_that_replaces_another_has_nothing_of_it() -> None:
    place = await of_newer()
    for fingerprint in place.records():
        record = await place.ledger.read(fingerprint)
        assert record is not None
        await place.ledger.save(replace(record, plan=samples.plan()), what="Planned.")
        assert novel(place, "revocations", fingerprint[:2], fingerprint, "Plan") == ("kept", None)


async def test_snapshot_for_the_copy_has_nothing_that_this_version_does_not_know() -> None:
    """It may be a token, which this version would not take out."""
    from shared.persistence.revocation_entity import snapshot

    place = await of_newer()
    for fingerprint in place.records():
        record = await place.ledger.read(fingerprint)
        assert record is not None
        assert "novel" not in snapshot(record, longest=64_000)


async def test_rows_beside_a_record_keep_the_columns_of_a_newer_version() -> None:
    place = await of_newer()
    [fingerprint] = [key.partition("~")[0] for key in all_keys(place, "revocations") if key.endswith("~~copied")]
    await place.history.save_copied(fingerprint, Copied("c", 9, "key"))
    await place.history.save_checked(fingerprint, Checked(NOW, Integrity.INTACT, "Whole."))
    for name in ("copied", "checked"):
        assert novel(place, "revocations", fingerprint[:2], f"{fingerprint}~~{name}")[0] == "kept"


def all_keys(place: Place, table: str) -> list[str]:
    return [row["RowKey"] for row in place.stored.entities(table)]


async def test_lock_that_is_taken_over_keeps_what_its_holder_noted() -> None:
    """A newer successor has to settle what it noted, should this one crash, too."""
    place = await of_newer()
    row = place.stored.row("accounts", "models0", "lock")
    intent = json.loads(row["Intent"])
    intent["attributed"][0]["novel"] = "of the leak"
    place.stored.change("accounts", "models0", "lock", Intent=json.dumps(intent))
    place.now = NOW + timedelta(days=400)
    lock = await place.accounts.acquire("models0", fingerprint="ab" * 32)

    assert novel(place, "accounts", "models0", "lock", "Intent") == ("kept", "Intent")
    taken = json.loads(place.stored.row("accounts", "models0", "lock")["Intent"])
    assert taken["attributed"][0]["novel"] == "of the leak"
    more = Attributed("cd" * 32, lock.intent.attributed[0].action, "key1", "v")
    await place.accounts.attribute(lock, [*lock.intent.attributed, more])
    noted = json.loads(place.stored.row("accounts", "models0", "lock")["Intent"])["attributed"]
    assert [one.get("novel") for one in noted] == ["of the leak", None]


async def test_what_a_holder_may_have_done_is_kept_with_all_that_its_lock_said() -> None:
    place = await of_newer()
    place.now = NOW + timedelta(days=400)
    lock = await place.accounts.acquire("models0", fingerprint="ab" * 32)
    assert lock.predecessor is not None
    await place.accounts.keep_unsettled("models0", lock.predecessor, taken_from=lock.taken_from)
    [kept] = (await place.accounts.rows(["models0"])).unsettled
    assert kept == lock.predecessor
    key = f"unsettled~{kept.holder}"
    assert novel(place, "accounts", "models0", key, "Intent") == ("kept", "Intent")
    await place.accounts.remove_unsettled("models0", kept)
    assert (await place.accounts.rows(["models0"])).unsettled == ()


async def test_rows_of_an_account_keep_the_columns_of_a_newer_version() -> None:
    place = await of_newer()
    rows = await place.accounts.rows(["models0"])
    await place.accounts.add_waiting(rows.waiting[0])
    await place.accounts.add_rotation("models0", rows.rotations[0])
    for key in place.stored.keys("accounts", "models0"):
        assert novel(place, "accounts", "models0", key)[0] == "kept"


async def test_index_keeps_the_columns_of_a_newer_version() -> None:
    place = await of_newer()
    place.now = NOW + timedelta(days=400)
    [due] = [row async for row in place.index.due()]
    await place.index.check_again(due, deadline=None)
    record = await place.ledger.read(due.fingerprint)
    assert record is not None
    await place.index.note_state(record)
    assert novel(place, "states", "open", due.fingerprint)[0] == "kept"
    [key] = [key for key in place.stored.keys("states", record.state) if key.endswith(due.fingerprint)]
    assert novel(place, "states", record.state, key)[0] == "kept"


async def test_record_that_is_not_watched_any_more_leaves_nothing_that_says_so() -> None:
    place = Place()
    record, _ = await place.ledger.claim(samples.finding())
    signed = replace(record, key_name="key2", key_sha256=samples.SIGNER.key_sha256, signer=samples.SIGNER)
    seen = await place.ledger.save(signed.reach(State.OBSERVED, now=NOW, detail="Observed."), what="Observed.")
    assert [row.fingerprint async for row in place.index.watched()] == [record.fingerprint]
    await place.index.note_state(replace(seen, signer=None))
    assert [row.fingerprint async for row in place.index.watched()] == []


async def test_mails_and_reminders_keep_the_columns_of_a_newer_version() -> None:
    place = Place()
    record, _ = await place.ledger.claim(samples.finding())
    held = await place.reminders.begin("group")
    assert held is not None
    await place.reminders.end(held, is_sent=True)
    await place.lines.add(SummaryLine.of(record))
    await place.lines.note_mailed(["received~"], [])
    await place.lines.lock()
    place.widen()
    place.now = NOW + timedelta(days=1)
    held = await place.reminders.begin("group")
    assert held is not None
    await place.reminders.end(held, is_sent=True)
    await place.lines.add(SummaryLine.of(record))
    await place.lines.note_mailed(["received~"], [])
    await place.lines.lock()
    kept = (
        ("reminder", "group"),
        ("line~received~", record.fingerprint),
        ("mailed", "received~"),
        ("lock", "lock"),
    )
    assert [novel(place, "digest", *key)[0] for key in kept] == ["kept"] * 4


async def test_outbox_keeps_the_columns_of_a_newer_version() -> None:
    place = await of_newer()
    [waiting] = [row async for row in place.outbox.to_copy()]
    await place.outbox.add(waiting.fingerprint)
    await place.outbox.begin_pruning("cd" * 32)
    await place.outbox.save_place("history", "cd" * 32)
    for partition, key in (("copy", waiting.fingerprint), ("prune", "cd" * 32), ("place", "history")):
        assert novel(place, "outbox", partition, key)[0] == "kept"


async def test_groups_keep_the_columns_of_a_newer_version() -> None:
    place = await of_newer()
    place.now = NOW + timedelta(days=400)
    [changed] = await place.groups.changed()
    [member] = [each async for each in place.groups.members(changed.id)]
    await place.groups.put(changed.id, member.line)
    group = await place.groups.begin_writing(changed.id)
    assert group is not None
    await place.groups.end_writing(replace(group, shown="shown"))
    await place.groups.join(member.line)
    kept = [
        ("changed", changed.id),
        (changed.id, member.line.fingerprint),
        (changed.id, "group"),
        ("current", member.line.kind),
    ]
    assert [novel(place, "digest", *key)[0] for key in kept] == ["kept"] * 4


async def test_outage_keeps_what_this_version_does_not_know() -> None:
    place = await of_newer()
    place.now = datetime.fromisoformat("2026-11-30T12:10:00+00:00")
    await place.outages.note([Loss("another", 3, 0, (), None)])
    assert novel(place, "digest", "outage", "outage", "Outage") == ("kept", "Outage")


async def test_readiness_keeps_what_this_version_does_not_know() -> None:
    place = await of_newer()
    for row in place.stored.entities("readiness"):
        record = json.dumps(json.loads(row["Record"]) | {"novel": "Record"})
        place.stored.change("readiness", row["PartitionKey"], row["RowKey"], Record=record)
    [check], [run] = await place.readiness.checks(), await place.readiness.drills()
    await place.readiness.save_check(replace(check, troubles=()))
    await place.readiness.save_drill(replace(run, said="Judged."))
    rows = [row for row in place.stored.entities("readiness") if row["PartitionKey"] != "subscription"]
    assert [(row["Novel"], json.loads(row["Record"])["novel"], row["Schema"]) for row in rows] == [
        ("kept", "Record", SCHEMA)
    ] * 2


async def test_every_row_that_this_version_writes_has_the_number_of_its_format() -> None:
    place = Place()
    record, _ = await place.ledger.claim(samples.finding())
    ended = record.reach(State.UNRESOLVED, now=NOW, detail="Ended.")
    await place.ledger.save(ended, what="Ended.")
    await place.accounts.add_waiting(record.finding)
    lock = await place.accounts.acquire(samples.ACCOUNT, fingerprint=record.fingerprint)
    await place.accounts.release(lock, listed_at=NOW)
    await place.accounts.keep_unsettled(samples.ACCOUNT, lock.intent)
    group, _ = await place.groups.join(SummaryLine.of(ended))
    await place.groups.begin_writing(group)
    await place.lines.add(SummaryLine.of(ended))
    await place.lines.note_mailed(["received~"], [row async for row, _ in place.lines.due(most=1)])
    await place.lines.lock()
    await place.reminders.begin("group")
    await place.outages.note([Loss("blob", 1, 0, (), None)])
    await place.outbox.save_place("history", "")
    await place.history.save_copied(record.fingerprint, Copied())
    rows = [row for table in place.stored.tables.tables for row in place.stored.entities(table)]
    assert len(rows) > 10
    assert {row.get("Schema") for row in rows} == {SCHEMA}


async def test_line_of_the_summary_mail_of_the_last_versions_is_read() -> None:
    for version in VERSIONS:
        [row] = [row for row in Place(version).stored.entities("digest") if row["PartitionKey"] == "line"]
        assert line_in(row).state is State.UNRESOLVED


def test_history_lines_of_the_last_version_have_links_and_those_before_have_none() -> None:
    links = {}
    for version in VERSIONS:
        entries = [json.loads(row["Entry"]) for row in written_by(version)["revocations"] if "Entry" in row]
        links[version] = {entry.get("link") is not None for entry in entries}
    assert links == {"0.2.0": {False}, "before_schema": {True}}
