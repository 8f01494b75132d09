"""A leak whose likeliest reading has other values than were signed: `+` may be a space or a plus."""

from dataclasses import replace

import pytest

from local.tenant.model import Account
from shared.domain.finding import Finding
from shared.persistence.queues import Message
from tests.support.containment import LIST_KEYS
from tests.support.driver import Crashed, Driver, Lifetime, ended, found, report
from tests.support.reported_paths import REVOKED, blob, outcome


def respelled(account: Account) -> tuple[Finding, Finding]:
    """Return a leak of `account`, and the finding of a report whose likeliest reading has other values."""
    signed = found(blob(account))
    assert signed.credential is not None
    values = tuple(sorted((dict(signed.credential.parameters) | {"sip": "203.0.113.9"}).items()))
    likeliest = replace(signed.credential, parameters=values)
    first = replace(signed, credential=likeliest, fingerprint=likeliest.fingerprint)
    return signed, first.with_readings([likeliest, signed.credential])


async def test_reading_that_verifies_is_the_record_s_and_the_fingerprint_stays(driver: Driver) -> None:
    account = await driver.account()
    signed, reported = respelled(account)
    await driver.app().fast_path.ingest.receive(report(reported))
    record = await ended(driver, reported.fingerprint)
    assert outcome(account, record.state) == REVOKED
    assert record.finding.credential == signed.credential


async def test_reading_is_tried_when_another_leak_of_its_account_is_contained(driver: Driver) -> None:
    account = await driver.account()
    _, reported = respelled(account)
    other = found(blob(account), source="another")
    driver.fault(LIST_KEYS, times=None)
    await driver.app().fast_path.ingest.receive(report(reported))
    await driver.app().fast_path.ingest.receive(report(other))
    driver.cloud.faults.clear()
    driver.cool_down()
    await driver.app().fast_path.containment.resume(Message(other.fingerprint))
    record = await ended(driver, reported.fingerprint)
    assert record.key_name == "key1"


@pytest.mark.parametrize("carried_out", [False, True])
async def test_crash_at_any_call_of_its_report_leaves_it_revoked_once(driver: Driver, carried_out: bool) -> None:
    number, interrupted = 0, True
    while interrupted:
        number += 1
        account = await driver.account()
        signed, reported = respelled(account)
        life = Lifetime(ends_at=number, carried_out=carried_out)
        try:
            await driver.app(life).fast_path.ingest.receive(report(reported))
        except Crashed:
            driver.clock.advance(minutes=1)
            await driver.app().fast_path.ingest.receive(report(reported))  # it was not acknowledged
        interrupted = life.ended
        record = await ended(driver, reported.fingerprint)
        assert outcome(account, record.state) == REVOKED, f"at call {number}: {record.detail}"
        assert record.finding.credential == signed.credential, f"at call {number}"
    assert number > 12


async def test_reading_that_did_not_fit_is_brought_by_a_message(driver: Driver) -> None:
    account = await driver.account()
    signed, reported = respelled(account)
    key, account.keys["key1"] = account.keys["key1"], account.keys["key2"]
    await driver.app().fast_path.ingest.receive(report(replace(reported, candidates=())))
    account.keys["key1"] = key
    driver.cool_down()
    await driver.app().fast_path.containment.resume(Message(reported.fingerprint, respelled=reported.candidates))
    record = await ended(driver, reported.fingerprint)
    assert outcome(account, record.state) == REVOKED
    assert record.finding.credential == signed.credential
