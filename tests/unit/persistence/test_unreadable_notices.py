"""Shared incidents, the summary mail and reminders work around rows that can't be read."""

from datetime import timedelta
from typing import Any
from unittest.mock import AsyncMock

import pytest

from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.domain.summary_line import SummaryLine
from shared.errors import UnreadableRow
from shared.followup.incidents.hourly import HourlyIncidents
from shared.persistence.rows import SCHEMA
from shared.persistence.store import Store
from shared.persistence.summary_lines import StoredLine
from tests.support.samples import NOW
from tests.support.unreadable import Place, ways

NEWER: dict[str, Any] = {"Schema": SCHEMA + 1}
DAY = timedelta(days=1)


def text_in(column: str) -> dict[str, Any]:
    """A text in place of a time."""
    return {column: "then", f"{column}@odata.type": "Edm.String"}


@pytest.fixture
def place() -> Place:
    return Place()


# --- shared incidents


async def joined(place: Place, *records: Revocation) -> str:
    for record in records:
        group, _ = await place.groups.join(SummaryLine.of(record))
    return group


def incidents(place: Place) -> HourlyIncidents:
    def nothing() -> Any:
        raise AssertionError("nothing is written into an incident")

    return HourlyIncidents(groups=place.groups, incidents=nothing, warm_up=nothing, store=AsyncMock(spec=Store))


@ways
async def test_finding_that_can_t_be_read_stays_in_its_group_and_the_group_with_it(place: Place, way: str) -> None:
    bad, good = await place.record("key1"), await place.record("key2")
    group = await joined(place, bad, good)
    kept = place.spoil("digest", group, bad.fingerprint, "Line", way)
    await incidents(place).forget(group, {bad.fingerprint, good.fingerprint})
    await place.groups.drop(group)
    assert [name async for name in place.groups.names(group)] == [bad.fingerprint]
    assert place.stored.row("digest", group, bad.fingerprint) == kept
    assert [begun.id async for begun in place.groups.begun_before(NOW + DAY, after="")] == [group]


@pytest.mark.parametrize("row", ["group", "groups", "current"])
async def test_group_is_removed_with_all_its_rows_or_with_none(place: Place, row: str) -> None:
    record = await place.record()
    group = await joined(place, record)
    await place.groups.begin_writing(group)
    await place.groups.remove(group, [record.fingerprint])
    partition, key = {"group": (group, "group"), "groups": ("groups", group), "current": ("current", "received~")}[
        row
    ]
    place.stored.change("digest", partition, key, **NEWER)
    before = place.stored.entities("digest")
    with pytest.raises(UnreadableRow):
        await place.groups.drop(group)
    assert place.stored.entities("digest") == before
    place.stored.change("digest", partition, key, Schema=SCHEMA)
    await place.groups.drop(group)
    assert place.stored.entities("digest") == []


async def test_group_whose_row_can_t_be_read_stops_no_retention(place: Place) -> None:
    bad, good = [
        await joined(place, (await place.record(key)).reach(state, now=NOW, detail=""))
        for key, state in (("key1", State.UNRESOLVED), ("key2", State.OBSERVED))
    ]
    place.stored.change("digest", "groups", bad, **NEWER)
    assert [begun.id async for begun in place.groups.begun_before(NOW + DAY, after="")] == [good]
    assert await place.noted() == {("digest", bad)}


async def test_incident_that_does_not_say_who_writes_it_is_not_written(place: Place) -> None:
    group = await joined(place, await place.record())
    await place.groups.begin_writing(group)
    place.stored.change("digest", group, "group", **text_in("Until"))
    with pytest.raises(UnreadableRow):
        await place.groups.begin_writing(group)
    assert await place.unreadable.recheck() != []


# --- the summary mail


async def due(place: Place) -> list[str]:
    return [line.fingerprint async for _, line in place.lines.due(most=10)]


