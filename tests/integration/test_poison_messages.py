"""Messages on which a function failed each time: each is recorded or kept, and none is lost while storage fails."""

import base64
import json
import logging
from collections.abc import AsyncIterator

import pytest
from azure.storage.blob.aio import ContainerClient
from azure.storage.queue.aio import QueueClient

from local.tenant.model import Account
from shared.app import App
from shared.domain.caller import Caller
from shared.domain.finding import Finding
from shared.domain.report import REPORTED
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.errors import SasquashError, WrongState
from shared.persistence.queues import Message
from tests.support.driver import OWNER, Driver, found, report
from tests.support.leaks import account_sas
from tests.support.waiting_leaks import left_waiting


@pytest.fixture
async def account(driver: Driver) -> Account:
    return await driver.account(tags={"sasquash-owner": OWNER})


@pytest.fixture
async def container(driver: Driver) -> ContainerClient:
    """What is kept, of which there is nothing but the test's."""
    return await driver.no_dead_letters()


@pytest.fixture
async def poison(driver: Driver) -> AsyncIterator[QueueClient]:
    """The poison queue of `contain`, which nobody else reads, and of which there is nothing but the test's."""
    client = driver.app().clients.queue("contain-poison")
    await client.clear_messages()
    yield client
    await client.clear_messages()


def stored(finding: Finding) -> bytes:
    return json.dumps({"fingerprint": finding.fingerprint}).encode()


async def of_trouble(driver: Driver, reason: Reason) -> list[Revocation]:
    """The records of the app's own trouble that were just made."""
    fingerprints = dict.fromkeys(s.message.fingerprint for s in driver.sent if s.queue == "follow-up")
    records = [await driver.record(fingerprint) for fingerprint in fingerprints]
    return [record for record in records if record.reason is reason]


async def crashed_after_rotating(driver: Driver, account: Account) -> tuple[App, Finding]:
    """A leak whose containment crashed after it had regenerated the key, and holds the account's lock."""
    finding = found(account_sas(account.name, account.keys["key1"]))
    app = driver.app()
    await left_waiting(driver, finding)
    await app.fast_path.store.accounts.acquire(account.name, fingerprint=finding.fingerprint)
    await driver.cloud.model.regenerate(account, "key1")  # the crashed instance's call
    account.key_created["key1"] = driver.clock()
    return app, finding


async def test_record_that_containment_crashed_on_has_failed(driver: Driver, account: Account) -> None:
    finding = found(account_sas(account.name, account.keys["key1"]))
    app = driver.app()
    await app.fast_path.store.revocations.claim(finding)
    await app.background.poison_messages.failed("contain", stored(finding))
    record = await driver.record(finding.fingerprint)
    assert (record.state, record.reason) == (State.FAILED, Reason.CRASHED)
    assert driver.messages("follow-up", finding.fingerprint)


async def test_rotation_of_a_containment_that_crashed_after_it_is_recorded(driver: Driver, account: Account) -> None:
    """No other leak of the account may come for long, and only the next holder of its lock would record it."""
    app, finding = await crashed_after_rotating(driver, account)
    driver.clock.advance(minutes=4)
    await app.background.poison_messages.failed("contain", stored(finding))
    record = await driver.record(finding.fingerprint)
    assert (record.state, record.execution and record.execution.target) == (State.CONTAINED, "key1")
    assert any(row.startswith("rotation~") for row in await driver.rows(account.name))
    assert "lock" not in await driver.rows(account.name)


async def test_lock_that_can_not_be_settled_yet_is_settled_by_a_later_message(
    driver: Driver, account: Account, poison: QueueClient
) -> None:
    app, finding = await crashed_after_rotating(driver, account)
    await app.background.poison_messages.failed("contain", stored(finding))  # the lock is still held
    assert (await driver.record(finding.fingerprint)).reason is Reason.CRASHED
    assert (await poison.get_queue_properties()).approximate_message_count == 1
    driver.clock.advance(minutes=16)
    await app.background.poison_messages.failed("contain", stored(finding))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED


