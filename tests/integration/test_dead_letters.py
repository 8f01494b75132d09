"""What the platform gave up on: dead letters are ingested late, poison is recorded, and none of it twice."""

import itertools
import json
from typing import Any

import pytest
from azure.storage.blob.aio import ContainerClient

from local.tenant.model import Account
from shared.domain.finding import REPORTED, Finding
from shared.domain.revocation import Reason, Revocation, State
from shared.persistence.queues import Message
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
    assert len(driver.incidents(record.fingerprint)) == 1
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
async def test_collector_that_crashes_at_any_call_loses_nothing(
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
        assert len(await of_trouble(driver, Reason.UNDELIVERED)) == 1, f"crashed at call {number}"
    assert number > 10
