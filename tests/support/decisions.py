"""Records that await a decision, and the people who decide, for tests with the driver."""

from dataclasses import replace
from typing import Any

from local.tenant.model import Account
from shared.api.revocations.requests import OrderRequest, ReportRequest
from shared.domain.alert import AlertEvidence, AlertReference, AlertSource
from shared.domain.caller import Caller
from shared.domain.finding import Finding
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.domain.target import ActionKind, Lockdown
from shared.persistence.queues import Message
from tests.support.driver import Driver, Lifetime, report
from tests.support.leaks import account_sas, small_sas

ADA = Caller("ada@contoso.com", "00000000-0000-4000-8000-00000000000a", is_person=True)
BOB = Caller("bob@contoso.com", "00000000-0000-4000-8000-00000000000b", is_person=True)
EVE = Caller("eve@contoso.com", "00000000-0000-4000-8000-00000000000e", is_person=True)

BATCH = ".table.core.windows.net/$batch"
LIST_KEYS = "/listKeys"
FOLLOW_UP_QUEUE = "/follow-up/messages"
UPDATE_ACCOUNT = "PATCH https://management.azure.com"


def asked(text: str, **options: Any) -> ReportRequest:
    return ReportRequest(text, "Seen in a chat.", **options)


def bare(account: str, key: str) -> str:
    return account_sas(account, key).partition("?")[2]


def rotated(account: Account) -> list[str]:
    return [key for key, _ in account.rotations]


def shared_key_of(account: Account) -> object:
    return account.properties.get("allowSharedKeyAccess")


async def awaiting(driver: Driver, account: Account, **settings: str) -> Revocation:
    """The record of a leak that Ada reported, and that awaits the approval of a second person."""
    text = small_sas(account.name, account.keys["key1"])
    [record] = await driver.app(**settings).http.revocations.report(asked(text), caller=ADA)
    assert (record.state, rotated(account)) == (State.AWAITING_APPROVAL, [])
    return record


async def ordered(driver: Driver, account: Account) -> Revocation:
    """The record of an order of Ada, which awaits the approval of a second person."""
    request = OrderRequest(account.name, ActionKind.ACCOUNT_KEY, "key1", "A laptop was lost.")
    record = await driver.app().http.revocations.order(request, caller=ADA)
    assert (record.state, rotated(account)) == (State.AWAITING_APPROVAL, [])
    return record


async def evidence(
    driver: Driver,
    account: Account,
    key: str = "key1",
    *,
    alert: AlertReference | None = None,
    about: AlertReference | None = None,
    submitted_by: str | None = None,
) -> Revocation:
    """The record of evidence that a publisher sent to the topic: an order that no person gave.

    It quotes the signature of alert `about`, which is `alert` unless that is said.
    """
    quoted = (about or alert or AlertReference(AlertSource.DEFENDER, "", "none")).alert
    known = (each.signature_sha256 for each in driver.cloud.model.alerts.defender if each.id == quoted)
    seen = AlertEvidence(
        account=account.name,
        key=key,
        title="Unusual use of a SAS",
        seen_at=driver.clock(),
        signature_sha256=next(known, None),
    )
    made = Finding.of_evidence(seen, source="defender", url=None, detected_at=seen.seen_at, alert=alert)
    finding = replace(made, submitted_by=submitted_by)
    await driver.app().fast_path.ingest.receive(report(finding))
    driver.cool_down()
    record = await driver.record(finding.fingerprint)
    assert (record.state, rotated(account)) == (State.AWAITING_APPROVAL, [])
    return record


async def approved_by(
    driver: Driver, record: Revocation, caller: Caller, *, life: Lifetime | None = None
) -> Revocation:
    """The record after this caller approved its plan, as they read it."""
    service = driver.app(life).http.revocations
    return await service.approve(record.fingerprint, digest=digest_of(record), reason="Yes.", caller=caller)


def digest_of(record: Revocation) -> str:
    assert record.plan is not None
    return record.plan.digest


async def carried_out(driver: Driver, fingerprint: str, *, tries: int = 8) -> Revocation:
    """The record after its messages were processed, at intervals of minutes."""
    for _ in range(tries):
        driver.clock.advance(minutes=4)
        await driver.app().fast_path.containment.resume(Message(fingerprint))
        record = await driver.record(fingerprint)
        if record.state is not State.RECEIVED:
            return record
    raise AssertionError(f"still received: {[entry.what for entry in await driver.history(fingerprint)]}")


async def locked_down(driver: Driver, account: Account) -> Revocation:
    """The record of an executed order to disable shared keys."""
    service = driver.app().http.revocations
    request = OrderRequest(account.name, ActionKind.LOCKDOWN, Lockdown.SHARED_KEY, "We don't know which key.")
    record = await service.order(request, caller=ADA)
    done = await service.approve(record.fingerprint, digest=digest_of(record), reason="Yes.", caller=BOB)
    assert (done.state, shared_key_of(account)) == (State.CONTAINED, False)
    return done
