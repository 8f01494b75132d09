"""The weekly drill: it leaks what opens nothing, and fails unless that is revoked and proven in time."""

import logging

import pytest

from local.network.faults import Effect
from local.tenant.model import Account
from shared.domain.report import REPORTED, Report
from shared.domain.states import State
from shared.errors import NotFound, TransientFailure
from shared.persistence.queues import Message
from shared.persistence.readiness import DrillOutcome, DrillRun
from tests.support.containment import rotated
from tests.support.driver import Driver
from tests.support.tables import delete_rows

WEEK = 7 * 24


@pytest.fixture(autouse=True)
async def no_drill_yet(driver: Driver) -> None:
    await delete_rows(driver.app().background.readiness_table._table, where="PartitionKey eq 'drill'")


@pytest.fixture
async def account(driver: Driver) -> Account:
    return await driver.account()


async def ran(driver: Driver, account: Account, **settings: str) -> list[DrillRun]:
    """Every drill, once the timer has come."""
    app = driver.app(drill_account=account.name, **settings)
    await app.background.drill.run()
    return await app.background.readiness_table.drills()


async def dealt_with(driver: Driver, run: DrillRun, **settings: str) -> None:
    """Do what the functions do with the event of a drill."""
    [event] = [e for e in driver.cloud.model.events if e.get("id") == run.revocation]
    report = Report(event["id"], event["type"], event["source"], event["data"])
    await driver.app(**settings).fast_path.ingest.receive(report)
    await driver.app(**settings).background.follow_up.run(Message(run.revocation))


async def test_it_publishes_a_finding_that_holds_nothing_to_be_used(driver: Driver, account: Account) -> None:
    [run] = await ran(driver, account)

    [event] = [e for e in driver.cloud.model.events if e.get("id") == run.revocation]
    assert (event["type"], run.outcome) == (REPORTED, DrillOutcome.UNDER_WAY)
    assert "sig" not in event["data"]["credential"]["parameters"]
    assert event["data"]["source"] == "Sasquash's weekly drill"


async def test_a_leak_that_is_revoked_and_proven_has_passed(driver: Driver, account: Account) -> None:
    [run] = await ran(driver, account)
    await dealt_with(driver, run)

    [judged] = await ran(driver, account)

    assert (judged.outcome, judged.revocation) == (DrillOutcome.PASSED, run.revocation)
    assert rotated(account) == ["key1"]
    assert judged.contained_after is not None
    assert judged.proven_after is not None
    assert 0 < judged.contained_after <= judged.proven_after


@pytest.mark.parametrize(("mode", "state"), [("observe", State.OBSERVED), ("approve", State.AWAITING_APPROVAL)])
async def test_a_mode_that_lets_nothing_happen_has_passed_when_it_was_decided(
    driver: Driver, account: Account, mode: str, state: State
) -> None:
    [run] = await ran(driver, account, mode=mode)
    await dealt_with(driver, run, mode=mode)

    [judged] = await ran(driver, account, mode=mode)

    assert (await driver.record(run.revocation)).state is state
    assert (judged.outcome, account.rotations) == (DrillOutcome.PASSED, [])


async def test_it_waits_a_quarter_of_an_hour(driver: Driver, account: Account) -> None:
    await ran(driver, account)
    driver.clock.advance(minutes=14)

    assert [run.outcome for run in await ran(driver, account)] == [DrillOutcome.UNDER_WAY]


async def test_missing_event_fails_the_drill_and_is_logged_in_the_form_that_the_alert_rule_expects(
    driver: Driver, account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    await ran(driver, account)
    driver.clock.advance(minutes=15)

    with caplog.at_level(logging.ERROR):
        [run] = await ran(driver, account)

    assert (run.outcome, run.said) == (DrillOutcome.FAILED, "no finding was recorded.")
    assert any(line.startswith("The drill failed") for line in caplog.messages)


async def test_drill_whose_record_can_t_be_read_has_failed(driver: Driver, account: Account) -> None:
    [run] = await ran(driver, account)
    await dealt_with(driver, run)
    table = driver.app().fast_path.store.revocations._table
    await table.update_entity({"PartitionKey": run.revocation[:2], "RowKey": run.revocation, "Schema": 99})
    driver.clock.advance(minutes=15)
    [run] = await ran(driver, account)
    await table.delete_entity(run.revocation[:2], run.revocation)
    assert (run.outcome, run.said) == (DrillOutcome.FAILED, "its record can't be read by this version.")


async def test_revocation_that_azure_refuses_has_failed(driver: Driver, account: Account) -> None:
    [run] = await ran(driver, account)
    account.locks.append("ReadOnly")
    await dealt_with(driver, run)
    driver.clock.advance(minutes=15)

    [judged] = await ran(driver, account)

    assert judged.outcome is DrillOutcome.FAILED
    assert "ReadOnly lock" in judged.said


async def test_the_next_one_is_a_week_later(driver: Driver, account: Account) -> None:
    [run] = await ran(driver, account)
    await dealt_with(driver, run)
    await ran(driver, account)
    driver.clock.advance(hours=WEEK - 1)
    still = await ran(driver, account)
    driver.clock.advance(hours=1)
    next_week = await ran(driver, account)

    assert (len(still), len(next_week)) == (1, 2)
    assert next_week[-1].revocation != run.revocation


async def test_a_drill_whose_publishing_failed_is_not_begun_again(driver: Driver, account: Account) -> None:
    driver.fault("eventgrid.azure.net/api/events", Effect.STATUS, status=503, times=9)
    with pytest.raises(TransientFailure):
        await ran(driver, account)
    driver.cloud.faults.clear()

    assert [run.outcome for run in await ran(driver, account)] == [DrillOutcome.UNDER_WAY]


async def test_without_a_drill_account_there_is_none(driver: Driver) -> None:
    await driver.app().background.drill.run()

    assert await driver.app().background.readiness_table.drills() == []


async def test_a_drill_account_out_of_scope_is_an_error(driver: Driver) -> None:
    with pytest.raises(NotFound, match="nosuchaccount is in none of the subscriptions"):
        await driver.app(drill_account="nosuchaccount").background.drill.run()
