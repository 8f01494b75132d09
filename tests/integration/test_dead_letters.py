"""What the platform gave up on: dead letters are ingested late, poison is recorded, and none of it twice."""

import asyncio
import hashlib
import itertools
import json
from typing import Any

import pytest
from azure.storage.blob.aio import ContainerClient

from local.tenant.model import Account
from shared.domain.finding import Finding
from shared.domain.report import REPORTED, Report
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.persistence import outages
from shared.persistence.queues import Message
from tests.support import unusual_leaks
from tests.support.containment import rotated
from tests.support.driver import OWNER, Crashed, Driver, Lifetime, found
from tests.support.leaks import account_sas

NUMBERS = itertools.count(1)
PROPERTIES = {
    "deadletterreason": "MaxDeliveryAttemptsExceeded",
    "deliveryattempts": 30,
    "lastdeliveryoutcome": "TimedOut",
    "publishtime": "2026-11-20T03:00:00Z",
}


@pytest.fixture
async def account(driver: Driver) -> Account:
    return await driver.account(tags={"sasquash-owner": OWNER})


@pytest.fixture
async def container(driver: Driver) -> ContainerClient:
    """The dead letters, of which there are none but the test's."""
    return await driver.no_dead_letters()


def letter(finding: Finding, **changed: Any) -> dict[str, Any]:
    """An event as Event Grid dead-letters it."""
    event = {
        "specversion": "1.0",
        "id": finding.fingerprint,
        "source": "/scanners/tests",
        "type": REPORTED,
        "data": finding.to_data(),
    }
    return event | PROPERTIES | changed


async def put(container: ContainerClient, *letters: object, name: str | None = None) -> None:
    name = name or f"sasquash/FINDINGS/2026/11/20/3/{next(NUMBERS)}.json"
    await container.upload_blob(name, json.dumps(letters).encode(), overwrite=True)


async def names(container: ContainerClient) -> list[str]:
    return [blob.name async for blob in container.list_blobs()]


async def of_trouble(driver: Driver, reason: Reason) -> list[Revocation]:
    """The records of the app's own trouble that were just made."""
    fingerprints = dict.fromkeys(s.message.fingerprint for s in driver.sent if s.queue == "follow-up")
    records = [await driver.record(fingerprint) for fingerprint in fingerprints]
    return [record for record in records if record.reason is reason]


# --- dead letters


async def test_leak_in_a_dead_letter_is_revoked(driver: Driver, account: Account, container: ContainerClient) -> None:
    finding = found(account_sas(account.name, account.keys["key1"]))
    await put(container, letter(finding))
    await driver.app().background.dead_letters.collect()
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED
    assert rotated(account) == ["key1"]


async def test_event_in_the_event_grid_schema_is_read(
    driver: Driver, account: Account, container: ContainerClient
) -> None:
    finding = found(account_sas(account.name, account.keys["key1"]))
    event = {
        "id": "1",
        "eventType": REPORTED,
        "topic": "/topics/x",
        "subject": "x",
        "dataVersion": "1",
        "data": finding.to_data(),
        "deadLetterReason": "TimeToLiveExceeded",
        "deliveryAttempts": 12,
    }
    await put(container, event)
    await driver.app().background.dead_letters.collect()
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED


async def test_dead_letter_is_a_failed_record_that_says_why(
    driver: Driver, account: Account, container: ContainerClient
) -> None:
    await put(container, letter(found(account_sas(account.name, account.keys["key1"]))))
    await driver.app().background.dead_letters.collect()
    [record] = await of_trouble(driver, Reason.UNDELIVERED)
    assert (record.state, "MaxDeliveryAttemptsExceeded; attempts: 30" in record.detail) == (State.FAILED, True)


async def test_dead_letter_is_filed_and_mailed(driver: Driver, account: Account, container: ContainerClient) -> None:
    await put(container, letter(found(account_sas(account.name, account.keys["key1"]))))
    app = driver.app()
    await app.background.dead_letters.collect()
    [record] = await of_trouble(driver, Reason.UNDELIVERED)
    before = len(driver.cloud.model.mails)
    await app.background.follow_up.run(Message(record.fingerprint))
    assert len(driver.shared_incidents(await driver.record(record.fingerprint))) == 1
    await app.background.summary_mail.send()
    [mail] = driver.cloud.model.mails[before:]
    assert "REPORT DELIVERY FAILED" in mail.subject


