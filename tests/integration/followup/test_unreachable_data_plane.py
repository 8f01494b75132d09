"""Verification where the data plane can't be asked."""

import pytest

from local.tenant.model import Account
from shared.domain.execution import Outcome
from shared.domain.states import State
from tests.support.driver import Driver
from tests.support.followups import DENY, TAGS, contained, followed, left


@pytest.mark.parametrize(
    ("closed", "why"),
    [(DENY, "network rules"), ({"allowSharedKeyAccess": False}, "shared key access is switched off")],
)
async def test_closed_data_plane_is_proven_by_arm_alone_and_only_after_a_while(
    driver: Driver, closed: dict[str, object], why: str
) -> None:
    account = await driver.account(tags=TAGS, properties=closed)
    finding = await contained(driver, account)
    assert (await followed(driver, finding)).state is State.CONTAINED
    driver.clock.advance(minutes=2, seconds=1)
    record = await followed(driver, finding)
    assert record.verification is not None
    assert record.verification.outcome is Outcome.ARM_ONLY
    assert any(why in line for line in record.verification.evidence)
    assert "by ARM only" in driver.mails(account.name)[-1].body


async def test_firewall_refusal_does_not_verify_a_revoked_key(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account)
    account.properties |= DENY
    record = await followed(driver, finding)
    assert (record.state, record.verification and record.verification.outcome) == (State.CONTAINED, Outcome.PENDING)


async def test_mail_about_a_revocation_waits_briefly_for_its_verification(driver: Driver) -> None:
    account = await driver.account(tags=TAGS, properties=DENY)
    finding = await contained(driver, account)
    await followed(driver, finding)
    assert driver.mails(account.name) == []
    [(delay, attempt)] = left(driver, finding)
    assert (delay <= 30, attempt) == (True, 0)
    driver.clock.advance(minutes=2)
    await followed(driver, finding)
    assert len(driver.mails(account.name)) == 1


async def test_failing_verification_delays_neither_incident_nor_mail_for_long(
    driver: Driver, account: Account
) -> None:
    finding = await contained(driver, account)
    driver.fault("/listKeys", times=None)
    await followed(driver, finding)
    assert len(driver.incidents(finding.fingerprint)) == 1
    driver.clock.advance(minutes=2, seconds=1)
    await followed(driver, finding)
    assert len(driver.mails(account.name)) == 1
