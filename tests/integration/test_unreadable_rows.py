"""Rows that this version can't read, as after a newer one was rolled back: the app works around them."""

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError

from local.tenant.model import Account
from shared.api.revocations.requests import PageQuery, ReportRequest
from shared.domain.caller import Caller
from shared.domain.finding import Finding
from shared.domain.revocation import Revocation
from shared.domain.stand_in import fingerprint_of
from shared.domain.states import Reason, State
from shared.errors import AccountBusy, UnreadableRow
from shared.persistence.accounts import TAKEOVER_TIME, WORK_TIME
from shared.persistence.queues import Message
from shared.persistence.rows import SCHEMA
from tests.support.containment import REGENERATE, rotated
from tests.support.driver import OWNER, Crashed, Driver, Lifetime, ended, found, report
from tests.support.leaks import account_sas, later

NUMBERS = count(1)
ADA = Caller("ada@contoso.com", "00000000-0000-4000-8000-00000000000a", is_person=True)


@pytest.fixture
async def account(driver: Driver) -> Account:
    return await driver.account(tags={"sasquash-owner": OWNER})


@pytest.fixture(autouse=True)
async def clean(driver: Driver) -> AsyncIterator[None]:
    """Only rows of this test can't be read, and none afterwards."""
    await driver.nothing_open()
    await driver.no_floods()
    yield
    app = driver.app()
    await app.fast_path.store.revocations.page(state=None, account=None, limit=1000, after=None)  # meets all of them
    for row in await app.fast_path.unreadable_rows.all():
        with suppress(ResourceNotFoundError):
            await app.clients.tables.get_table_client(row.table).delete_entity(row.partition, row.key)
    await app.fast_path.unreadable_rows.recheck()


def leak_of(account: Account, key: str = "key1") -> Finding:
    """A leak of its own each time."""
    return found(account_sas(account.name, account.keys[key], expiry=later() + timedelta(hours=next(NUMBERS))))


async def spoil(driver: Driver, fingerprint: str, **columns: Any) -> dict[str, Any]:
    """Write what a newer version might have written into a record; return its row."""
    table = driver.app().fast_path.store.revocations._table
    key = {"PartitionKey": fingerprint[:2], "RowKey": fingerprint}
    await table.update_entity(key | columns)
    return dict(await table.get_entity(fingerprint[:2], fingerprint))


async def of_newer_state(driver: Driver, fingerprint: str) -> dict[str, Any]:
    """Have the record in a state that this version does not know."""
    table = driver.app().fast_path.store.revocations._table
    row = await table.get_entity(fingerprint[:2], fingerprint)
    return await spoil(driver, fingerprint, Record=json.dumps(json.loads(row["Record"]) | {"state": "quarantined"}))


async def row_of(driver: Driver, fingerprint: str) -> dict[str, Any]:
    return dict(await driver.app().fast_path.store.revocations._table.get_entity(fingerprint[:2], fingerprint))


async def stand_in(driver: Driver, finding: Finding) -> Revocation:
    return await driver.record(fingerprint_of(finding.fingerprint))


# --- a report of a leak whose record can't be read


async def test_leak_whose_record_can_t_be_read_is_contained_all_the_same(driver: Driver, account: Account) -> None:
    finding = leak_of(account)
    await driver.app().fast_path.store.revocations.claim(finding)
    kept = await of_newer_state(driver, finding.fingerprint)
    await driver.app().fast_path.ingest.receive(report(finding))
    instead = await stand_in(driver, finding)
    assert (instead.state, rotated(account)) == (State.CONTAINED, ["key1"])
    assert finding.fingerprint[:12] in (await driver.history(instead.fingerprint))[0].what
    assert await row_of(driver, finding.fingerprint) == kept
    assert f"waiting~{finding.fingerprint}" not in await driver.rows(account.name)
    await driver.app().background.follow_up.run(Message(instead.fingerprint))
    assert driver.incidents(instead.fingerprint)