async def test_dead_letter_that_was_taken_in_is_deleted(
    driver: Driver, account: Account, container: ContainerClient
) -> None:
    await put(container, letter(found(account_sas(account.name, account.keys["key1"]))))
    await driver.app().background.dead_letters.collect()
    assert await names(container) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b'"x"', b"[" * 100_000, b"\xff\xfe"])
async def test_dead_letter_that_can_t_be_read_is_kept_and_recorded_once(
    driver: Driver, container: ContainerClient, content: bytes
) -> None:
    await container.upload_blob(f"odd/{len(content)}-{content[:1].hex()}.json", content)
    app = driver.app()
    await app.background.dead_letters.collect()
    [record] = await of_trouble(driver, Reason.UNDELIVERED)
    await app.background.follow_up.run(Message(record.fingerprint))
    driver.sent.clear()
    await app.background.dead_letters.collect()
    [kept] = await names(container)
    assert (driver.sent, kept.startswith("kept/")) == ([], True)
    assert f"kept in container dead-letters as {kept}" in record.detail


async def test_blob_of_which_one_event_can_t_be_read_is_kept_and_the_others_are_taken_in(
    driver: Driver, account: Account, container: ContainerClient
) -> None:
    finding = found(account_sas(account.name, account.keys["key1"]))
    await put(container, letter(finding), {"no": "event"})
    await driver.app().background.dead_letters.collect()
    [kept] = await names(container)
    assert kept.startswith("kept/")
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED


async def test_one_that_fails_does_not_stop_the_others(
    driver: Driver, account: Account, container: ContainerClient
) -> None:
    finding = found(account_sas(account.name, account.keys["key1"]))
    await put(container, letter(finding), name="a.json")
    await put(container, letter(finding), name="b.json")
    driver.fault("/dead-letters/a.json", times=None)
    await driver.app().background.dead_letters.collect()
    assert await names(container) == ["a.json"]


async def test_event_grid_s_own_words_are_not_trusted(
    driver: Driver, account: Account, container: ContainerClient
) -> None:
    finding = found(account_sas(account.name, account.keys["key1"]))
    await put(container, letter(finding, deadletterreason="<b>x</b>" * 50))
    await driver.app().background.dead_letters.collect()
    [record] = await of_trouble(driver, Reason.UNDELIVERED)
    assert "<" not in record.detail


@pytest.mark.parametrize("carried_out", [False, True])
async def test_collector_that_crashes_at_any_call_loses_nothing_and_counts_each_once(
    driver: Driver, account: Account, container: ContainerClient, *, carried_out: bool
) -> None:
    number, crashed = 0, True
    while crashed:
        number += 1
        other = await driver.account()
        finding = found(account_sas(other.name, other.keys["key1"]))
        await put(container, letter(finding), name=f"{number}.json")
        life, crashed = Lifetime(ends_at=number, carried_out=carried_out), False
        driver.sent.clear()
        try:
            await driver.app(life).background.dead_letters.collect()
        except Crashed:
            crashed = True
            driver.clock.advance(minutes=5)
            await driver.app().background.dead_letters.collect()
        driver.clock.advance(minutes=5)
        await driver.app().fast_path.containment.resume(Message(finding.fingerprint))
        assert [key for key, _ in other.rotations] == ["key1"], f"crashed at call {number}"
        assert await names(container) == [], f"crashed at call {number}"
        assert f"gave up on {number} events" in (await outage(driver)).detail, f"crashed at call {number}"
    assert number > 10


# --- an outage


async def outage(driver: Driver) -> Revocation:
    """The record of the current outage."""
    row = await driver.app().background.dead_letters._outages._read("outage")
    assert row is not None, "no outage"
    found = outages.decoded(row)
    identity = f"dead-letters|{found.since.isoformat()}"
    return await driver.record(hashlib.sha256(identity.encode()).hexdigest())


async def test_200_dead_letters_are_one_pass_one_record_one_incident_and_one_mail(
    driver: Driver, account: Account, container: ContainerClient
) -> None:
    findings = [found(unusual_leaks.forged(account.name, "")) for _ in range(200)]
    await asyncio.gather(*(put(container, letter(finding)) for finding in findings))
    app, mails, incidents = driver.app(), len(driver.cloud.model.mails), len(driver.cloud.model.incidents)
    await app.background.dead_letters.collect()
    assert await names(container) == []
    records = await of_trouble(driver, Reason.UNDELIVERED)
    assert len(records) == 1
    assert "gave up on 200 events" in (await driver.record(records[0].fingerprint)).detail
    assert all([await app.fast_path.store.revocations.read(each.fingerprint) for each in findings])
    await app.background.follow_up.run(Message(records[0].fingerprint))
    await app.background.hourly_incidents.update()
    await app.background.summary_mail.send()
    assert len(driver.cloud.model.mails) == mails + 1
    [incident] = driver.cloud.model.incidents[incidents:]
    assert "gave up on 200 events" in incident.fields["Summary"]


