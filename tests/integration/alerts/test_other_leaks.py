"""An alert is closed only for its own leak: any publisher on the topic can name any alert."""

from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote

import pytest

from local.tenant.model import Account
from local.tenant.senders import AZURE_DEVOPS_PROJECT, AZURE_DEVOPS_REPOSITORY, AzureDevOpsAlert
from shared.domain.alert import AlertReference, AlertSource
from shared.domain.finding import Finding
from shared.domain.states import State
from shared.followup.briefing.build import brief
from tests.support.containment import rotated
from tests.support.deployment import forms
from tests.support.driver import Driver, found, report
from tests.support.leaks import account_sas
from tests.support.reported_alerts import alert_of, followed, is_open, made, named, other_alert, proven


@pytest.mark.parametrize("source", ["github", "azure-devops", "defender"])
async def test_alert_of_another_leak_that_an_event_names_is_left_open(
    driver: Driver, account: Account, source: str
) -> None:
    """Anybody who may publish on the topic can name any alert."""
    victim = other_alert(driver, account, source=source)
    finding = replace(found(account_sas(account.name, account.keys["key1"])), alert=victim)
    await driver.app().fast_path.ingest.receive(report(finding))
    record = await followed(driver, finding)

    assert (record.state, rotated(account)) == (State.CLOSED, ["key1"])
    assert is_open(driver, victim)
    [left] = record.closed_alerts
    assert (left.alert, left.closed) == (victim, False)
    assert "was left open: it" in left.said
    assert left.said in [line.what for line in await driver.history(finding.fingerprint)]
    assert left.said in brief(record, now=driver.clock()).open_points
    assert not [call for call in driver.requests("PATCH ") if "alert" in call.url]


async def test_each_of_two_records_closes_only_its_own_of_the_alerts_that_both_name(
    driver: Driver, account: Account, leak: str
) -> None:
    first, own = await proven(driver, account, leak)
    another = await driver.account()
    other = account_sas(another.name, another.keys["key1"])
    made(driver, another, text=other)
    second, _ = alert_of(driver)
    await named(driver, first, second)
    later = replace(found(other), alert=second)
    assert first.alert is not None
    await followed(driver, first)
    assert (own.state, is_open(driver, second)) == ("resolved", True)

    await driver.app().fast_path.ingest.receive(report(later))
    await named(driver, later, first.alert)
    record = await followed(driver, later)

    assert not is_open(driver, second)
    assert {each.alert: each.closed for each in record.closed_alerts} == {second: True, first.alert: False}


@pytest.mark.parametrize(
    "stranger",
    [
        AlertReference(AlertSource.GITHUB, "fabrikam/x", "1"),
        AlertReference(AlertSource.GITHUB, "contoso/without-the-app", "1"),
        AlertReference(AlertSource.AZURE_DEVOPS, "fabrikam/x/y", "1"),
        AlertReference(AlertSource.DEFENDER, "", "no-such-alert"),
    ],
    ids=str,
)
async def test_alert_of_another_organization_is_left_open_and_holds_up_no_other(
    driver: Driver, account: Account, leak: str, stranger: AlertReference
) -> None:
    made(driver, account, text=leak)
    reference, kept = alert_of(driver)
    finding = replace(found(leak), alert=stranger)
    await driver.app().fast_path.ingest.receive(report(finding))
    await named(driver, finding, reference)
    record = await followed(driver, finding)

    assert (record.state, kept.state) == (State.CLOSED, "resolved")
    assert {each.alert: each.closed for each in record.closed_alerts} == {stranger: False, reference: True}


@pytest.mark.parametrize("change", ["another", "two", "hidden"])
async def test_alert_whose_secret_is_no_longer_the_leak_alone_is_left_open(
    driver: Driver, account: Account, leak: str, change: str
) -> None:
    finding, kept = await proven(driver, account, leak)
    other = account_sas(account.name, account.keys["key2"])
    kept.secret = {"another": other, "two": f"{kept.secret} {other}", "hidden": ""}[change]
    record = await followed(driver, finding)

    assert (record.state, kept.state, kept.comment) == (State.CLOSED, "open", None)
    assert [each.closed for each in record.closed_alerts] == [False]


