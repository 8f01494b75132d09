"""Leaks with an alert of another tool, driven in process: reported, revoked, and followed up."""

from dataclasses import replace

import azure.functions as func

from local.reporters import reports
from local.reporters.reports import Posted
from local.tenant.model import Account
from local.tenant.senders import GitHubAlert
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
