"""Reports that come late, under a key that is gone."""

import asyncio

from shared.domain.states import Reason, State
from tests.support import unusual_leaks
from tests.support.containment import rotated
from tests.support.driver import Driver, Lifetime, found, report
from tests.support.leaks import account_sas, blob_sas
from tests.support.waiting_leaks import REGENERATE


async def test_leak_reported_after_the_rotation_is_covered_by_the_process_that_rotated(driver: Driver) -> None:
    account = await driver.account()
    first = found(account_sas(account.name, account.keys["key1"]))
    late = found(blob_sas(account.name, account.keys["key1"]))
    app = driver.app()
    await app.fast_path.ingest.receive(report(first))
    driver.cool_down()
    await app.fast_path.ingest.receive(report(late))
    record = await driver.record(late.fingerprint)
    assert (record.state, record.reason, rotated(account)) == (State.DISMISSED, Reason.COVERED, ["key1"])


async def test_forged_leak_that_comes_after_the_rotation_is_not(driver: Driver) -> None:
    account = await driver.account()
    app = driver.app()
    await app.fast_path.ingest.receive(report(found(account_sas(account.name, account.keys["key1"]))))
    driver.cool_down()
    forged = found(unusual_leaks.forged(account.name, ""))
    await app.fast_path.ingest.receive(report(forged))
    assert (await driver.record(forged.fingerprint)).reason is Reason.NO_KEY_MATCHES


async def test_leak_reported_to_another_process_during_the_rotation_is_covered(driver: Driver) -> None:
    account = await driver.account()
    first = found(account_sas(account.name, account.keys["key1"]))
    late = found(blob_sas(account.name, account.keys["key1"]))
    life = Lifetime(stops_at=REGENERATE)
    rotating = asyncio.create_task(driver.app(life).fast_path.ingest.receive(report(first)))
    await life.stopped.wait()
    await driver.app().fast_path.ingest.receive(report(late))
    life.go.set()
    await rotating
    assert (await driver.record(late.fingerprint)).reason is Reason.COVERED
    assert rotated(account) == ["key1"]


async def test_late_leak_in_another_process_names_the_rotation_as_a_possible_cause(
    driver: Driver,
) -> None:
    account = await driver.account()
    first = found(account_sas(account.name, account.keys["key1"]))
    late = found(blob_sas(account.name, account.keys["key1"]))
    await driver.app().fast_path.ingest.receive(report(first))
    driver.cool_down()
    await driver.app().fast_path.ingest.receive(report(late))
    record = await driver.record(late.fingerprint)
    assert record.reason is Reason.NO_KEY_MATCHES
    assert "Sasquash itself regenerated key1" in record.detail