@ways
async def test_line_that_can_t_be_read_is_kept_and_leaves_the_others(place: Place, way: str) -> None:
    bad, good = await place.record("key1"), await place.record("key2")
    for record in (bad, good):
        await place.lines.add(SummaryLine.of(record))
    kept = place.spoil("digest", "line~received~", bad.fingerprint, "Line", way)
    assert await due(place) == [good.fingerprint]
    assert place.stored.row("digest", "line~received~", bad.fingerprint) == kept
    assert await place.noted() == {("digest", bad.fingerprint)}
    assert {row.key for row in await place.unreadable.recheck()} == {bad.fingerprint}


@pytest.mark.parametrize("columns", [{"Lines": "{"}, {"Lines": "[1]"}, NEWER])
async def test_note_of_a_mail_that_can_t_be_read_is_kept_beside_those_of_later_mails(
    place: Place, columns: dict[str, Any]
) -> None:
    await place.lines.note_mailed(["received~"], [StoredLine("line~received~", "ab" * 32, "etag")])
    _, first = place.stored.keys("digest", "mailed")
    place.stored.change("digest", "mailed", first, **columns)
    kept = place.stored.row("digest", "mailed", first)
    line = SummaryLine.of(await place.record())
    await place.lines.add(line)
    place.now = NOW + timedelta(hours=2)
    stored = [row async for row, _ in place.lines.due(most=10)]
    await place.lines.note_mailed([line.kind], stored)
    await place.lines.remove_mailed()
    assert not await place.lines.any_wait()
    assert place.stored.keys("digest", "mailed") == ["received~", first]
    assert place.stored.row("digest", "mailed", first) == kept
    assert {row.key for row in await place.unreadable.recheck()} == {first}


async def test_kind_whose_time_can_t_be_read_is_mailed(place: Place) -> None:
    line = SummaryLine.of(await place.record())
    await place.lines.add(line)
    await place.lines.note_mailed([line.kind], [])
    assert await due(place) == []
    place.stored.change("digest", "mailed", line.kind, **text_in("At"))
    assert await due(place) == [line.fingerprint]


async def test_lock_of_the_mail_that_can_t_be_read_is_free_once_its_holder_is_certainly_done(place: Place) -> None:
    assert await place.lines.lock()
    place.stored.change("digest", "lock", "lock", **text_in("Until"))
    assert not await place.lines.lock()
    place.now = NOW + timedelta(minutes=6)
    assert await place.lines.lock()
    await place.lines.unlock()
    assert place.stored.keys("digest", "lock") == []


# --- the reminders


async def sent(place: Place, reminder: str) -> str | None:
    """Send a reminder if it is due; return the key of its row."""
    held = await place.reminders.begin(reminder)
    if held is None:
        return None
    await place.reminders.end(held, is_sent=True)
    return held.key


@pytest.mark.parametrize("columns", [NEWER, text_in("MailedAt"), text_in("Until")])
async def test_reminder_whose_row_can_t_be_read_is_sent_once_a_day_all_the_same(
    place: Place, columns: dict[str, Any]
) -> None:
    assert await sent(place, "group") == "group"
    place.stored.change("digest", "reminder", "group", **columns)
    kept = place.stored.row("digest", "reminder", "group")
    for days in range(2):
        place.now = NOW + days * DAY
        assert await place.reminders.mailed() == ({"group": NOW} if days else {})
        assert [await sent(place, "group") for _ in range(2)] == ["group~second", None]
    assert await place.reminders.mailed() == {"group": NOW + DAY}
    assert place.stored.row("digest", "reminder", "group") == kept
    assert {row.key for row in await place.unreadable.recheck()} == {"group"}


async def test_unreadable_reminder_is_not_removed_after_its_week(place: Place) -> None:
    for reminder in ("bad", "good"):
        await sent(place, reminder)
    place.stored.change("digest", "reminder", "bad", **NEWER)
    place.now = NOW + 30 * DAY
    assert await place.reminders.mailed() == {}
    assert place.stored.keys("digest", "reminder") == ["bad"]


async def test_reminder_that_was_sent_says_so_although_a_later_attempt_fails(place: Place) -> None:
    """A merge that leaves the time out must not take it away."""
    await sent(place, "group")
    place.now = NOW + DAY
    held = await place.reminders.begin("group")
    assert held is not None
    await place.reminders.end(held, is_sent=False)
    assert await place.reminders.mailed() == {"group": NOW}
