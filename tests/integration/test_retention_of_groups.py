"""What records leave in shared incidents is removed with them, and a group once nothing is in it any more."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from local.tenant.model import Account
from shared.app import App
from shared.domain.report import Report
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.persistence.hourly_groups import Begun
from shared.persistence.queues import Message
from tests.integration.test_unconfirmed_floods import Since, evidence
from tests.support.decisions import BOB, EVE, digest_of
from tests.support.driver import OWNER, Crashed, Driver, Lifetime

LONG = 401 * 24  # hours
HOUR = timedelta(hours=1)
NUMBERS = itertools.count(1)
WITHOUT_COPY = {"history_endpoint": "", "history_rule": "", "history_workspace": ""}  # no record waits for it


@pytest.fixture
async def app(driver: Driver) -> AsyncIterator[App]:
    """An app whose tables have nothing of other tests in them."""
    await emptied(driver)
    yield driver.app(**WITHOUT_COPY)
    await emptied(driver)


async def emptied(driver: Driver) -> None:
    fast_path = driver.app().fast_path
    await driver.no_floods()
    for table in (fast_path.outbox._table, fast_path.store.revocations._table, fast_path.state_index._table):
        rows = [(row["PartitionKey"], row["RowKey"]) async for row in table.query_entities("PartitionKey gt ''")]
        await asyncio.gather(*(table.delete_entity(*key) for key in rows))


async def reported(driver: Driver, app: App, event: Report) -> Revocation:
    """The record of an event, in the incident of its kind."""
    driver.sent.clear()
    await app.fast_path.ingest.receive(event)
    driver.cool_down()
    [fingerprint] = {sent.message.fingerprint for sent in driver.sent if sent.queue == "follow-up"}
    return await followed_up(driver, app, fingerprint)


async def joined(driver: Driver, app: App, *, count: int = 1) -> list[Revocation]:
    """Evidences that somebody has made up, in one group."""
    account = await driver.account(tags={"sasquash-owner": OWNER})
    return [await reported(driver, app, evidence(driver, account, next(NUMBERS))) for _ in range(count)]


async def followed_up(driver: Driver, app: App, fingerprint: str) -> Revocation:
    await app.background.follow_up.run(Message(fingerprint))
    await app.background.hourly_incidents.update()
    return await driver.record(fingerprint)


async def rejected(driver: Driver, app: App, record: Revocation) -> Revocation:
    await app.http.revocations.reject(record.fingerprint, reason="Made up.", caller=BOB)
    return await followed_up(driver, app, record.fingerprint)


async def long_after(driver: Driver, app: App) -> None:
    """Have the sweep see that nothing is outstanding; then the time of retention passes."""
    driver.clock.advance(hours=1)
    await app.background.sweeper.run()
    driver.clock.advance(hours=LONG)


async def rows_of(app: App, group: str) -> list[str]:
    """The rows of a group, and those that name it."""
    rows = [dict(row) async for row in app.background.summary_mail.lines.table.list_entities()]
    mine = [row for row in rows if group in (row["PartitionKey"], row["RowKey"], row.get("Group"))]
    return [f"{row['PartitionKey']}/{row['RowKey']}".replace(group, "…") for row in mine]


def group_of(record: Revocation) -> str:
    assert record.filed is not None
    assert record.filed.shared
    return record.filed.item_id


async def test_group_is_removed_with_its_last_finding(driver: Driver, app: App) -> None:
    records = await joined(driver, app, count=2)
    for record in records:
        await rejected(driver, app, record)
    await long_after(driver, app)
    await app.background.retention.run()
    assert await app.fast_path.store.revocations.read(records[0].fingerprint) is None
    assert await rows_of(app, group_of(records[0])) == []


async def test_group_stays_for_its_time_and_for_good_where_that_is_set(driver: Driver, app: App) -> None:
    [record] = await joined(driver, app)
    await rejected(driver, app, record)
    before = await rows_of(app, group_of(record))
    await long_after(driver, app)
    for days in ("0", "402"):
        await driver.app(**WITHOUT_COPY, retention_days=days).background.retention.run()
    assert (await rows_of(app, group_of(record)), len(before)) == (before, 4)


async def test_finding_that_nobody_has_settled_stays_and_the_others_go(driver: Driver, app: App) -> None:
    first, second = await joined(driver, app, count=2)
    await rejected(driver, app, first)
    await long_after(driver, app)
    await app.background.retention.run()
    members = [name async for name in app.background.hourly_incidents.groups.names(group_of(first))]
    assert members == [second.fingerprint]


async def test_finding_that_has_left_its_group_goes_with_its_record(driver: Driver, app: App) -> None:
    """It has an incident of its own since: the record does not name the group any more."""
    [record] = await joined(driver, app)
    for person in (BOB, EVE):
        await app.http.revocations.approve(
            record.fingerprint, digest=digest_of(record), reason="It is real.", caller=person
        )
    driver.clock.advance(hours=1)
    closed = await followed_up(driver, app, record.fingerprint)
    assert (closed.state, closed.filed is not None and closed.filed.shared) == (State.CLOSED, False)
    await long_after(driver, app)
    await app.background.retention.run()
    assert await rows_of(app, group_of(record)) == []


async def test_incident_is_not_written_because_findings_were_removed(driver: Driver, app: App) -> None:
    """A person may have closed it: only a new finding opens it again."""
    since = Since(driver)
    first, second, third = await joined(driver, app, count=3)
    await rejected(driver, app, first)
    await long_after(driver, app)
    [incident] = since.incidents
    title = incident.fields["Title"]
    incident.fields["Title"] = "Closed by a person."
    await app.background.retention.run()
    await rejected(driver, app, second)
    assert incident.fields["Title"] == "Closed by a person."
    await rejected(driver, app, third)
    assert (incident.fields["Title"] != title, incident.fields["Status"]) == (True, "dismissed")


async def test_leak_that_is_reported_again_later_keeps_no_finding_in_its_old_group(driver: Driver, app: App) -> None:
    account: Account = await driver.account()
    event = evidence(driver, account, next(NUMBERS))
    record = await reported(driver, app, event)
    await rejected(driver, app, record)
    await long_after(driver, app)
    await app.background.retention._remove(before=driver.clock(), until=driver.clock() + HOUR)
    again = await reported(driver, app, event)
    assert again.fingerprint == record.fingerprint
    await app.background.retention.run()
    assert await rows_of(app, group_of(record)) == []
    assert again.fingerprint in str(await rows_of(app, group_of(again)))


async def test_run_that_ends_at_any_call_is_finished_by_the_next(driver: Driver, app: App) -> None:
    number, ended, since = 0, True, Since(driver)
    while ended:
        number += 1
        first, second = await joined(driver, app, count=2)
        await rejected(driver, app, first)
        group = group_of(first)
        await long_after(driver, app)
        life, ended = Lifetime(ends_at=number, carried_out=number % 2 == 0, counting="/digest"), False
        try:
            await driver.app(life, **WITHOUT_COPY).background.retention.run()
        except Crashed:
            ended = True
        driver.clock.advance(minutes=3)  # the lock of the incident ends
        await app.background.retention.run()
        await app.background.hourly_incidents.update()
        members = [name async for name in app.background.hourly_incidents.groups.names(group)]
        assert members == [second.fingerprint], f"ended at call {number}"
        await rejected(driver, app, second)
        await long_after(driver, app)
        await app.background.retention.run()
        assert await rows_of(app, group) == [], f"ended at call {number}"
    assert number > 6
    assert {incident.fields["Status"] for incident in since.incidents} == {"dismissed"}


async def test_two_runs_at_once_remove_a_group(driver: Driver, app: App) -> None:
    [record] = await joined(driver, app)
    await rejected(driver, app, record)
    await long_after(driver, app)
    other = driver.app(**WITHOUT_COPY)
    await asyncio.gather(app.background.retention.run(), other.background.retention.run())
    driver.clock.advance(minutes=3)
    await app.background.retention.run()
    assert await rows_of(app, group_of(record)) == []


async def test_groups_that_do_not_fit_into_a_run_are_those_of_the_next(
    driver: Driver, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the first ones stay, since nobody has settled what is in them."""
    groups = []
    for _ in range(3):
        [record] = await joined(driver, app)
        groups.append(group_of(record))
        driver.clock.advance(hours=2)
    driver.clock.advance(hours=LONG)
    retention, seen = app.background.retention, list[str]()
    prune = retention._groups._prune

    async def slowly(group: Begun, *, until: datetime) -> None:
        seen.append(group.id)
        driver.clock.advance(minutes=2)  # longer than a run has time for groups
        await prune(group, until=until)

    monkeypatch.setattr(retention._groups, "_prune", slowly)
    for _ in range(4):
        await retention.run()
    assert seen == [*sorted(groups), min(groups)]
