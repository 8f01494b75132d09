"""People are notified and incidents filed once, whatever fails or crashes."""

import asyncio
import contextlib

import pytest

from local.network.faults import Effect
from local.tenant.model import Account
from shared.domain.finding import Finding
from shared.domain.states import State
from shared.persistence.queues import Message
from tests.support.driver import Crashed, Driver, Lifetime
from tests.support.followups import DENY, TAGS, contained, followed, left
from tests.support.leaks import small_sas

SEND_MAIL = "/sendMail"
TOPIC = "eventgrid.azure.net"


async def test_two_instances_at_once_file_mail_and_publish_once(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account)
    apps = [driver.app() for _ in range(3)]
    await asyncio.gather(*(each.background.follow_up.run(Message(finding.fingerprint)) for each in apps))
    driver.clock.advance(minutes=3)
    record = await followed(driver, finding)
    assert record.state is State.CLOSED
    assert len(driver.incidents(finding.fingerprint)) == 1
    assert len(driver.mails(account.name)) == 1
    assert sorted(driver.announced(finding.fingerprint)) == ["Closed", "Contained", "Proven"]


async def test_instance_with_a_record_from_before_the_mail_sends_no_second_one(
    driver: Driver, account: Account
) -> None:
    """The race without luck: this one read the record before the mail, and then paused."""
    finding = await contained(driver, account, small_sas(account.name, account.keys["key1"]))
    slow = driver.app()
    stale = await driver.record(finding.fingerprint)
    await followed(driver, finding)
    assert len(driver.mails(account.name)) == 1
    await slow.background.follow_up._finish(slow.background._follow_up_steps.after_verification[0], stale)
    assert len(driver.mails(account.name)) == 1


async def test_request_is_mailed_once_by_instances_whose_clocks_are_behind(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account, mode="approve")
    driver.clock.advance(seconds=-30)
    for _ in range(3):
        record = await followed(driver, finding)
    assert record.state is State.AWAITING_APPROVAL
    assert len(driver.mails(account.name)) == 1
    assert left(driver, finding) == []


@pytest.mark.parametrize("effect", [Effect.STATUS, Effect.RESET])
async def test_incident_is_filed_once_though_its_answer_is_lost(
    driver: Driver, account: Account, effect: Effect
) -> None:
    finding = await contained(driver, account)
    driver.fault("POST https://graph.microsoft.com/v1.0/sites", effect, after=True)
    await followed(driver, finding)
    assert (await followed(driver, finding)).state is State.CLOSED
    assert len(driver.incidents(finding.fingerprint)) == 1


async def test_graph_outage_delays_notifications_but_not_the_verification(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account)
    driver.fault("graph.microsoft.com", times=None)
    assert (await followed(driver, finding)).state is State.PROVEN
    assert left(driver, finding) == [(1.0, 1)]
    driver.cloud.faults.clear()
    assert (await followed(driver, finding)).state is State.CLOSED
    assert (len(driver.mails(account.name)), len(driver.incidents(finding.fingerprint))) == (1, 1)


async def test_failing_mailbox_does_not_keep_the_incident_waiting(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account)
    driver.fault(SEND_MAIL, status=403, times=None)
    assert (await followed(driver, finding)).state is State.PROVEN
    assert [i.fields["Status"] for i in driver.incidents(finding.fingerprint)] == ["proven"]


async def test_failing_step_backs_off_by_its_own_failures_alone(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account)
    account.properties |= DENY
    for _ in range(4):
        await followed(driver, finding)
    assert [attempt for _, attempt in left(driver, finding)] == [0, 0, 0, 0]


async def test_step_that_fails_for_a_day_is_given_up_and_noted(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account)
    driver.fault(SEND_MAIL, status=403, times=None)
    await followed(driver, finding)
    driver.clock.advance(hours=25)
    sent = len(left(driver, finding))
    await followed(driver, finding)
    assert len(left(driver, finding)) == sent
    said = (await driver.history(finding.fingerprint))[-1].what
    assert said.startswith("Not done within 24 hours; retried every 6 hours from now: mail.")


async def test_message_of_the_sweep_that_fails_is_not_put_back(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account)
    driver.fault(SEND_MAIL, times=None)
    before = len(left(driver, finding))
    await driver.app().background.follow_up.run(Message(finding.fingerprint, swept=True))
    assert len(left(driver, finding)) == before


async def test_message_of_the_sweep_does_what_was_given_up_after_a_day(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account)
    fault = driver.fault(SEND_MAIL, times=None)
    await followed(driver, finding)
    driver.clock.advance(hours=25)
    await followed(driver, finding)
    fault.times = 0
    await driver.app().background.follow_up.run(Message(finding.fingerprint, swept=True))
    assert (await driver.record(finding.fingerprint)).state is State.CLOSED
    assert len(driver.mails(account.name)) == 1


async def test_ledger_that_is_down_puts_the_message_back(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account)
    driver.fault("/revocations(", times=None)
    await driver.app().background.follow_up.run(Message(finding.fingerprint, attempt=2))
    assert left(driver, finding) == [(4.0, 3)]


async def test_announcement_is_repeated_until_it_is_taken(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account)
    driver.fault(TOPIC, times=None)
    await followed(driver, finding)
    assert driver.announced(finding.fingerprint) == []
    driver.cloud.faults.clear()
    await followed(driver, finding)
    assert driver.announced(finding.fingerprint) == ["Contained", "Proven", "Closed"]


async def test_crash_at_any_call_leaves_one_incident_and_misses_no_mail(driver: Driver) -> None:
    """A crash between sending a mail and recording it causes a second mail, as followup/service.py says.

    Every third call, in turn before and after it is carried out: each is a whole follow-up.
    """
    number = -2
    life = Lifetime(ended=True)
    while life.ended:
        number += 3
        account = await driver.account(tags=TAGS)
        finding = await contained(driver, account, mode="observe")
        life = Lifetime(ends_at=number, carried_out=number % 2 == 0)
        await crashes_or_not(driver, finding, life)
        assert len(driver.incidents(finding.fingerprint)) == 1, f"crashed at call {number}"
        assert 1 <= len(driver.mails(account.name)) <= 2, f"crashed at call {number}"
        assert set(driver.announced(finding.fingerprint)) == {"Observed"}, f"crashed at call {number}"
    assert number > 15


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
async def test_crash_after_a_change_of_the_record_does_not_prevent_its_closing(driver: Driver, number: int) -> None:
    account = await driver.account(tags=TAGS)
    finding = await contained(driver, account)
    life = Lifetime(ends_at=number, carried_out=True, counting="$batch")
    await crashes_or_not(driver, finding, life)
    assert life.ended
    assert (await driver.record(finding.fingerprint)).state is State.CLOSED
    assert len(driver.incidents(finding.fingerprint)) == 1


async def crashes_or_not(driver: Driver, finding: Finding, life: Lifetime) -> None:
    """Follow up with an instance of this life, and deliver its message again to others."""
    with contextlib.suppress(Crashed):
        await driver.app(life).background.follow_up.run(Message(finding.fingerprint))
    for _ in range(2):
        driver.clock.advance(minutes=3)
        await followed(driver, finding)
