"""Many paths of one leak, one after the other and at the same time."""

import asyncio

import pytest

from local.tenant.model import new_storage_key
from shared.domain.known_paths import MOST, MOST_TRIED
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.errors import TransientFailure
from shared.persistence.queues import Message
from tests.support import unusual_leaks
from tests.support.containment import BATCH, LIST_KEYS, REGENERATE
from tests.support.decisions import ADA, asked
from tests.support.driver import Driver, Lifetime, ended, found, report
from tests.support.leaks import blob_sas
from tests.support.reported_paths import REVOKED, at, blob, outcome, wrong


async def test_two_instances_at_once_with_two_paths_revoke_once(driver: Driver) -> None:
    account = await driver.account()
    text = blob(account)
    apps = [driver.app(), driver.app()]
    reports = [wrong(account, text, 1), found(text), wrong(account, text, 2), wrong(account, text, 3)]
    await asyncio.gather(*(apps[n % 2].fast_path.ingest.receive(report(one)) for n, one in enumerate(reports)))
    record = await ended(driver, found(text).fingerprint)
    assert outcome(account, record.state) == REVOKED
    assert len(driver.requests(REGENERATE)) == 1


async def test_verdict_of_an_instance_that_did_not_know_the_path_does_not_stand(driver: Driver) -> None:
    account = await driver.account()
    text = blob(account)
    driver.fault(LIST_KEYS, times=3)
    await driver.app().fast_path.ingest.receive(report(wrong(account, text)))
    driver.cool_down()
    life = Lifetime(stops_at=BATCH)  # its verdict
    deciding = asyncio.create_task(driver.app(life).fast_path.containment.resume(Message(found(text).fingerprint)))
    await life.stopped.wait()
    await driver.app().fast_path.ingest.receive(report(found(text)))
    life.go.set()
    await deciding
    assert (await driver.record(found(text).fingerprint)).state is State.RECEIVED
    assert (0.0, 0) in driver.messages("contain", found(text).fingerprint)
    assert outcome(account, (await ended(driver, found(text).fingerprint)).state) == REVOKED


async def test_batch_of_another_leak_does_not_decide_by_a_part_of_the_paths(driver: Driver) -> None:
    """The row in which a leak waits may have the paths of the latest report alone."""
    account = await driver.account()
    text = blob(account)
    driver.fault(LIST_KEYS, times=6)
    await driver.app().fast_path.ingest.receive(report(found(text)))
    app = driver.app()
    await app.fast_path.ingest.receive(report(wrong(account, text)))
    driver.cloud.faults.clear()
    await app.fast_path.store.accounts.add_waiting(wrong(account, text))
    driver.cool_down()
    await app.fast_path.ingest.receive(report(found(unusual_leaks.forged(account.name, ""))))
    assert (await driver.record(found(text).fingerprint)).state is State.RECEIVED
    assert outcome(account, (await ended(driver, found(text).fingerprint)).state) == REVOKED


async def test_flood_of_wrong_paths_does_not_outgrow_the_record_nor_keep_the_right_one_out(driver: Driver) -> None:
    account = await driver.account()
    text = blob(account)
    for first in range(0, 200, 65):
        numbers = range(first, first + 65)
        many = [reading for n in numbers for reading in wrong(account, text, n).readings]
        await driver.app().fast_path.ingest.receive(report(wrong(account, text, first).with_readings(many)))
        driver.cool_down()
        await ended(driver, found(text).fingerprint)
    record = await driver.record(found(text).fingerprint)
    assert len(record.paths.known) <= MOST_TRIED
    assert record.paths.dropped == 4 * 65 - len(record.paths.known)
    assert len({(n.state, n.reason) for n in record.notifications}) == len(record.notifications)
    await driver.app().fast_path.ingest.receive(report(found(text)))
    assert outcome(account, (await ended(driver, found(text).fingerprint)).state) == REVOKED


async def test_path_that_does_not_fit_into_the_record_is_tried_once_it_does(driver: Driver) -> None:
    account = await driver.account()
    text = blob(account)
    driver.fault(LIST_KEYS, times=None)
    for first in range(0, 2 * MOST, 65):
        many = [reading for n in range(first, first + 65) for reading in wrong(account, text, n).readings]
        await driver.app().fast_path.ingest.receive(report(wrong(account, text, first).with_readings(many)))
    await driver.app().fast_path.ingest.receive(report(found(text)))
    record = await driver.record(found(text).fingerprint)
    assert len(record.paths.known) == MOST
    left_out = [sent.message for sent in driver.sent if sent.message.paths]
    assert left_out[-1].paths == tuple(one.path for one in found(text).readings)
    driver.cloud.faults.clear()
    await ended(driver, record.fingerprint)
    driver.cool_down()
    await driver.app().fast_path.containment.resume(left_out[-1])
    assert outcome(account, (await ended(driver, record.fingerprint)).state) == REVOKED


