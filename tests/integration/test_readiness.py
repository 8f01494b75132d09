"""The daily check of each account, against the stand-ins for what Azure has of locks, denials, rights and logs."""

import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from local.cloud.cloud import LocalCloud
from local.network.faults import Effect
from local.tenant.model import STATE_ACCOUNT, SUBSCRIPTION_ID, Account, DenyAssignment
from shared.domain.readiness import Check
from shared.persistence.readiness import AccountCheck
from tests.support.driver import Driver

LOGGED = dict.fromkeys(("blob", "queue", "table", "file"), ("StorageRead", "StorageWrite", "StorageDelete"))
EVERYONE = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(autouse=True)
async def alone(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """No accounts but the test's own: what other tests have left would all be checked."""
    with monkeypatch.context() as patch:
        patch.setattr(cloud.model, "accounts", {STATE_ACCOUNT: cloud.model.accounts[STATE_ACCOUNT]})
        yield
    await cloud.model.keys_changed()


@pytest.fixture
async def account(driver: Driver) -> Account:
    made = await driver.account()
    made.logged |= LOGGED
    return made


async def checked(driver: Driver, account: Account) -> AccountCheck:
    """What a check of all accounts found of this one."""
    await driver.app().background.readiness.run()
    return {check.account: check for check in await driver.app().background.readiness_table.checks()}[account.name]


def troubles(check: AccountCheck) -> list[tuple[Check, bool]]:
    return [(trouble.check, trouble.blocking) for trouble in check.troubles]


async def test_an_account_with_nothing_in_the_way_is_ready(driver: Driver, account: Account) -> None:
    check = await checked(driver, account)

    assert (check.ready, check.troubles) == (True, ())
    assert (check.account_id, check.subscription) == (account.id, SUBSCRIPTION_ID)


async def test_lock_is_logged_in_the_form_that_the_alert_rule_expects(
    driver: Driver, account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    account.locks.append("ReadOnly")

    with caplog.at_level(logging.WARNING):
        check = await checked(driver, account)

    assert (check.ready, troubles(check)) == (False, [(Check.LOCK, True)])
    assert any(line.startswith(f"Not ready: {account.name}: The ReadOnly lock") for line in caplog.messages)


@pytest.fixture
def denied(cloud: LocalCloud, account: Account) -> Iterator[DenyAssignment]:
    """Everyone is kept from writing to the account, as by a deployment stack."""
    denial = DenyAssignment("d1", "stack", account.id, ("Microsoft.Storage/*/action",), EVERYONE)
    cloud.model.deny_assignments.append(denial)
    yield denial
    cloud.model.deny_assignments.remove(denial)


async def test_a_deny_assignment_is_found(driver: Driver, account: Account, denied: DenyAssignment) -> None:
    assert troubles(await checked(driver, account)) == [(Check.DENIAL, True)]


async def test_a_right_that_is_missing_is_found(driver: Driver, cloud: LocalCloud, account: Account) -> None:
    identity = cloud.model.identities["responder"]
    without = {right for right in identity.rights if "regeneratekey" not in right}
    cloud.model.identities["responder"] = replace(identity, rights=frozenset(without))
    try:
        check = await checked(driver, account)
    finally:
        cloud.model.identities["responder"] = identity

    assert (check.ready, troubles(check)) == (False, [(Check.RIGHT, True)])


async def test_closed_network_prevents_verification_and_not_the_revocation(driver: Driver, account: Account) -> None:
    account.properties["networkAcls"] = {"defaultAction": "Deny"}

    check = await checked(driver, account)

    assert (check.ready, troubles(check)) == (True, [(Check.REACH, False)])


async def test_missing_logs_are_found(driver: Driver, account: Account) -> None:
    del account.logged["queue"]

    check = await checked(driver, account)

    assert troubles(check) == [(Check.LOG, False)]
    assert "its queue service" in check.troubles[0].said


async def test_forbidden_logs_are_reported_and_the_rest_is_checked(driver: Driver, account: Account) -> None:
    account.locks.append("ReadOnly")
    driver.fault(f"{account.name}/blobServices/default/providers/Microsoft.Insights", status=403)

    check = await checked(driver, account)

    assert troubles(check) == [(Check.LOCK, True), (Check.LOG, False)]


async def test_account_is_checked_once_a_day(driver: Driver, account: Account) -> None:
    first = await checked(driver, account)
    driver.clock.advance(hours=22)
    same = await checked(driver, account)
    driver.clock.advance(hours=1)
    next_day = await checked(driver, account)

    assert same == first
    assert next_day.at - first.at >= timedelta(hours=23)


async def test_unreadable_item_stops_no_other_and_is_checked_next_time(driver: Driver, account: Account) -> None:
    other = await driver.account()
    driver.fault(f"storageAccounts/{account.name}/providers/Microsoft.Authorization", status=500, times=9)

    await driver.app().background.readiness.run()
    seen = {check.account for check in await driver.app().background.readiness_table.checks()}
    driver.cloud.faults.clear()

    assert (account.name in seen, other.name in seen) == (False, True)
    assert (await checked(driver, account)).ready


async def test_a_subscription_that_can_not_be_listed_raises_nothing(
    driver: Driver, account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    driver.fault("Microsoft.Authorization/locks", status=403)

    await driver.app().background.readiness.run()

    assert f"Not checked: subscription {SUBSCRIPTION_ID} (blocked)" in caplog.text


async def test_an_account_that_is_gone_is_forgotten(driver: Driver, account: Account) -> None:
    await checked(driver, account)
    del driver.cloud.model.accounts[account.name]

    await driver.app().background.readiness.run()

    assert account.name not in {check.account for check in await driver.app().background.readiness_table.checks()}


async def test_own_account_is_no_target_and_not_checked(driver: Driver, account: Account) -> None:
    await checked(driver, account)

    assert STATE_ACCOUNT not in {check.account for check in await driver.app().background.readiness_table.checks()}


async def test_no_key_is_listed_for_it(driver: Driver, account: Account) -> None:
    await checked(driver, account)

    assert driver.requests("/listKeys") == []


async def test_unresponsive_service_is_reported(driver: Driver, account: Account) -> None:
    driver.fault(f"{account.name}.queue.core.windows.net", Effect.RESET, times=2)  # aiohttp asks once more

    check = await checked(driver, account)

    assert troubles(check) == [(Check.REACH, False)]
    assert "its queue service" in check.troubles[0].said