async def test_alert_with_the_leak_in_another_encoding_is_closed(driver: Driver, account: Account, leak: str) -> None:
    finding, kept = await proven(driver, account, leak)
    kept.secret = quote(leak, safe="")
    record = await followed(driver, finding)

    assert (record.state, kept.state) == (State.CLOSED, "resolved")


async def hooked_alert(driver: Driver, account: Account, leak: str, finding: Finding) -> AzureDevOpsAlert:
    """An alert of Azure DevOps about the leak, named by another report."""
    made(driver, account, source="azure-devops", text=leak)
    hooked = driver.cloud.model.alerts.azure_devops[-1]
    place = f"contoso/{AZURE_DEVOPS_PROJECT}/{AZURE_DEVOPS_REPOSITORY}"
    await named(driver, finding, AlertReference(AlertSource.AZURE_DEVOPS, place, str(hooked.number)))
    return hooked


async def test_service_that_is_down_holds_up_no_other_and_is_asked_until_it_answers(
    driver: Driver, account: Account, leak: str
) -> None:
    finding = found(leak)
    await driver.app().fast_path.ingest.receive(report(finding))
    hooked = await hooked_alert(driver, account, leak, finding)
    made(driver, account, text=leak)
    reference, kept = alert_of(driver)
    await named(driver, finding, reference)
    driver.fault("advsec.dev.azure.com", status=503, times=None)
    record = await followed(driver, finding)
    assert (record.state, hooked.state, kept.state) == (State.PROVEN, "active", "resolved")

    driver.clock.advance(hours=30)
    assert (await followed(driver, finding)).state is State.PROVEN
    driver.cloud.faults.clear()
    assert (await followed(driver, finding)).state is State.CLOSED
    assert hooked.state == "dismissed"


async def test_right_that_is_missing_for_a_day_leaves_the_alert_open_and_the_record_says_so(
    driver: Driver, account: Account, leak: str
) -> None:
    finding = found(leak)
    await driver.app().fast_path.ingest.receive(report(finding))
    hooked = await hooked_alert(driver, account, leak, finding)
    driver.fault("PATCH https://advsec.dev.azure.com", status=403, times=None)
    assert (await followed(driver, finding)).state is State.PROVEN
    driver.clock.advance(hours=25)
    record = await followed(driver, finding)

    assert (record.state, hooked.state) == (State.CLOSED, "active")
    [left] = record.closed_alerts
    assert not left.closed
    assert "the permission to dismiss alerts of the repository" in left.said


async def test_secret_of_an_alert_is_kept_nowhere(
    driver: Driver, account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    victim = other_alert(driver, account)
    secret = driver.cloud.model.alerts.github[-1].secret
    finding = replace(found(account_sas(account.name, account.keys["key1"])), alert=victim)
    await driver.app().fast_path.ingest.receive(report(finding))
    record = await followed(driver, finding)

    texts = [caplog.text, repr(record), str(await driver.history(finding.fingerprint))]
    texts += [mail.body for mail in driver.mails(account.name)]
    texts += [str(incident.fields) for incident in driver.incidents(finding.fingerprint)]
    leaked = forms(secret.partition("sig=")[2].partition("&")[0])
    assert [text for text in texts if any(form in text.encode() for form in leaked)] == []


async def test_defender_alert_about_the_regenerated_key_is_resolved_and_a_later_one_is_not(
    driver: Driver, account: Account
) -> None:
    """Defender does not show the token: its account and key are compared, and when it was last seen."""
    made(driver, account, source="defender", key="key1")
    before = driver.cloud.model.alerts.defender[-1]
    driver.clock.advance(minutes=5)
    finding = found(account_sas(account.name, account.keys["key1"]))
    await named(driver, finding, AlertReference(AlertSource.DEFENDER, "", before.id))
    made(driver, account, source="defender", key="key1")
    later = driver.cloud.model.alerts.defender[-1]
    later.created_at = driver.clock() + timedelta(minutes=1)
    driver.clock.advance(minutes=10)
    await named(driver, finding, AlertReference(AlertSource.DEFENDER, "", later.id))
    record = await followed(driver, finding)

    assert (before.status, later.status) == ("resolved", "new")
    assert [each.closed for each in record.closed_alerts] == [True, False]
