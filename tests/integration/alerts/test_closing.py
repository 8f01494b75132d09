"""The alerts of a leak are closed once it is verified revoked, through failures and crashes."""

from dataclasses import replace
from datetime import timedelta

import pytest

from local.network.faults import Effect
from local.tenant.model import Account
from shared.domain.states import Reason, State
from shared.persistence import step_leases
from shared.persistence.queues import Message
from tests.support.containment import rotated
from tests.support.driver import Crashed, Driver, Lifetime, found, report
from tests.support.leaks import account_sas, blob_sas
from tests.support.reported_alerts import alert_of, followed, made, proven

PATCH = "PATCH https://api.github.com"


async def test_alert_is_closed_once_the_leak_is_verified_revoked(driver: Driver, account: Account, leak: str) -> None:
    finding, kept = await proven(driver, account, leak)
    assert kept.state == "open"
    record = await followed(driver, finding)

    assert record.state is State.CLOSED
    assert (kept.state, kept.resolution) == ("resolved", "revoked")
    assert [closed.alert for closed in record.closed_alerts] == [finding.alert]


async def test_each_message_more_closes_nothing_again(driver: Driver, account: Account, leak: str) -> None:
    finding, _ = await proven(driver, account, leak)
    for _ in range(3):
        await followed(driver, finding)

    assert len(driver.requests(PATCH)) == 1


@pytest.mark.parametrize("effect", [Effect.STATUS, Effect.RESET])
async def test_failing_closing_keeps_the_record_open_and_delays_nothing_else(
    driver: Driver, account: Account, leak: str, effect: Effect
) -> None:
    driver.fault("api.github.com", effect, status=503, times=None)
    finding, kept = await proven(driver, account, leak)
    record = await followed(driver, finding)

    assert (record.state, kept.state) == (State.PROVEN, "open")
    assert record.filed is not None
    assert len(driver.mails(account.name)) == 1
    driver.cloud.faults.clear()
    assert (await followed(driver, finding)).state is State.CLOSED
    assert kept.state == "resolved"


async def test_missing_right_of_the_app_is_a_failure_of_this_step_alone(
    driver: Driver, account: Account, leak: str
) -> None:
    driver.fault(PATCH, status=403, times=None)
    finding, _ = await proven(driver, account, leak)
    record = await followed(driver, finding)

    assert record.state is State.PROVEN
    assert driver.messages("follow-up", finding.fingerprint)[-1] == (1.0, 1)


async def test_alert_that_is_gone_keeps_nothing_open(driver: Driver, account: Account, leak: str) -> None:
    finding, _ = await proven(driver, account, leak)
    driver.cloud.model.alerts.github.pop()
    record = await followed(driver, finding)

    assert record.state is State.CLOSED
    assert "does not exist any more" in record.closed_alerts[0].said
    assert not record.closed_alerts[0].closed


async def test_alert_of_a_tool_that_is_not_set_up_is_left_open(driver: Driver, account: Account, leak: str) -> None:
    finding, kept = await proven(driver, account, leak)
    await driver.app(github_closing_app="").background.follow_up.run(Message(finding.fingerprint))

    record = await driver.record(finding.fingerprint)
    assert record.state is State.CLOSED
    assert [closed.closed for closed in record.closed_alerts] == [False]
    assert kept.state == "open"


@pytest.mark.parametrize("late", [State.PROVEN, State.CLOSED])
async def test_second_alert_about_a_revoked_leak_is_closed_too(
    driver: Driver, account: Account, leak: str, late: State
) -> None:
    finding, _ = await proven(driver, account, leak)
    if late is State.CLOSED:
        await followed(driver, finding)
    made(driver, account, text=leak)
    reference, second = alert_of(driver)
    driver.sent.clear()
    await driver.app().fast_path.ingest.receive(report(replace(finding, alert=reference)))
    if late is State.CLOSED:
        assert driver.messages("follow-up", finding.fingerprint)
    record = await followed(driver, finding)

    assert second.state == "resolved"
    assert len(record.closed_alerts) == 2
    assert rotated(account) == ["key1"]


async def test_leak_that_ended_with_another_ones_key_is_closed_where_it_was_reported(
    driver: Driver, account: Account
) -> None:
    text = blob_sas(account.name, account.keys["key1"])
    made(driver, account, text=text)
    reference, kept = alert_of(driver)
    covered = replace(found(text), alert=reference)
    driver.fault("/listKeys", status=503, times=3)
    await driver.app().fast_path.ingest.receive(report(covered))  # it waits, and the next one's key ends it, too
    driver.cool_down()
    await driver.app().fast_path.ingest.receive(report(found(account_sas(account.name, account.keys["key1"]))))
    record = await followed(driver, covered)

    assert record.reason is Reason.COVERED
    assert kept.state == "resolved"


@pytest.mark.parametrize("carried_out", [False, True])
async def test_follow_up_crash_at_any_call_still_closes_the_alert(
    driver: Driver, account: Account, leak: str, monkeypatch: pytest.MonkeyPatch, *, carried_out: bool
) -> None:
    monkeypatch.setattr(step_leases, "LEASE_TIME", timedelta(0))  # that of the crashed instance expires at once
    finding, kept = await proven(driver, account, leak)
    for number in range(1, 80):
        life = Lifetime(ends_at=number, carried_out=carried_out, counting="api.github.com")
        try:
            await driver.app(life).background.follow_up.run(Message(finding.fingerprint))
        except Crashed:
            continue
        break
    record = await driver.record(finding.fingerprint)

    assert record.state is State.CLOSED
    assert (kept.state, len(record.closed_alerts)) == ("resolved", 1)
