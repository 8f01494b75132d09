"""A summary mail is about so many lines at most, and none of them is lost or mailed twice."""

import asyncio
import re
from dataclasses import replace
from urllib.parse import unquote

import msgspec
import pytest

from local.network.faults import Effect
from shared.app import App
from shared.domain.finding import Finding
from shared.domain.revocation import Revocation
from shared.domain.states import Reason
from shared.domain.summary_line import SummaryLine
from shared.errors import TransientFailure
from shared.followup.mail import summary_store
from tests.support.driver import Crashed, Driver, Lifetime

FEW = 5


@pytest.fixture
async def app(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> App:
    """An app whose mails have few lines, and no other flood."""
    await driver.no_floods()
    driver.cloud.model.mails.clear()
    monkeypatch.setattr(summary_store, "MOST", FEW)
    return driver.app()


def record(driver: Driver, number: int, reason: Reason = Reason.MALFORMED) -> Revocation:
    finding = Finding(f"{number:064x}", None, f"scanner {number}", None, driver.clock())
    return Revocation.of(finding, now=driver.clock()).end(reason, now=driver.clock(), detail="")


async def added(driver: Driver, app: App, count: int, reason: Reason = Reason.MALFORMED) -> None:
    for number in range(count):
        await app.background.summary_mail.add(record(driver, number, reason))


def mailed(driver: Driver) -> list[int]:
    """Which lines the mails are about, in the order in which they were sent."""
    return [int(number) for mail in driver.cloud.model.mails for number in re.findall(r"scanner (\d+)", mail.body)]


def subjects(driver: Driver) -> list[str]:
    return [mail.subject.removeprefix("[SUMMARY] ") for mail in driver.cloud.model.mails]


async def left(app: App) -> list[str]:
    """The rows of lines, and the notes of what was mailed."""
    rows = [row async for row in app.background.summary_mail.lines.table.list_entities()]
    return [row["RowKey"] for row in rows if row["PartitionKey"].startswith("line") or row["RowKey"].startswith("~")]


def reads_of_lines(driver: Driver) -> int:
    """How often the lines of a kind were read."""
    return sum("PartitionKey eq 'line~" in unquote(request.url) for request in driver.requests("/digest()"))


async def test_flood_is_mailed_in_parts_and_each_line_once(driver: Driver, app: App) -> None:
    await added(driver, app, 12)
    for _ in range(4):
        await app.background.summary_mail.send()
        driver.clock.advance(minutes=61)
    more, rest = "more than 5 unconfirmed findings", "2 unconfirmed findings"
    assert subjects(driver) == [more, more, rest]
    assert (sorted(mailed(driver)), await left(app)) == (list(range(12)), [])


async def test_rest_of_a_flood_holds_up_no_other_kind(driver: Driver, app: App) -> None:
    await added(driver, app, 12, Reason.CRASHED)
    await app.background.summary_mail.send()
    await added(driver, app, 1)
    await app.background.summary_mail.send()
    await app.background.summary_mail.send()
    assert subjects(driver) == ["more than 5 unconfirmed findings: 5 FAILED", "1 unconfirmed finding"]


async def test_lines_of_a_kind_that_was_mailed_lately_are_not_read(driver: Driver, app: App) -> None:
    await added(driver, app, 12)
    await app.background.summary_mail.send()
    before = reads_of_lines(driver)
    await app.background.summary_mail.send()
    assert (before, reads_of_lines(driver)) == (1, 1)


async def test_lines_of_all_kinds_are_mailed_together(driver: Driver, app: App) -> None:
    await added(driver, app, 2)
    await added(driver, app, 1, Reason.CRASHED)
    await app.background.summary_mail.send()
    assert subjects(driver) == ["3 unconfirmed findings: 1 FAILED"]


@pytest.mark.parametrize("carried_out", [False, True])
async def test_instance_that_ends_while_it_removes_lines_has_none_mailed_again(
    driver: Driver, app: App, *, carried_out: bool
) -> None:
    number, crashed = 0, True
    while crashed:
        number += 1
        driver.cloud.model.mails.clear()
        await added(driver, app, 3)
        await added(driver, app, 1, Reason.CRASHED)
        life, crashed = Lifetime(ends_at=number, carried_out=carried_out, counting="/digest"), False
        try:
            await driver.app(life).background.summary_mail.send()
        except Crashed:
            crashed = True
        was_noted = [row for row in await left(app) if row.startswith("~")] != []
        for _ in range(2):
            driver.clock.advance(minutes=61)
            await app.background.summary_mail.send()
        assert len(subjects(driver)) == 1 or not was_noted, f"crashed at call {number}"
        assert (set(mailed(driver)), [row for row in await left(app) if row[0] != "~"]) == ({0, 1, 2}, [])
    assert number > 5


async def test_lines_whose_removal_fails_are_not_mailed_again(driver: Driver, app: App) -> None:
    await added(driver, app, 3)
    driver.fault("/digest(PartitionKey='mailed',RowKey='~000", Effect.STATUS, status=503, times=20)
    with pytest.raises(TransientFailure):
        await app.background.summary_mail.send()
    driver.cloud.faults.clear()
    driver.clock.advance(minutes=61)
    await added(driver, app, 1, Reason.CRASHED)
    await app.background.summary_mail.send()
    assert subjects(driver) == ["3 unconfirmed findings", "1 unconfirmed finding: 1 FAILED"]
    assert await left(app) == []


async def test_line_that_is_written_again_while_its_mail_is_sent_is_mailed_again(driver: Driver, app: App) -> None:
    await added(driver, app, 2)
    life = Lifetime(stops_at="/$batch")  # which notes what was mailed
    sending = asyncio.create_task(driver.app(life).background.summary_mail.send())
    await asyncio.wait_for(life.stopped.wait(), 20)
    again = replace(record(driver, 1), detail="More was lost since.")
    await app.background.summary_mail.add(again)
    life.go.set()
    await sending
    driver.clock.advance(minutes=61)
    await app.background.summary_mail.send()
    assert mailed(driver) == [0, 1, 1]


async def test_lines_that_an_earlier_version_wrote_are_mailed_once(driver: Driver, app: App) -> None:
    line = SummaryLine.of(record(driver, 7))
    await app.background.summary_mail.lines.table.upsert_entity(
        {
            "PartitionKey": "line",
            "RowKey": f"{line.fingerprint}~{line.kind}",
            "Line": msgspec.json.encode(line).decode(),
        }
    )
    await app.background.summary_mail.send()
    await app.background.summary_mail.send()
    assert (mailed(driver), await left(app)) == ([7], [])