async def test_leak_of_a_known_account_comes_before_all_others(
    driver: Driver, account: Account, container: ContainerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.operations.dead_letters._BATCH", 1)
    other = await driver.account()
    app = driver.app()
    await app.fast_path.accounts.take_inventory()
    unknown = found(account_sas("notourdata", other.keys["key1"]))
    known = found(account_sas(account.name, account.keys["key1"]))
    await put(container, {"no": "event"}, name="a.json")
    await put(container, letter(unknown), name="b.json")
    await put(container, letter(known), name="c.json")
    await app.background.dead_letters.collect()
    order = [s.message.fingerprint for s in driver.sent if s.queue == "contain"]
    assert order.index(known.fingerprint) < order.index(unknown.fingerprint)
    assert (await driver.record(known.fingerprint)).state is State.CONTAINED


async def test_pass_whose_time_is_over_leaves_what_remains_to_the_next_one(
    driver: Driver, account: Account, container: ContainerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.operations.dead_letters._BATCH", 1)
    findings = [found(unusual_leaks.forged(account.name, "")) for _ in range(3)]
    for finding in findings:
        await put(container, letter(finding))
    app = driver.app()
    receive = app.fast_path.ingest.receive

    async def slow(report: Report) -> None:
        await receive(report)
        driver.clock.advance(seconds=150)

    monkeypatch.setattr(app.fast_path.ingest, "receive", slow)
    await app.background.dead_letters.collect()
    assert len(await names(container)) == 1
    await app.background.dead_letters.collect()
    assert (await names(container), "gave up on 3 events" in (await outage(driver)).detail) == ([], True)


async def test_outage_is_over_after_an_hour_without_dead_letters(
    driver: Driver, account: Account, container: ContainerClient
) -> None:
    for minutes in (0, 50, 61):
        driver.clock.advance(minutes=minutes)
        await put(container, letter(found(unusual_leaks.forged(account.name, ""))))
        await driver.app().background.dead_letters.collect()
    assert len(await of_trouble(driver, Reason.UNDELIVERED)) == 2
    assert "gave up on 1 events" in (await outage(driver)).detail


async def test_blob_that_can_t_be_deleted_is_counted_once(
    driver: Driver, account: Account, container: ContainerClient
) -> None:
    await put(container, letter(found(account_sas(account.name, account.keys["key1"]))), name="stays.json")
    driver.fault("DELETE https://sasquashstate.blob.core.windows.net/dead-letters/stays.json", status=403)
    for _ in range(2):
        await driver.app().background.dead_letters.collect()
    assert await names(container) == []
    assert "gave up on 1 events" in (await outage(driver)).detail


async def test_dead_letter_on_which_the_app_fails_stops_no_other(
    driver: Driver, account: Account, container: ContainerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, good = (found(account_sas(account.name, account.keys[name])) for name in ("key1", "key2"))
    await put(container, letter(broken), name="a.json")
    await put(container, letter(good), name="b.json")
    app = driver.app()
    receive = app.fast_path.ingest.receive

    async def fails(report: Report) -> None:
        if report.event_id == broken.fingerprint:
            raise KeyError("unexpected")
        await receive(report)

    monkeypatch.setattr(app.fast_path.ingest, "receive", fails)
    await app.background.dead_letters.collect()
    assert await names(container) == ["a.json"]
    assert (await driver.record(good.fingerprint)).state is State.CONTAINED


async def test_losses_after_the_first_batch_are_mailed_where_mail_is_the_only_sink(
    driver: Driver, account: Account, container: ContainerClient
) -> None:
    await driver.no_floods()
    app = driver.app(incidents="mail")
    await put(container, "not an event")
    await app.background.dead_letters.collect()
    [record] = await of_trouble(driver, Reason.UNDELIVERED)
    await app.background.follow_up.run(Message(record.fingerprint))
    await app.background.summary_mail.send()
    mails = len(driver.cloud.model.mails)

    await put(container, "not an event either")
    await app.background.dead_letters.collect()
    driver.clock.advance(hours=2)
    await app.background.summary_mail.send()

    [mail] = driver.cloud.model.mails[mails:]
    assert "gave up on 2 events" in mail.body