async def test_leak_that_was_contained_before_its_record_became_unreadable_is_not_revoked_again(
    driver: Driver, account: Account
) -> None:
    finding = leak_of(account)
    await driver.app().fast_path.ingest.receive(report(finding))
    await of_newer_state(driver, finding.fingerprint)
    driver.cool_down()
    await driver.app().fast_path.ingest.receive(report(finding))
    instead = await ended(driver, fingerprint_of(finding.fingerprint))
    assert (instead.reason, rotated(account)) == (Reason.NO_KEY_MATCHES, ["key1"])


async def test_leak_whose_plan_people_rejected_is_not_contained_by_another_report(
    driver: Driver, account: Account
) -> None:
    finding = leak_of(account)
    ledger = driver.app().fast_path.store.revocations
    record, _ = await ledger.claim(finding)
    await ledger.save(record.end(Reason.REJECTED, now=driver.clock(), detail="It is a test."), what="Rejected.")
    await spoil(driver, finding.fingerprint, Schema=SCHEMA + 1)
    for _ in range(2):
        await driver.app().fast_path.ingest.receive(report(finding))
        driver.clock.advance(minutes=2)
    instead = await stand_in(driver, finding)
    assert (instead.state, rotated(account)) == (State.FAILED, [])
    assert "rejected" in instead.detail
    await driver.app().http.revocations.retry(instead.fingerprint, reason="It is no test.", caller=ADA)
    assert (await stand_in(driver, finding)).state is State.CONTAINED


async def test_responder_who_reports_it_gets_the_record_that_stands_in(driver: Driver, account: Account) -> None:
    text = account_sas(account.name, account.keys["key1"])
    await driver.app().fast_path.store.revocations.claim(found(text))
    await of_newer_state(driver, found(text).fingerprint)
    asked = ReportRequest(text=text, reason="Seen.", source="responder")
    [record] = await driver.app().http.revocations.report(asked, caller=ADA)
    assert (record.fingerprint, record.state) == (fingerprint_of(found(text).fingerprint), State.CONTAINED)


async def test_failure_whose_record_can_t_be_read_is_recorded_all_the_same(driver: Driver) -> None:
    records = driver.app().background._failure_records
    first = await records.note("test", "unreadable", reason=Reason.CRASHED, detail="It failed.")
    await of_newer_state(driver, first.fingerprint)
    second = await records.note("test", "unreadable", reason=Reason.CRASHED, detail="It failed.")
    assert second.fingerprint == fingerprint_of(first.fingerprint)
    assert (await driver.record(second.fingerprint)).state is State.FAILED


# --- a record that waits


async def test_leak_that_waits_in_an_unreadable_record_is_contained_by_its_message(
    driver: Driver, account: Account
) -> None:
    finding = leak_of(account)
    await driver.app().fast_path.store.revocations.claim(finding)
    await of_newer_state(driver, finding.fingerprint)
    for _ in range(2):
        await driver.app().fast_path.containment.resume(Message(finding.fingerprint))
    instead = await stand_in(driver, finding)
    assert (instead.state, rotated(account)) == (State.CONTAINED, ["key1"])
    assert len(await driver.history(instead.fingerprint)) == 2
    assert (15.0, 1) not in driver.messages("contain", finding.fingerprint)


async def test_sweep_has_it_contained_and_checks_others(driver: Driver, account: Account) -> None:
    bad, good = leak_of(account, "key1"), leak_of(account, "key2")
    for finding in (bad, good):
        await driver.app().fast_path.store.revocations.claim(finding)
    await of_newer_state(driver, bad.fingerprint)
    for _ in range(2):  # the second pass is too soon for either
        driver.clock.advance(minutes=11)
        await driver.app().background.sweeper.run()
    await driver.app().background.sweeper.run()
    for finding in (bad, good):
        assert driver.messages("contain", finding.fingerprint) == [(0.0, 0)]
    await driver.app().fast_path.containment.resume(Message(bad.fingerprint, swept=True))
    assert (await stand_in(driver, bad)).state is State.CONTAINED