async def test_rotation_of_which_azure_refuses_to_say_anything_is_recorded_once_it_does(
    driver: Driver, account: Account, poison: QueueClient
) -> None:
    """Simulator seed 9004740: the refusal lasts longer than the lock, and no other leak of the account comes."""
    app, finding = await crashed_after_rotating(driver, account)
    driver.fault("/listKeys", status=403, times=None)
    for tries in (1, 2):
        driver.clock.advance(minutes=16)
        await app.background.poison_messages.failed("contain", stored(finding))
        assert (await driver.record(finding.fingerprint)).reason is Reason.CRASHED
        assert (await poison.get_queue_properties()).approximate_message_count == tries
    driver.cloud.faults.clear()
    driver.clock.advance(minutes=16)
    await app.background.poison_messages.failed("contain", stored(finding))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED
    assert not any(row.startswith("unsettled~") for row in await driver.rows(account.name))


async def test_record_that_was_decided_meanwhile_keeps_its_state(driver: Driver, account: Account) -> None:
    finding = found(account_sas(account.name, account.keys["key1"]))
    app = driver.app()
    await app.fast_path.ingest.receive(report(finding))
    await app.background.poison_messages.failed("contain", stored(finding))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED


async def test_crashed_follow_up_is_reported_by_its_own_record(driver: Driver, account: Account) -> None:
    finding = found(account_sas(account.name, account.keys["key1"]))
    app = driver.app()
    await app.fast_path.ingest.receive(report(finding))
    await app.background.poison_messages.failed("follow-up", stored(finding))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED
    [record] = await of_trouble(driver, Reason.CRASHED)
    assert f"{finding.fingerprint[:12]} on account {account.name}" in record.detail


async def test_crashed_follow_up_of_a_failure_record_is_not_recorded_once_more(
    driver: Driver, account: Account
) -> None:
    """An error that stops the follow-up of every record would add a record each time that the last one crashed."""
    finding = found(account_sas(account.name, account.keys["key1"]))
    app = driver.app()
    await app.fast_path.ingest.receive(report(finding))
    await app.background.poison_messages.failed("follow-up", stored(finding))
    [record] = await of_trouble(driver, Reason.CRASHED)

    await app.background.poison_messages.failed("follow-up", stored(record.finding))

    assert await of_trouble(driver, Reason.CRASHED) == [record]


async def test_foreign_message_is_reported_without_its_text(driver: Driver) -> None:
    await driver.app().background.poison_messages.failed("contain", b"sig=leaked")
    [record] = await of_trouble(driver, Reason.CRASHED)
    assert "leaked" not in record.detail


async def test_message_that_arrives_twice_is_reported_once(driver: Driver) -> None:
    app = driver.app()
    await app.background.poison_messages.failed("contain", b"twice")
    [record] = await of_trouble(driver, Reason.CRASHED)
    await app.background.follow_up.run(Message(record.fingerprint))
    driver.sent.clear()
    await app.background.poison_messages.failed("contain", b"twice")
    assert driver.sent == []


async def test_retry_of_a_record_of_our_own_is_refused(driver: Driver) -> None:
    await driver.app().background.poison_messages.failed("contain", b"retried")
    [record] = await of_trouble(driver, Reason.CRASHED)
    with pytest.raises(WrongState):
        await driver.app().http.revocations.retry(record.fingerprint, reason="Again.", caller=Caller("a", "b"))


@pytest.mark.parametrize("content", [b"sig=leaked", b"", base64.b64encode(b"\xff\xfe"), "zwölf".encode()])
async def test_unreadable_message_is_kept_as_it_was_stored(
    driver: Driver, container: ContainerClient, content: bytes
) -> None:
    await driver.app().background.poison_messages.failed("contain", content)
    [name] = [blob.name async for blob in container.list_blobs()]
    [record] = await of_trouble(driver, Reason.CRASHED)
    assert await (await container.download_blob(name)).readall() == content
    assert f"kept in container dead-letters as {name}" in record.detail


