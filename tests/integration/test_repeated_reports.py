"""A leak that is reported again: nothing is rotated twice, and a record that can change is decided anew."""

import asyncio
from datetime import UTC, datetime

from local.tenant.model import new_storage_key
from shared.domain import report as findings
from shared.domain.states import Reason, State
from shared.persistence.queues import Message
from tests.support import unusual_leaks
from tests.support.containment import (
    LIST_KEYS,
    REGENERATE,
    fingerprint_of,
    rotated,
)
from tests.support.driver import Driver, Lifetime, ended, found, raw_report, report
from tests.support.leaks import account_sas, blob_sas, later

# --- duplicates


async def test_second_report_rotates_nothing_and_is_noted(driver: Driver) -> None:
    account = await driver.account()
    text = account_sas(account.name, account.keys["key1"])
    await driver.app().fast_path.ingest.receive(report(found(text)))
    again = found(text, source="another scanner", url="https://gist.github.com/1")
    await driver.app().fast_path.ingest.receive(report(again))
    record = await driver.record(again.fingerprint)
    assert (rotated(account), [s.source for s in record.sightings]) == (["key1"], ["another scanner"])


async def test_same_report_twice_is_noted_once(driver: Driver) -> None:
    account = await driver.account()
    one = report(found(account_sas(account.name, account.keys["key1"])))
    app = driver.app()
    await app.fast_path.ingest.receive(one)
    await app.fast_path.ingest.receive(one)
    assert (await driver.record(fingerprint_of(one))).sightings == ()


async def test_another_place_is_noted_while_the_first_report_is_at_work(driver: Driver) -> None:
    account = await driver.account()
    text = account_sas(account.name, account.keys["key1"])
    driver.fault(LIST_KEYS, status=503, times=3)
    await driver.app().fast_path.ingest.receive(report(found(text)))
    again = found(text, url="https://gist.github.com/1")
    await driver.app().fast_path.ingest.receive(report(again))
    assert [s.url for s in (await ended(driver, again.fingerprint)).sightings] == ["https://gist.github.com/1"]


async def test_twenty_concurrent_reports_in_two_processes_rotate_once(driver: Driver) -> None:
    account = await driver.account()
    one = found(account_sas(account.name, account.keys["key1"]))
    apps = [driver.app(), driver.app()]
    await asyncio.gather(*(apps[n % 2].fast_path.ingest.receive(report(one)) for n in range(20)))
    assert (await ended(driver, one.fingerprint)).state is State.CONTAINED
    assert (rotated(account), len(driver.requests(REGENERATE))) == (["key1"], 1)


async def test_many_leaks_of_one_key_at_once_rotate_it_once(driver: Driver) -> None:
    account = await driver.account()
    findings = [found(account_sas(account.name, account.keys["key1"], expiry=later(n + 2))) for n in range(12)]
    apps = [driver.app(), driver.app()]
    await asyncio.gather(*(apps[n % 2].fast_path.ingest.receive(report(f)) for n, f in enumerate(findings)))
    records = [await ended(driver, f.fingerprint) for f in findings]
    assert rotated(account) == ["key1"]
    assert sum(record.execution is not None for record in records) == 1
    assert {r.reason for r in records} <= {None, Reason.COVERED, Reason.NO_KEY_MATCHES}


async def test_leak_that_was_attributed_before_the_rotation_is_covered(driver: Driver) -> None:
    account = await driver.account()
    waits = found(blob_sas(account.name, account.keys["key1"]))
    driver.fault(LIST_KEYS, times=3)
    await driver.app().fast_path.ingest.receive(report(waits))
    driver.cool_down()
    await driver.app().fast_path.ingest.receive(report(found(account_sas(account.name, account.keys["key1"]))))
    record = await driver.record(waits.fingerprint)
    assert (record.reason, record.key_name, rotated(account)) == (Reason.COVERED, "key1", ["key1"])


async def test_leak_that_comes_after_the_rotation_is_not_called_covered(driver: Driver) -> None:
    account = await driver.account()
    late = found(blob_sas(account.name, account.keys["key1"]))
    await driver.app().fast_path.ingest.receive(report(found(account_sas(account.name, account.keys["key1"]))))
    driver.cool_down()
    await driver.app().fast_path.ingest.receive(report(late))
    record = await driver.record(late.fingerprint)
    assert (record.state, record.reason, rotated(account)) == (State.UNRESOLVED, Reason.NO_KEY_MATCHES, ["key1"])