async def test_record_that_was_decided_waits_for_a_version_that_can_read_it(driver: Driver, account: Account) -> None:
    finding = leak_of(account)
    await driver.app().fast_path.ingest.receive(report(finding))
    kept = await of_newer_state(driver, finding.fingerprint)
    driver.sent.clear()
    await driver.app().background.follow_up.run(Message(finding.fingerprint))
    await driver.app().fast_path.containment.resume(Message(finding.fingerprint))
    assert driver.sent == []  # a message every 15 minutes would help nobody
    assert await driver.app().fast_path.store.revocations.readable(fingerprint_of(finding.fingerprint)) is None
    assert await row_of(driver, finding.fingerprint) == kept
    assert await driver.app().fast_path.state_index.is_open(finding.fingerprint)


async def test_message_about_it_that_failed_each_time_is_recorded_and_gone(driver: Driver, account: Account) -> None:
    finding = leak_of(account)
    await driver.app().fast_path.store.revocations.claim(finding)
    await of_newer_state(driver, finding.fingerprint)
    before = {record.fingerprint for record in await failures(driver)}
    await driver.app().background.poison_messages.failed(
        "contain", json.dumps({"fingerprint": finding.fingerprint}).encode()
    )
    [failure] = [record for record in await failures(driver) if record.fingerprint not in before]
    assert finding.fingerprint[:12] in failure.detail


async def failures(driver: Driver) -> list[Revocation]:
    ledger = driver.app().fast_path.store.revocations
    return [record async for record in ledger.in_state(State.FAILED, reasons=[Reason.CRASHED])]


# --- an account


async def test_unreadable_waiting_row_and_record_stop_no_other_leak_of_the_account(
    driver: Driver, account: Account
) -> None:
    unwaited, unrecorded, leak = leak_of(account, "key1"), leak_of(account, "key2"), leak_of(account, "key1")
    store = driver.app().fast_path.store
    for finding in (unwaited, unrecorded):
        await store.revocations.claim(finding)
        await store.accounts.add_waiting(finding)
    row = {"PartitionKey": account.name, "RowKey": f"waiting~{unwaited.fingerprint}", "Finding": "{"}
    await store.accounts._table.update_entity(row)
    await of_newer_state(driver, unrecorded.fingerprint)
    await driver.app().fast_path.ingest.receive(report(leak))
    assert (await driver.record(leak.fingerprint)).state is State.CONTAINED
    assert rotated(account) == ["key1"]
    assert (await driver.rows(account.name))[f"waiting~{unwaited.fingerprint}"]["Finding"] == "{"


async def test_account_whose_lock_can_t_be_read_is_free_once_its_holder_is_certainly_gone(
    driver: Driver, account: Account
) -> None:
    """The holder of a newer version crashed while its action ran: nobody acts before its time is over."""
    finding = leak_of(account)
    life = Lifetime(ends_at=1, counting=REGENERATE, carried_out=True)
    with pytest.raises(Crashed):
        await driver.app(life).fast_path.ingest.receive(report(finding))
    assert rotated(account) == ["key1"]
    table = driver.app().fast_path.store.accounts._table
    await table.update_entity({"PartitionKey": account.name, "RowKey": "lock", "Schema": SCHEMA + 1})
    before = (await driver.rows(account.name))["lock"]
    sessions = driver.app().fast_path.sessions
    for seconds in (0, WORK_TIME.total_seconds()):
        driver.clock.advance(seconds=seconds)
        with pytest.raises(AccountBusy):
            async with sessions.locked(account.name, finding.fingerprint, urgent=True):
                raise AssertionError("two holders")
    driver.clock.advance(seconds=TAKEOVER_TIME.total_seconds() + 1)
    await driver.app().fast_path.containment.resume(Message(finding.fingerprint))
    record = await ended(driver, finding.fingerprint)
    assert (record.reason, rotated(account)) == (Reason.NO_KEY_MATCHES, ["key1"])  # who had signed it is not known
    [kept] = [row for key, row in (await driver.rows(account.name)).items() if key.startswith("unread~")]
    assert kept["Intent"] == before["Intent"]


