"""Accounts whose SAS expiration policy has the action Block: Azure refuses a SAS that violates it.

Source: "Configure an expiration policy for shared access signatures" (MicrosoftDocs/azure-docs, 2025-07-30).
"""

from datetime import UTC, datetime, timedelta

import pytest

from local.tenant.model import Account
from shared.domain.execution import Outcome
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.persistence.queues import Message
from tests.support import leaks, user_delegation
from tests.support.driver import Driver, found, raw_report

LONG_AGO = datetime.fromisoformat("2000-01-01T00:00:00+00:00")


def block(account: Account, period: str, *, binding: bool = False) -> None:
    """Give the account a policy with Block; with `binding`, one that blocks unbound user delegation SAS instead."""
    policy = {"sasExpirationPeriod": period, "expirationAction": "Log" if binding else "Block"}
    if binding:
        policy |= {"requireUserBoundUserDelegationSas": True, "requireUserBoundUserDelegationSasAction": "Block"}
    account.set_sas_policy(policy, enforced_from=LONG_AGO)


async def followed_up(driver: Driver, leaked: str) -> Revocation:
    """Return the record of a leak that was reported and revoked, after its follow-up."""
    await driver.app().fast_path.ingest.receive(raw_report(leaked))
    await driver.app().background.follow_up.run(Message(found(leaked).fingerprint))
    return await driver.record(found(leaked).fingerprint)


@pytest.mark.parametrize("period", ["30.00:00:00", "0.00:20:00"])
@pytest.mark.parametrize("leak", [leaks.account_sas, leaks.queue_sas, leaks.table_sas, leaks.share_sas])
async def test_key_of_an_account_that_blocks_is_verified_revoked(
    driver: Driver, leak: leaks.Leak, period: str
) -> None:
    account = await driver.account()
    block(account, period)
    record = await followed_up(driver, leak(account.name, account.keys["key1"]))
    assert record.verification is not None
    assert record.verification.outcome is Outcome.PROVEN
    assert "the same token signed by the new key is accepted" in " ".join(record.verification.evidence)


async def test_policy_that_blocks_later_than_arm_shows_it_changes_nothing(driver: Driver) -> None:
    account = await driver.account()
    account.set_sas_policy(
        {"sasExpirationPeriod": "0.01:00:00", "expirationAction": "Block"},
        enforced_from=datetime.now(UTC) + timedelta(hours=1),
    )
    leaked = leaks.account_sas(account.name, account.keys["key1"])
    record = await followed_up(driver, leaked)
    assert record.verification is not None
    assert record.verification.outcome is Outcome.PROVEN


async def test_delegation_of_an_account_that_blocks_is_verified_revoked(driver: Driver) -> None:
    account = await driver.account()
    block(account, "3.00:00:00")
    leaked = await user_delegation.url(driver, account, start=datetime.now(UTC) - timedelta(minutes=1))
    record = await followed_up(driver, leaked)
    assert record.verification is not None
    assert record.verification.outcome is Outcome.PROVEN


@pytest.mark.parametrize("kind", user_delegation.KINDS)
async def test_delegation_that_the_policy_refuses_is_not_called_revoked(driver: Driver, kind: str) -> None:
    account = await driver.account()
    leaked = await user_delegation.url(driver, account, kind)  # without a start
    block(account, "3.00:00:00")
    await driver.app().fast_path.ingest.receive(raw_report(leaked))
    record = await driver.record(found(leaked).fingerprint)
    assert record.liveness is not None
    assert (record.state, record.liveness.alive) == (State.AWAITING_APPROVAL, None)
    assert "SAS expiration policy" in record.liveness.said


async def test_refusal_by_a_policy_that_arm_does_not_show_yet_is_not_called_revoked(driver: Driver) -> None:
    account = await driver.account()
    leaked = await user_delegation.url(driver, account)
    block(account, "3.00:00:00")
    del account.properties["sasPolicy"]
    await driver.app().fast_path.ingest.receive(raw_report(leaked))
    record = await driver.record(found(leaked).fingerprint)
    assert record.liveness is not None
    assert (record.state, record.liveness.alive) == (State.AWAITING_APPROVAL, None)
    assert "SAS expiration policy" in record.liveness.said


async def test_verification_is_undecided_where_the_policy_refuses_our_own_delegation_tokens(driver: Driver) -> None:
    account = await driver.account()
    leaked = await user_delegation.url(driver, account)
    await driver.app().fast_path.ingest.receive(raw_report(leaked))
    block(account, "3.00:00:00", binding=True)
    driver.clock.advance(minutes=3)
    await driver.app().background.follow_up.run(Message(found(leaked).fingerprint))
    record = await driver.record(found(leaked).fingerprint)
    assert record.verification is not None
    assert record.verification.outcome is Outcome.ARM_ONLY