async def test_two_leaks_of_two_keys_rotate_one_key_and_ask_about_the_other(driver: Driver) -> None:
    account = await driver.account()
    text = f"{account_sas(account.name, account.keys['key1'])}\n{account_sas(account.name, account.keys['key2'])}\n"
    await driver.app().fast_path.ingest.receive(raw_report(text))
    ended_in = {
        (await ended(driver, reported.finding.fingerprint)).state
        for reported in findings.in_text(text, source="s", url=None, detected_at=datetime.now(UTC))
    }
    assert (ended_in, len(account.rotations)) == ({State.CONTAINED, State.AWAITING_APPROVAL}, 1)


async def test_covered_leak_that_is_reported_again_stays_covered(driver: Driver) -> None:
    account = await driver.account()
    waits = found(blob_sas(account.name, account.keys["key1"]))
    driver.fault(LIST_KEYS, times=3)
    await driver.app().fast_path.ingest.receive(report(waits))
    driver.cool_down()
    await driver.app().fast_path.ingest.receive(report(found(account_sas(account.name, account.keys["key1"]))))
    driver.clock.advance(hours=1)
    await driver.app().fast_path.ingest.receive(report(waits))
    assert (await driver.record(waits.fingerprint)).reason is Reason.COVERED


async def test_keys_are_listed_once_in_ten_seconds_however_many_findings_wait(driver: Driver) -> None:
    account = await driver.account()
    findings = [found(unusual_leaks.forged(account.name, str(n))) for n in range(6)]
    apps = [driver.app(), driver.app()]
    for n, finding in enumerate(findings):
        await apps[n % 2].fast_path.ingest.receive(report(finding))
    assert len(driver.requests(LIST_KEYS)) == 1
    driver.cool_down()
    await apps[0].fast_path.containment.resume(Message(findings[-1].fingerprint))
    states = {(await driver.record(finding.fingerprint)).state for finding in findings}
    assert (len(driver.requests(LIST_KEYS)), states) == (2, {State.UNRESOLVED})


# --- what is reopened


async def test_observed_leak_is_revoked_when_it_is_reported_again_in_mode_auto(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app(mode="observe").fast_path.ingest.receive(report(finding))
    driver.clock.advance(minutes=5)
    await driver.app().fast_path.ingest.receive(report(finding))
    assert ((await driver.record(finding.fingerprint)).state, rotated(account)) == (State.CONTAINED, ["key1"])


async def test_concurrent_reopening_never_undoes_a_revocation(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app(mode="observe").fast_path.ingest.receive(report(finding))
    driver.clock.advance(minutes=5)
    apps = [driver.app() for _ in range(4)]
    await asyncio.gather(*(w.fast_path.ingest.receive(report(finding)) for w in apps for _ in range(3)))
    record = await ended(driver, finding.fingerprint)
    assert (record.state, rotated(account)) == (State.CONTAINED, ["key1"])


async def test_report_that_read_the_record_before_the_revocation_does_not_undo_it(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app(mode="observe").fast_path.ingest.receive(report(finding))
    driver.clock.advance(minutes=5)
    slow = Lifetime(stops_at="GET https://sasquashstate.table.core.windows.net/revocations(", carried_out=True)
    late = asyncio.create_task(driver.app(slow).fast_path.ingest.receive(report(finding)))
    await slow.stopped.wait()
    await driver.app().fast_path.ingest.receive(report(finding))
    slow.go.set()
    await late
    record = await driver.record(finding.fingerprint)
    assert (record.state, rotated(account)) == (State.CONTAINED, ["key1"])


async def test_reopened_record_has_a_day_of_its_own_to_be_contained(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app(mode="observe").fast_path.ingest.receive(report(finding))
    driver.clock.advance(days=3)
    driver.fault(LIST_KEYS, times=3)
    await driver.app().fast_path.ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).state is State.RECEIVED


async def test_leak_of_an_unmonitored_account_is_resolved_again(driver: Driver) -> None:
    key = new_storage_key()
    finding = found(account_sas("laterours", key))
    await driver.app().fast_path.ingest.receive(report(finding))
    assert (await ended(driver, finding.fingerprint)).reason is Reason.NOT_COVERED
    account = await driver.account(name="laterours")
    account.keys["key1"] = key
    await driver.cloud.model.keys_changed()
    driver.clock.advance(hours=1)
    await driver.app().fast_path.ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED
