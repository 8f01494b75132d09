"""A leak that is contained, and the follow-up of its record."""

from local.tenant.model import Account
from shared.domain.finding import Finding
from shared.domain.revocation import Revocation
from shared.persistence.queues import Message
from tests.support.driver import OWNER, Driver, found, report
from tests.support.leaks import blob_sas

DENY = {"networkAcls": {"defaultAction": "Deny"}}
TAGS = {"sasquash-owner": OWNER}


async def contained(driver: Driver, account: Account, leak: str | None = None, **settings: str) -> Finding:
    """A leak on `account` after the fast path, revoked or not."""
    finding = found(leak or blob_sas(account.name, account.keys["key1"]))
    await driver.app(**settings).fast_path.ingest.receive(report(finding))
    return finding


async def followed(driver: Driver, finding: Finding) -> Revocation:
    """The record after one message of the follow-up."""
    await driver.app().background.follow_up.run(Message(finding.fingerprint))
    return await driver.record(finding.fingerprint)


def left(driver: Driver, finding: Finding) -> list[tuple[float, int]]:
    """The messages of the follow-up to itself; the first is containment's."""
    return driver.messages("follow-up", finding.fingerprint)[1:]
