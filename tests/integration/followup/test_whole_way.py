"""The follow-up of a contained leak from its verification to its end."""

import threading

import pytest

from local.tenant.model import SECURITY_MAILBOX, Account
from shared.domain.execution import Outcome
from shared.domain.states import State
from shared.factories import background
from tests.support.driver import OWNER, Driver
from tests.support.followups import contained, followed, left
from tests.support.leaks import Leak, account_sas, blob_sas, raw_key


@pytest.mark.parametrize("leak", [blob_sas, account_sas, raw_key], ids=lambda leak: leak.__name__)
async def test_revoked_leak_is_verified_filed_mailed_published_and_closed_in_one_run(
    driver: Driver, account: Account, leak: Leak
) -> None:
    finding = await contained(driver, account, leak(account.name, account.keys["key1"]))
    record = await followed(driver, finding)
    assert record.state is State.CLOSED
    assert record.verification is not None
    assert record.verification.outcome is Outcome.PROVEN
    assert [incident.fields["Status"] for incident in driver.incidents(finding.fingerprint)] == ["closed"]
    [mail] = driver.mails(account.name)
    assert (mail.to, mail.cc) == ((OWNER,), (SECURITY_MAILBOX,))
    assert driver.announced(finding.fingerprint) == ["Contained", "Proven", "Closed"]
    assert left(driver, finding) == []


async def test_each_message_more_does_nothing(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account)
    first = await followed(driver, finding)
    assert await followed(driver, finding) == first
    assert (len(driver.mails(account.name)), len(driver.incidents(finding.fingerprint))) == (1, 1)


async def test_record_that_is_not_decided_yet_is_left_to_containment(driver: Driver, account: Account) -> None:
    driver.fault("/listKeys", times=3)
    finding = await contained(driver, account)
    assert (await followed(driver, finding)).state is State.RECEIVED
    assert driver.announced(finding.fingerprint) == []


async def test_verification_tokens_are_removed_from_the_record_after_use(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account)
    before = await driver.record(finding.fingerprint)
    after = await followed(driver, finding)
    assert before.execution is not None
    assert after.execution is not None
    assert (len(before.execution.verification_tokens), after.execution.verification_tokens) == (1, ())


async def test_verification_covers_every_service_and_the_secondary(driver: Driver, account: Account) -> None:
    record = await followed(driver, await contained(driver, account, raw_key(account.name, account.keys["key1"])))
    assert record.verification is not None
    lines = [line.split(":")[0] for line in record.verification.evidence if "AuthenticationFailed" in line]
    proven = {name for line in lines for name in line.split(", ")}
    primary = {"blob", "file", "queue", "table"}
    assert proven == primary | {f"{service} (secondary)" for service in primary - {"file"}}


async def test_notification_clients_are_not_imported_on_the_event_loop(
    driver: Driver, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes seconds, and the loop has other leaks to revoke."""
    finding = await contained(driver, account)
    importing: list[threading.Thread] = []
    monkeypatch.setattr(background, "import_for_people", lambda: importing.append(threading.current_thread()))
    await followed(driver, finding)
    assert importing
    assert threading.main_thread() not in importing
