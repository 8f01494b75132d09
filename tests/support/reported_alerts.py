"""Leaks with an alert of another tool, driven in process: reported, revoked, and followed up."""

from dataclasses import replace

import azure.functions as func

from local.reporters import reports
from local.reporters.reports import Posted
from local.tenant.model import Account
from local.tenant.senders import AZURE_DEVOPS_PROJECT, AZURE_DEVOPS_REPOSITORY, GitHubAlert
from shared.domain.alert import AlertReference, AlertSource
from shared.domain.finding import Finding
from shared.domain.revocation import Revocation
from shared.persistence.queues import Message
from tests.support.driver import Driver, found, report
from tests.support.leaks import account_sas


def made(
    driver: Driver, account: Account, *, source: str = "github", key: str = "key1", text: str | None = None
) -> Posted:
    """A report about a leak, by default a new one of that key, and its alert."""
    model, entra = driver.cloud.model, driver.cloud.entra
    leaked = text if text is not None else account_sas(account.name, account.keys[key])
    return reports.make(model, entra, source=source, text=leaked)


def alert_of(driver: Driver) -> tuple[AlertReference, GitHubAlert]:
    """The latest alert of GitHub."""
    kept = driver.cloud.model.alerts.github[-1]
    return AlertReference(AlertSource.GITHUB, kept.repository, str(kept.number)), kept


def request(posted: Posted) -> func.HttpRequest:
    """A report as the Functions host passes it to the intake."""
    return func.HttpRequest(
        method="POST",
        url=f"https://sasquash/api/intake/{posted.source}",
        headers={name.lower(): value for name, value in posted.headers.items()}
        | {"content-length": str(len(posted.body))},
        route_params={"source": posted.source},
        body=posted.body,
    )


async def proven(driver: Driver, account: Account, leak: str) -> tuple[Finding, GitHubAlert]:
    """A leak with an alert, revoked; the follow-up has not run yet."""
    made(driver, account, text=leak)
    reference, kept = alert_of(driver)
    finding = replace(found(leak, source="github"), alert=reference)
    await driver.app().fast_path.ingest.receive(report(finding))
    return finding, kept


async def followed(driver: Driver, finding: Finding) -> Revocation:
    """The record of a finding after its follow-up ran once."""
    await driver.app().background.follow_up.run(Message(finding.fingerprint))
    return await driver.record(finding.fingerprint)


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
