"""Who reports an alert's evidence first, and names another alert, does not keep the real one from being read."""

import asyncio

import pytest

from local.network.faults import Effect
from shared.app import App
from shared.domain.alert import AlertReference, AlertSource
from shared.domain.approval import EvidenceOutcome
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.errors import SasquashError
from shared.persistence.queues import Message
from tests.integration.test_two_people import GRAPH_ALERTS, defender
from tests.support.decisions import BOB, approved_by, evidence
from tests.support.driver import Driver

NOT_READ = AlertReference(AlertSource.GITHUB, "contoso/robust-models", "7")
GITHUB = "GET https://api.github.com/"


@pytest.fixture(autouse=True)
async def quiet(driver: Driver) -> None:
    """There is no flood of another test."""
    await driver.no_floods()


@pytest.fixture
def app(driver: Driver) -> App:
    return driver.app()


def made_up(number: int) -> AlertReference:
    return AlertReference(AlertSource.DEFENDER, "", f"made-up-{number}")


async def followed(driver: Driver, app: App, record: Revocation) -> Revocation:
    """The record after its follow-up, and what the timers do every minute."""
    await app.background.follow_up.run(Message(record.fingerprint))
    await app.background.hourly_incidents.update()
    await app.background.summary_mail.send()
    return await driver.record(record.fingerprint)


def outcome(record: Revocation) -> EvidenceOutcome | None:
    return record.evidence_check.outcome if record.evidence_check is not None else None


def said(record: Revocation) -> str:
    return record.evidence_check.said if record.evidence_check is not None else ""


def reads(driver: Driver, alert: AlertReference) -> int:
    return sum(request.url.endswith(f"/{alert.alert}") for request in driver.requests(GRAPH_ALERTS))


async def test_real_alert_that_is_reported_after_another_one_confirms_the_evidence(driver: Driver, app: App) -> None:
    account = await driver.account()
    real = defender(driver, account)
    other = defender(driver, account, "key2")
    asked = await followed(driver, app, await evidence(driver, account, alert=other, about=real))
    first = len(driver.mails(account.name))
    driver.sent.clear()
    joined = await evidence(driver, account, alert=real)
    assert driver.messages("follow-up", joined.fingerprint) != []
    confirmed = await followed(driver, app, joined)
    again = await followed(driver, app, confirmed)
    assert (outcome(asked), outcome(confirmed)) == (EvidenceOutcome.DIFFERS, EvidenceOutcome.CONFIRMED)
    [mail] = driver.mails(account.name)[first:]
    assert (said(confirmed) in mail.body, again.notifications) == (True, confirmed.notifications)
    [incident] = driver.incidents(confirmed.fingerprint)  # of its own: it is confirmed
    assert said(confirmed) in incident.fields["NextStep"]


async def test_real_alert_is_found_among_those_that_were_reported_before_people_are_asked(
    driver: Driver, app: App
) -> None:
    account = await driver.account()
    real = defender(driver, account)
    for alert in (defender(driver, account, "key2"), made_up(1), real, made_up(2)):
        record = await evidence(driver, account, alert=alert, about=real)
    confirmed = await followed(driver, app, record)
    [mail] = driver.mails(account.name)
    assert (outcome(confirmed), said(confirmed) in mail.body) == (EvidenceOutcome.CONFIRMED, True)
    assert reads(driver, made_up(2)) == 0  # one settles it


async def test_alerts_that_confirm_nothing_send_no_further_mail(driver: Driver, app: App) -> None:
    account = await driver.account()
    record = await followed(driver, app, await evidence(driver, account, alert=made_up(0)))
    [mail], [incident] = driver.mails(account.name), driver.shared_incidents(record)
    before = dict(incident.fields)
    for number in range(1, 25):
        driver.clock.advance(minutes=1)
        record = await followed(driver, app, await evidence(driver, account, alert=made_up(number)))
    assert (driver.mails(account.name), driver.incidents(record.filed.item_id if record.filed else "")) == (
        [mail],
        [incident],
    )
    assert (incident.fields, outcome(record)) == (before, EvidenceOutcome.DIFFERS)
    assert "24 other alerts that reports name do not confirm it either." in said(record)
    assert [reads(driver, made_up(number)) for number in range(25)] == [1] * 25


async def test_service_that_is_down_holds_up_no_other_alert(driver: Driver, app: App) -> None:
    account = await driver.account()
    driver.fault(GITHUB, Effect.STATUS, status=503, times=None)
    real = defender(driver, account)
    await evidence(driver, account, alert=NOT_READ, about=real)
    record = await evidence(driver, account, alert=real)
    assert outcome(await followed(driver, app, record)) is EvidenceOutcome.CONFIRMED


