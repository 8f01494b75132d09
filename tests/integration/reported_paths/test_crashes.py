"""An instance that crashes at any call of a report with a path."""

import asyncio

import pytest

from tests.support.driver import Crashed, Driver, Lifetime, ended, found, report
from tests.support.reported_paths import REVOKED, blob, outcome, wrong


@pytest.mark.parametrize("carried_out", [False, True])
async def test_crash_at_any_call_of_the_report_with_the_right_path_leaves_it_revoked_once(
    driver: Driver, carried_out: bool
) -> None:
    number, interrupted = 0, True
    while interrupted:
        number += 1
        account = await driver.account()
        text = blob(account)
        await driver.app().fast_path.ingest.receive(report(wrong(account, text)))
        driver.cool_down()
        life, one = Lifetime(ends_at=number, carried_out=carried_out), report(found(text))
        try:
            await driver.app(life).fast_path.ingest.receive(one)
        except Crashed:
            driver.clock.advance(minutes=1)
            await driver.app().fast_path.ingest.receive(one)  # it was not acknowledged
        interrupted = life.ended
        record = await ended(driver, found(text).fingerprint)
        assert outcome(account, record.state) == REVOKED, f"at call {number}: {record.detail}"
        assert record.finding.credential == found(text).credential, f"at call {number}"
    assert number > 12


@pytest.mark.parametrize("carried_out", [False, True])
async def test_crash_at_any_call_of_the_report_with_the_wrong_path_loses_nothing(
    driver: Driver, carried_out: bool
) -> None:
    number, interrupted = 0, True
    while interrupted:
        number += 1
        account = await driver.account()
        text = blob(account)
        life = Lifetime(ends_at=number, carried_out=carried_out)
        with_crash = asyncio.gather(
            driver.app(life).fast_path.ingest.receive(report(wrong(account, text))), return_exceptions=True
        )
        try:
            await with_crash
        except Crashed:
            driver.clock.advance(minutes=1)
        interrupted = life.ended
        await driver.app().fast_path.ingest.receive(report(found(text)))
        record = await ended(driver, found(text).fingerprint)
        assert outcome(account, record.state) == REVOKED, f"at call {number}: {record.detail}"
    assert number > 12