async def test_path_that_gives_way_to_a_responder_s_before_it_was_tried_is_tried_later(driver: Driver) -> None:
    account = await driver.account()
    text = blob(account)
    driver.fault(LIST_KEYS, times=None)
    await driver.app().fast_path.ingest.receive(report(wrong(account, text, 999)))
    await driver.app().fast_path.ingest.receive(report(found(text)))
    for first in (0, 65):
        many = [reading for n in range(first, first + 65) for reading in wrong(account, text, n).readings]
        await driver.app().fast_path.ingest.receive(report(wrong(account, text, first).with_readings(many)))
    driver.sent.clear()
    mistaken = f"{at('mistaken/a', text)}\n{at('mistaken/b', text)}"
    await driver.app().http.revocations.report(asked(mistaken), caller=ADA)
    [given_way] = [sent.message for sent in driver.sent if sent.message.paths]
    assert given_way.paths == (found(text).credential.path,)  # type: ignore[union-attr]
    driver.cloud.faults.clear()
    await ended(driver, given_way.fingerprint)
    driver.cool_down()
    await driver.app().fast_path.containment.resume(given_way)
    assert outcome(account, (await ended(driver, given_way.fingerprint)).state) == REVOKED


async def test_history_of_a_flood_is_short(driver: Driver) -> None:
    account = await driver.account()
    text = blob(account)
    for first in range(0, 260, 65):
        many = [reading for n in range(first, first + 65) for reading in wrong(account, text, n).readings]
        await driver.app().fast_path.ingest.receive(report(wrong(account, text, first).with_readings(many)))
        driver.cool_down()
        await ended(driver, found(text).fingerprint)
    before = len(await driver.history(found(text).fingerprint))
    await driver.app().fast_path.ingest.receive(report(wrong(account, text, 999)))
    await ended(driver, found(text).fingerprint)
    after = await driver.history(found(text).fingerprint)
    assert [entry.state for entry in after[before:]] == [State.UNRESOLVED]


async def test_text_with_the_longest_paths_is_durable_and_each_is_tried(driver: Driver) -> None:
    account = await driver.account()
    text = blob(account)
    urls = [at(f"{number}/".ljust(4000, "x"), text) for number in range(40)]
    [record] = await driver.app().http.revocations.report(asked("\n".join([*urls, text])), caller=ADA)
    left_out = [sent.message for sent in driver.sent if sent.message.paths]
    noted = {one.path for one in record.paths.known} | {path for message in left_out for path in message.paths}
    assert {found(url).credential.path for url in (*urls, text)} <= noted  # type: ignore[union-attr]
    for message in left_out:
        driver.cool_down()
        await driver.app().fast_path.containment.resume(message)
    assert outcome(account, (await ended(driver, record.fingerprint)).state) == REVOKED


async def test_flood_of_readings_does_not_hold_up_the_leak_that_the_lock_is_held_for(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.containment.account_reader._MOST_READINGS", 100)
    account = await driver.account()
    accounts = driver.app().fast_path.store.accounts
    for _ in range(4):
        text = blob_sas(account.name, new_storage_key())
        many = [reading for n in range(65) for reading in wrong(account, text, n).readings]
        await accounts.add_waiting(found(text).with_readings(many))
    finding = found(blob(account))
    ref = await driver.app().fast_path.accounts.find(f"{account.name}.blob.core.windows.net", account.name)
    assert ref is not None
    record = Revocation.of(finding, now=driver.clock())
    snapshot = await driver.app().fast_path.sessions.read(ref, record)
    assert [len(one.readings) for one in snapshot.waiting] == [len(finding.readings), 66]
    await driver.app().fast_path.ingest.receive(report(finding))
    assert outcome(account, (await driver.record(finding.fingerprint)).state) == REVOKED


async def test_path_of_a_responder_is_kept_through_a_flood(driver: Driver) -> None:
    account = await driver.account()
    text = blob(account)
    key, account.keys["key1"] = account.keys["key1"], account.keys["key2"]
    await driver.app().http.revocations.report(asked(text), caller=ADA)
    driver.cool_down()
    for first in range(0, 200, 65):
        many = [reading for n in range(first, first + 65) for reading in wrong(account, text, n).readings]
        await driver.app().fast_path.ingest.receive(report(wrong(account, text, first).with_readings(many)))
        driver.cool_down()
    await ended(driver, found(text).fingerprint)
    account.keys["key1"] = key
    service = driver.app().http.revocations
    record = await service.retry(found(text).fingerprint, reason="The key is back.", caller=ADA)
    assert outcome(account, record.state) == REVOKED


async def test_report_whose_path_could_not_be_noted_is_not_acknowledged(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await driver.account()
    text = blob(account)
    await driver.app().fast_path.ingest.receive(report(wrong(account, text)))
    with monkeypatch.context() as patched:
        patched.setattr("shared.persistence.revocations._CHANGE_ATTEMPTS", 0)
        with pytest.raises(TransientFailure, match="Report it again"):
            await driver.app().fast_path.ingest.receive(report(found(text)))
    driver.cool_down()
    await driver.app().fast_path.ingest.receive(report(found(text)))
    assert outcome(account, (await driver.record(found(text).fingerprint)).state) == REVOKED