async def test_alert_whose_service_was_down_is_read_once_it_is_up(driver: Driver, app: App) -> None:
    """People were asked in the meantime, and are asked again: what they hear now is something else."""
    account = await driver.account()
    record = await evidence(driver, account, alert=defender(driver, account))
    driver.fault(GRAPH_ALERTS, Effect.STATUS, status=503, times=None)
    driver.clock.advance(minutes=11)
    asked = await followed(driver, app, record)
    still = await followed(driver, app, record)
    before = len(driver.mails(account.name))
    driver.cloud.faults.clear()
    confirmed = await followed(driver, app, record)
    assert [outcome(one) for one in (asked, still)] == [EvidenceOutcome.UNCHECKED] * 2
    assert (outcome(confirmed), len(driver.mails(account.name)) - before) == (EvidenceOutcome.CONFIRMED, 1)


async def test_later_alert_that_confirms_nothing_leaves_one_that_could_not_be_read_unread(
    driver: Driver, app: App
) -> None:
    account = await driver.account()
    real = defender(driver, account)
    record = await evidence(driver, account, alert=real)
    driver.fault(GRAPH_ALERTS, Effect.STATUS, status=503, times=None)
    driver.clock.advance(minutes=11)
    await followed(driver, app, record)
    await evidence(driver, account, alert=NOT_READ, about=real)
    unread = await followed(driver, app, record)
    driver.cloud.faults.clear()
    assert outcome(unread) is EvidenceOutcome.UNCHECKED
    assert outcome(await followed(driver, app, record)) is EvidenceOutcome.CONFIRMED


async def test_approver_who_has_decided_on_evidence_that_differs_hears_that_it_is_confirmed(
    driver: Driver, app: App
) -> None:
    account = await driver.account()
    real = defender(driver, account)
    record = await followed(driver, app, await evidence(driver, account, alert=made_up(1), about=real))
    await followed(driver, app, await approved_by(driver, record, BOB))
    before = len(driver.mails(account.name))
    joined = await evidence(driver, account, alert=real)
    confirmed = await followed(driver, app, joined)
    await followed(driver, app, confirmed)
    [mail] = driver.mails(account.name)[before:]
    assert (confirmed.first_approval is not None, said(confirmed) in mail.body) == (True, True)


async def test_alert_of_a_report_is_read_although_the_instance_ended_before_it_could_say_so(
    driver: Driver, app: App
) -> None:
    """Event Grid delivers the event again; the message that was sent before the write brings the rest."""
    account = await driver.account()
    real = defender(driver, account)
    record = await followed(driver, app, await evidence(driver, account, alert=made_up(1), about=real))
    driver.fault("/follow-up/messages", times=3)
    with pytest.raises(SasquashError):
        await evidence(driver, account, alert=real)
    driver.cloud.faults.clear()
    driver.sent.clear()
    await app.fast_path.containment.resume(Message(record.fingerprint))
    assert driver.messages("follow-up", record.fingerprint) != []


async def test_two_instances_that_read_different_alerts_come_to_what_is_confirmed(driver: Driver, app: App) -> None:
    account = await driver.account()
    other, real = driver.app(), defender(driver, account)
    first = await evidence(driver, account, alert=made_up(1), about=real)
    joining = evidence(driver, account, alert=made_up(2), about=real)
    await asyncio.gather(followed(driver, app, first), joining)
    joined = await evidence(driver, account, alert=real)
    await asyncio.gather(followed(driver, app, joined), followed(driver, other, joined))
    record = await followed(driver, app, joined)
    assert (outcome(record), record.state) == (EvidenceOutcome.CONFIRMED, State.AWAITING_APPROVAL)
    assert len([mail for mail in driver.mails(account.name) if said(record) in mail.body]) == 1


async def test_evidence_that_is_confirmed_stays_so_whatever_is_reported_later(driver: Driver, app: App) -> None:
    account = await driver.account()
    real = defender(driver, account)
    confirmed = await followed(driver, app, await evidence(driver, account, alert=real))
    mails = driver.mails(account.name)
    after = await followed(driver, app, await evidence(driver, account, alert=made_up(1), about=real))
    assert (after.evidence_check, driver.mails(account.name)) == (confirmed.evidence_check, mails)
    assert reads(driver, made_up(1)) == 0


async def test_alert_confirms_one_report_and_not_what_is_made_up_beside_it(driver: Driver, app: App) -> None:
    account = await driver.account()
    real = defender(driver, account)
    await followed(driver, app, await evidence(driver, account, alert=real))
    before = len(driver.mails(account.name))
    forged = [await evidence(driver, account, alert=real, about=made_up(1))]
    driver.clock.advance(hours=24)
    forged.append(await evidence(driver, account, alert=real, about=made_up(1)))
    records = [await followed(driver, app, record) for record in forged]
    assert [outcome(record) for record in records] == [EvidenceOutcome.DIFFERS] * 2
    assert [said(record) in driver.mails(account.name)[-1].body for record in records] == [True, True]
    assert len(driver.mails(account.name)) - before == 1  # the summary of what nobody confirmed
