"""Who is notified about which state."""

import pytest

from local.tenant.model import SECURITY_MAILBOX, Account
from shared.domain.states import State
from tests.support import unusual_leaks
from tests.support.driver import OWNER, Driver, report
from tests.support.followups import contained, followed
from tests.support.leaks import Leak


async def test_address_in_a_foreign_domain_is_not_notified(driver: Driver) -> None:
    account = await driver.account(tags={"sasquash-owner": "attacker@evil.example", "owner": OWNER})
    record = await followed(driver, await contained(driver, account))
    assert [mail.to for mail in driver.mails(account.name)] == [(OWNER,)]
    assert record.owners_rejected


async def test_account_without_owners_notifies_the_security_mailbox(driver: Driver) -> None:
    account = await driver.account()
    await followed(driver, await contained(driver, account))
    assert [(mail.to, mail.cc) for mail in driver.mails(account.name)] == [((SECURITY_MAILBOX,), ())]


@pytest.mark.parametrize(
    "leak",
    [
        unusual_leaks.forged,
        unusual_leaks.altered,
        unusual_leaks.user_delegation_sas,
        unusual_leaks.of_unknown_version,
    ],
)
async def test_owners_are_not_notified_without_a_verified_signature(
    driver: Driver, account: Account, leak: Leak
) -> None:
    await driver.no_floods()
    finding = await contained(driver, account, leak(account.name, account.keys["key1"]))
    await followed(driver, finding)
    assert driver.mails(account.name) == []
    await driver.app().background.summary_mail.send()
    assert [(mail.to, mail.cc) for mail in driver.mails(account.name)] == [((SECURITY_MAILBOX,), ())]


async def test_owners_are_notified_that_the_leak_that_they_revoked_by_hand_is_verified(
    driver: Driver, account: Account
) -> None:
    finding = await contained(driver, account, mode="observe")
    await followed(driver, finding)
    await driver.cloud.model.regenerate(account, "key1")  # its owner did it
    driver.clock.advance(minutes=5)
    await driver.app().fast_path.ingest.receive(report(finding))
    assert (await followed(driver, finding)).state is State.CLOSED
    assert [mail.to for mail in driver.mails(account.name)] == [(OWNER,)] * 2


@pytest.mark.parametrize(
    ("settings", "state", "announced"),
    [
        ({"mode": "observe"}, State.OBSERVED, "Observed"),
        ({"mode": "approve"}, State.AWAITING_APPROVAL, "AwaitingApproval"),
    ],
)
async def test_leak_that_awaits_approval_is_filed_mailed_and_left_open(
    driver: Driver, account: Account, settings: dict[str, str], state: State, announced: str
) -> None:
    finding = await contained(driver, account, **settings)
    record = await followed(driver, finding)
    assert (record.state, len(driver.mails(account.name))) == (state, 1)
    assert [i.fields["Status"] for i in driver.incidents(finding.fingerprint)] == [state]
    assert driver.announced(finding.fingerprint) == [announced]


async def test_dismissed_leak_is_announced_and_bothers_nobody(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account, unusual_leaks.expired(account.name, account.keys["key1"]))
    await followed(driver, finding)
    assert driver.announced(finding.fingerprint) == ["Dismissed"]
    assert (driver.mails(account.name), driver.incidents(finding.fingerprint)) == ([], [])


async def test_unresolved_leak_never_closes_itself(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account, unusual_leaks.forged(account.name, ""))
    await followed(driver, finding)
    driver.clock.advance(hours=24 * 30)
    assert (await followed(driver, finding)).state is State.UNRESOLVED


async def test_reopened_leak_that_is_revoked_updates_its_incident(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account, mode="observe")
    await followed(driver, finding)
    driver.clock.advance(minutes=5)
    await driver.app().fast_path.ingest.receive(report(finding))
    record = await followed(driver, finding)
    assert record.state is State.CLOSED
    assert [i.fields["Status"] for i in driver.incidents(finding.fingerprint)] == ["closed"]
    assert [sent.state for sent in record.notifications] == [State.OBSERVED, State.PROVEN]
