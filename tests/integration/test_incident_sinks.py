"""Incidents in each place that the settings may name: one a leak whatever gets lost, updated and closed with it."""

from dataclasses import replace

import pytest

from local.network.faults import Effect
from local.network.hostnames import INCIDENTS_HOST
from local.reporters.incident_receiver import PATH
from local.tenant.model import SECURITY_MAILBOX, SUBSCRIPTION_ID, Account, Incident
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.persistence.queues import Message
from tests.support.decisions import BOB, EVE
from tests.support.driver import OWNER, Driver, found, report
from tests.support.leaks import account_sas

WORKSPACE = (
    f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/soc/providers/Microsoft.OperationalInsights/workspaces/contoso"
)
SINKS = ("sharepoint", "defender", "sentinel", "webhook")
CREATES = {
    "sharepoint": "POST https://graph.microsoft.com/v1.0/sites",
    "defender": "createAlert",
    "sentinel": "PUT https://management.azure.com",
    "webhook": f"POST https://{INCIDENTS_HOST}",
}
every = pytest.mark.parametrize("sink", SINKS)


@pytest.fixture
async def account(driver: Driver) -> Account:
    return await driver.account(tags={"sasquash-owner": OWNER})


def settings(driver: Driver, sink: str) -> dict[str, str]:
    return {
        "incidents": sink,
        "sentinel_workspace": WORKSPACE,
        "incident_webhook": f"https://{INCIDENTS_HOST}{PATH}",
        "incident_webhook_secret": driver.cloud.model.senders.webhook_secret,
    }


def mine(driver: Driver, account: Account, sink: str) -> list[Incident]:
    """The incidents about an account."""
    return [i for i in driver.cloud.model.incidents if i.sink == sink and account.name in str(i.fields)]


async def followed(driver: Driver, account: Account, sink: str, *, mode: str = "auto", times: int = 1) -> Revocation:
    finding = found(account_sas(account.name, account.keys["key1"]))
    chosen = settings(driver, sink) | {"mode": mode}
    await driver.app(**chosen).fast_path.ingest.receive(report(finding))
    for _ in range(times):
        driver.clock.advance(seconds=40)  # Azure's, and a receiver's, stands still
        await driver.app(**chosen).background.follow_up.run(Message(finding.fingerprint))
    return await driver.record(finding.fingerprint)


def status(incident: Incident) -> object:
    return incident.fields.get("Status") or incident.fields.get("status") or incident.fields.get("state")


@every
async def test_a_leak_has_one_incident_that_ends_with_it(driver: Driver, account: Account, sink: str) -> None:
    record = await followed(driver, account, sink)

    [incident] = mine(driver, account, sink)
    assert (record.state, record.filed and record.filed.state) == (State.CLOSED, State.CLOSED)
    assert str(status(incident)).lower() in ("closed", "resolved")


@every
@pytest.mark.parametrize("after", [True, False], ids=["carried out", "refused"])
async def test_an_answer_that_is_lost_three_times_makes_no_second_incident(
    driver: Driver, account: Account, sink: str, *, after: bool
) -> None:
    driver.fault(CREATES[sink], Effect.STATUS, status=503, times=3, after=after)

    record = await followed(driver, account, sink, times=5)

    assert len(mine(driver, account, sink)) == 1
    assert record.state is State.CLOSED


@every
async def test_a_plan_that_waits_for_a_person_calls_one(driver: Driver, account: Account, sink: str) -> None:
    await followed(driver, account, sink, mode="approve")

    [incident] = mine(driver, account, sink)
    waits = {"sharepoint": "awaiting_approval", "defender": "active", "sentinel": "Active"}
    assert status(incident) == waits.get(sink, "awaiting_approval")
    assert sink != "webhook" or incident.fields["page"] is True


@every
async def test_an_incident_says_what_happened_and_holds_nothing_to_be_used(
    driver: Driver, account: Account, sink: str
) -> None:
    await followed(driver, account, sink)

    [incident] = mine(driver, account, sink)
    text = str(incident.fields)
    assert "account SAS of storage account" in text
    assert "sig=" not in text
    assert account.keys["key1"] not in text


async def test_defenders_alert_is_about_the_account_and_its_comments_tell_the_rest(
    driver: Driver, account: Account
) -> None:
    record = await followed(driver, account, "defender")

    [incident] = mine(driver, account, "defender")
    assert incident.fields["entityDefinitions"][0]["identifierValue"] == account.id
    assert f"[sasquash-{record.fingerprint[:16]}]" in incident.fields["displayName"]
    assert any("Verified revoked" in comment for comment in incident.fields["comments"])


@every
async def test_refusal_is_recorded_and_does_not_delay_the_mail(driver: Driver, account: Account, sink: str) -> None:
    driver.fault(CREATES[sink], Effect.STATUS, status=403, times=99)

    record = await followed(driver, account, sink)

    assert (record.state, record.filed) == (State.PROVEN, None)
    assert len(driver.mails(account.name)) == 1


async def test_without_an_incident_system_the_mails_are_the_incident(driver: Driver, account: Account) -> None:
    record = await followed(driver, account, "mail")

    assert record.state is State.CLOSED
    assert [incident for incident in driver.cloud.model.incidents if account.name in str(incident.fields)] == []
    assert [SECURITY_MAILBOX in (*mail.to, *mail.cc) for mail in driver.mails(account.name)] == [True]


@every
@pytest.mark.parametrize("earlier", ["mail", "sharepoint"])
async def test_incident_of_another_system_is_filed_anew_with_the_next_state(
    driver: Driver, account: Account, sink: str, earlier: str
) -> None:
    """SASQUASH_INCIDENTS may change while records are open. The id of the one system means nothing to the other."""
    record = await followed(driver, account, earlier, mode="approve")
    app = driver.app(**settings(driver, sink))
    for person in (BOB, EVE):
        await app.http.revocations.reject(record.fingerprint, reason="A test key.", caller=person)

    await app.background.follow_up.run(Message(record.fingerprint))

    [incident] = [incident for incident in mine(driver, account, sink) if incident.sink == sink]
    assert str(status(incident)).lower() in ("closed", "resolved", "dismissed")


async def test_number_of_a_list_item_is_not_taken_for_a_defender_incident_of_that_number(
    driver: Driver, account: Account
) -> None:
    record = await followed(driver, account, "sharepoint", mode="approve")
    other = await driver.account(tags={"sasquash-owner": OWNER})
    await followed(driver, other, "defender", mode="approve")
    [foreign] = mine(driver, other, "defender")
    app = driver.app(**settings(driver, "defender"))

    def numbered(current: Revocation) -> Revocation:
        return replace(current, filed=current.filed and replace(current.filed, item_id=foreign.item_id))

    await app.fast_path.store.revocations.change(record.fingerprint, numbered, what="")
    for person in (BOB, EVE):
        await app.http.revocations.reject(record.fingerprint, reason="A test key.", caller=person)

    await app.background.follow_up.run(Message(record.fingerprint))

    assert status(foreign) == "active"