async def test_kept_message_is_no_dead_letter(driver: Driver, container: ContainerClient) -> None:
    await driver.app().background.poison_messages.failed("contain", b"none of ours")
    driver.sent.clear()
    await driver.app().background.dead_letters.collect()
    assert (driver.sent, [blob.name async for blob in container.list_blobs()] != []) == ([], True)


@pytest.mark.parametrize("where", ["/dead-letters/kept", ".table.core.windows.net"])
async def test_message_that_can_t_be_recorded_now_is_put_back(
    driver: Driver, container: ContainerClient, poison: QueueClient, where: str
) -> None:
    """Azure/azure-sdk-for-net, QueueProcessor: after five failures the host would pass it to no function."""
    driver.fault(where, status=503, times=None)
    await driver.app().background.poison_messages.failed("contain", b"none of ours & <odd>")
    driver.cloud.faults.clear()
    assert (await poison.get_queue_properties()).approximate_message_count == 1
    [sent] = driver.requests("POST https://sasquashstate.queue.core.windows.net/contain-poison/messages")
    assert "visibilitytimeout=900" in sent.url


async def test_message_that_can_t_be_put_back_either_is_left_to_the_host(
    driver: Driver, container: ContainerClient
) -> None:
    driver.fault("sasquashstate", status=503, times=None)
    with pytest.raises(SasquashError):
        await driver.app().background.poison_messages.failed("contain", b"none of ours")
    driver.cloud.faults.clear()


async def test_poison_queue_that_is_not_empty_is_logged(
    driver: Driver, poison: QueueClient, caplog: pytest.LogCaptureFixture
) -> None:
    await poison.send_message("hidden", visibility_timeout=600)
    with caplog.at_level(logging.WARNING):
        await driver.app().background.poison_messages.check()
    lines = [record.getMessage() for record in caplog.records]
    assert sum(line.startswith("Poison queue contain-poison is not empty: 1 messages.") for line in lines) == 1


async def test_missing_or_unreachable_poison_queue_stops_no_check(
    driver: Driver, poison: QueueClient, caplog: pytest.LogCaptureFixture
) -> None:
    await poison.delete_queue()
    driver.fault("/intake-poison", status=503, times=None)
    with caplog.at_level(logging.WARNING):
        await driver.app().background.poison_messages.check()
    driver.cloud.faults.clear()
    await poison.create_queue()
    lines = [record.getMessage() for record in caplog.records if record.getMessage().startswith("Poison queue")]
    assert [line.partition(" was not")[0] for line in lines] == ["Poison queue intake-poison"]


# Findings


def event(finding: Finding) -> bytes:
    """A CloudEvent as Event Grid puts it into a message."""
    envelope = {"specversion": "1.0", "id": finding.fingerprint, "source": "/scanner", "type": REPORTED}
    return json.dumps(envelope | {"data": finding.to_data()}).encode()


async def test_finding_in_the_poison_queue_is_revoked(driver: Driver, account: Account) -> None:
    """The app was down while `on_queued_finding` failed five times."""
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app().background.poison_messages.finding(base64.b64encode(event(finding)))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED


async def test_finding_is_put_back_while_records_can_t_be_written(driver: Driver, account: Account) -> None:
    poison = driver.app().clients.queue("findings-poison")
    await poison.clear_messages()
    driver.fault(".table.core.windows.net", status=503, times=None)
    await driver.app().background.poison_messages.finding(
        event(found(account_sas(account.name, account.keys["key1"])))
    )
    driver.cloud.faults.clear()
    assert (await poison.get_queue_properties()).approximate_message_count == 1
    await poison.clear_messages()


@pytest.mark.parametrize("content", [b"sig=leaked", b"[]", b'{"id": 7}', b'[{"id": "1", "type": "x"}, 7]'])
async def test_message_that_is_no_event_is_kept_and_recorded(
    driver: Driver, container: ContainerClient, content: bytes
) -> None:
    await driver.app().background.poison_messages.finding(content)
    [name] = [blob.name async for blob in container.list_blobs()]
    [record] = await of_trouble(driver, Reason.CRASHED)
    assert await (await container.download_blob(name)).readall() == content
    assert f"kept in container dead-letters as {name}" in record.detail
