"""Alerts beyond those that a record shows: each is checked and closed, however many a stranger names."""

from dataclasses import replace
from datetime import timedelta

import pytest

from local.tenant.model import Account
from shared.domain import named_alerts
from shared.domain.alert import AlertReference, AlertSource
from shared.domain.named_alerts import MOST_WAITING
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.followup.briefing.build import brief
from tests.support.driver import Driver, found, report
from tests.support.reported_alerts import alert_of, followed, is_open, made, named, other_alert, proven
from tests.support.samples import NOW

GITHUB_ALERTS = "GET https://api.github.com/repos/contoso/robust-models/secret-scanning"
PLACES = 20 + MOST_WAITING  # of the alerts of later reports


def invented(number: int) -> AlertReference:
    return AlertReference(AlertSource.GITHUB, "fabrikam/made-up", str(number))


async def test_flood_of_alerts_is_checked_up_to_a_number_and_closes_none(
    driver: Driver, account: Account, leak: str
) -> None:
    finding, kept = await proven(driver, account, leak)
    victims = [other_alert(driver, account) for _ in range(PLACES + 5)]
    await named(driver, finding, *victims)
    record = await followed(driver, finding)

    assert (record.state, kept.state) == (State.CLOSED, "resolved")
    assert [victim for victim in victims if not is_open(driver, victim)] == []
    assert (len(record.closed_alerts), len(record.named_alerts.left_out)) == (20, 5)
    assert len(driver.requests(GITHUB_ALERTS)) == 1 + PLACES
    assert "5 more alerts were reported" in str(brief(record, now=driver.clock()).open_points)


async def test_alert_that_is_reported_beyond_what_is_shown_is_closed(
    driver: Driver, account: Account, leak: str
) -> None:
    finding = found(leak)
    await driver.app().fast_path.ingest.receive(report(finding))
    await named(driver, finding, *map(invented, range(1, 31)))
    made(driver, account, text=leak)
    reference, kept = alert_of(driver)
    await named(driver, finding, reference)
    record = await followed(driver, finding)

    assert (record.state, kept.state) == (State.CLOSED, "resolved")


async def test_alert_that_was_kept_out_by_invented_ones_is_closed_when_it_is_reported_again(
    driver: Driver, account: Account, leak: str
) -> None:
    finding = found(leak)
    await driver.app().fast_path.ingest.receive(report(finding))
    await named(driver, finding, *map(invented, range(1, PLACES + 1)))
    made(driver, account, text=leak)
    reference, kept = alert_of(driver)
    await named(driver, finding, reference)
    await followed(driver, finding)
    assert kept.state == "open"

    await named(driver, finding, reference)
    record = await followed(driver, finding)

    assert (kept.state, record.named_alerts.left_out) == ("resolved", ())


async def test_alerts_beyond_the_checks_of_a_day_wait_for_the_next_one(
    driver: Driver, account: Account, leak: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named_alerts, "CHECKS_A_DAY", 2)
    finding, _ = await proven(driver, account, leak)
    victims = [other_alert(driver, account) for _ in range(3)]
    await named(driver, finding, *victims)
    for _ in range(3):
        record = await followed(driver, finding)
    assert (record.state, len(driver.requests(GITHUB_ALERTS))) == (State.PROVEN, 2)

    def yesterday(current: Revocation) -> Revocation:  # the stand-in of GitHub takes no token of tomorrow
        return replace(current, named_alerts=replace(current.named_alerts, since=NOW - timedelta(days=1)))

    await driver.app().fast_path.store.revocations.change(finding.fingerprint, yesterday, what="")
    await followed(driver, finding)
    assert len(driver.requests(GITHUB_ALERTS)) == 4