async def test_account_is_not_held_up_by_what_a_holder_may_have_done_and_nobody_can_read(
    driver: Driver, account: Account
) -> None:
    gone, leak = leak_of(account), leak_of(account)
    lock = await driver.app().fast_path.store.accounts.acquire(account.name, fingerprint=gone.fingerprint)
    driver.clock.advance(minutes=4)
    driver.fault("/listKeys", status=403, times=None)
    await driver.app().fast_path.ingest.receive(report(leak))
    driver.cloud.faults.clear()
    key = f"unsettled~{lock.intent.holder}"
    table = driver.app().fast_path.store.accounts._table
    await table.update_entity({"PartitionKey": account.name, "RowKey": key, "Schema": SCHEMA + 1})
    kept = (await driver.rows(account.name))[key]
    driver.clock.advance(minutes=2)
    await driver.app().fast_path.containment.resume(Message(leak.fingerprint))
    assert ((await driver.record(leak.fingerprint)).state, rotated(account)) == (State.CONTAINED, ["key1"])
    assert (await driver.rows(account.name))[key] == kept


async def test_crashed_action_is_settled_beside_a_record_that_can_t_be_read(driver: Driver, account: Account) -> None:
    """Its lock names both leaks: the account must not stay locked because of one of them."""
    first, second = leak_of(account), leak_of(account)
    for finding in (first, second):
        await driver.app().fast_path.store.revocations.claim(finding)
        await driver.app().fast_path.store.accounts.add_waiting(finding)
    life = Lifetime(ends_at=1, counting=REGENERATE, carried_out=True)
    with pytest.raises(Crashed):
        await driver.app(life).fast_path.containment.resume(Message(first.fingerprint))
    await of_newer_state(driver, second.fingerprint)
    driver.clock.advance(minutes=4)
    await driver.app().fast_path.containment.resume(Message(first.fingerprint))
    assert (await driver.record(first.fingerprint)).state is State.CONTAINED
    assert rotated(account) == ["key1"]
    assert "Intent" not in (await driver.rows(account.name)).get("lock", {})  # it is given back


# --- what people see


async def test_list_and_record_say_so(driver: Driver, account: Account) -> None:
    bad, good = leak_of(account, "key1"), leak_of(account, "key2")
    for finding in (bad, good):
        await driver.app().fast_path.store.revocations.claim(finding)
    await of_newer_state(driver, bad.fingerprint)
    service = driver.app().http.revocations
    page = await service.page(PageQuery(account=account.name))
    assert [record.fingerprint for record in page.revocations] == [good.fingerprint]
    assert page.unreadable == (bad.fingerprint,)
    with pytest.raises(UnreadableRow) as raised:
        await service.read(bad.fingerprint)
    assert (raised.value.code, "Rolling back" in str(raised.value)) == ("unreadable_row", True)


async def test_readiness_names_it_and_people_are_notified_once_a_day(driver: Driver, account: Account) -> None:
    finding = leak_of(account)
    app = driver.app()
    await app.fast_path.store.revocations.claim(finding)
    row = await row_of(driver, finding.fingerprint)
    await of_newer_state(driver, finding.fingerprint)
    assert await app.fast_path.store.revocations.readable(finding.fingerprint) is None
    [unread] = await app.fast_path.unreadable_rows.all()
    assert (unread.table, unread.key) == ("revocations", finding.fingerprint)

    known = {record.fingerprint for record in await failures(driver)}
    for _ in range(2):
        await app.background.unreadable_rows_check.run()
    [failure] = [record for record in await failures(driver) if record.fingerprint not in known]
    assert (finding.fingerprint in failure.detail, "Rolling back" in failure.detail) == (True, True)
    assert len([line for line in await driver.history(failure.fingerprint) if "can't be read" in line.what]) == 1

    await spoil(driver, finding.fingerprint, Record=row["Record"])  # as a version that can read it sees it
    await app.background.unreadable_rows_check.run()
    assert await app.fast_path.unreadable_rows.all() == []


async def test_history_of_a_newer_version_is_unconfirmed_and_pages_nobody(driver: Driver, account: Account) -> None:
    """A row that was changed is broken; one that says that a newer version wrote it only can't be checked."""
    app = driver.app()
    record, _ = await app.fast_path.store.revocations.claim(leak_of(account))
    await spoil(driver, record.fingerprint, Schema=SCHEMA + 1)
    found_now = await app.background.history_checks.of(record.fingerprint)
    assert (found_now.integrity.value, "newer version" in found_now.said) == ("unconfirmed", True)
    assert await app.background.history_checks._check(record.fingerprint, None) is None
    assert await app.background.history_checks.latest(record.fingerprint) is None
    await of_newer_state(driver, record.fingerprint)
    await spoil(driver, record.fingerprint, Schema=SCHEMA)
    assert (await app.background.history_checks.of(record.fingerprint)).integrity.value == "broken"


async def test_result_of_a_check_that_can_t_be_read_is_kept_and_its_history_is_broken(
    driver: Driver, account: Account
) -> None:
    app = driver.app()
    record, _ = await app.fast_path.store.revocations.claim(leak_of(account))
    key = {"PartitionKey": record.fingerprint[:2], "RowKey": f"{record.fingerprint}~~checked"}
    await app.background.history_rows._table.upsert_entity(key | {"Checked": "{"})
    newly = await app.background.history_checks._check(record.fingerprint, None)
    assert newly is not None
    await app.background.history_checks._page([newly])
    assert (await app.background.history_rows._table.get_entity(*key.values()))["Checked"] == "{"


async def test_copy_waits_for_a_version_that_can_read_the_record(driver: Driver, account: Account) -> None:
    app = driver.app()
    finding = leak_of(account)
    record, _ = await app.fast_path.store.revocations.claim(finding)
    await app.fast_path.outbox.add(record.fingerprint)
    await of_newer_state(driver, record.fingerprint)
    driver.clock.advance(minutes=10)
    assert app.background.history_copier is not None
    await app.background.history_copier.run()
    waiting = [one.fingerprint async for one in app.fast_path.outbox.to_copy()]
    assert record.fingerprint in waiting


async def test_summary_mail_goes_without_a_line_and_a_record_that_can_t_be_read(driver: Driver) -> None:
    app = driver.app()
    records = app.background._failure_records
    good = await records.note("test", "good", reason=Reason.CRASHED, detail="Good.")
    bad = await records.note("test", "bad", reason=Reason.CRASHED, detail="Bad.")
    mail = app.background.summary_mail
    for fingerprint in (good.fingerprint, bad.fingerprint):
        await mail.add(await driver.record(fingerprint))
    line = {"PartitionKey": "line~failed~crashed", "RowKey": bad.fingerprint}
    await mail.lines.table.update_entity(line | {"Line": "{"})
    sent = len(driver.cloud.model.mails)
    driver.clock.advance(hours=2)
    await mail.send()
    assert len(driver.cloud.model.mails) == sent + 1
    assert (await mail.lines.table.get_entity(line["PartitionKey"], bad.fingerprint))["Line"] == "{"


async def test_time_of_a_mail_that_can_t_be_read_does_not_stop_it(driver: Driver) -> None:
    app = driver.app()
    failure = await app.background._failure_records.note("test", "time", reason=Reason.CRASHED, detail="Good.")
    mail = app.background.summary_mail
    await mail.add(await driver.record(failure.fingerprint))
    await mail.lines.table.upsert_entity({"PartitionKey": "mailed", "RowKey": "failed~crashed", "At": "then"})
    await mail.lines.table.upsert_entity({"PartitionKey": "lock", "RowKey": "lock", "Until": "then"})
    sent = len(driver.cloud.model.mails)
    await mail.send()
    assert len(driver.cloud.model.mails) == sent  # who wrote the lock may be sending
    driver.clock.advance(minutes=10)
    await mail.send()
    assert len(driver.cloud.model.mails) == sent + 1
