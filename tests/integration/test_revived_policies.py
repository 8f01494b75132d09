"""A policy that was ended, and is put back: "Create a service SAS" (REST) says that its tokens are valid again."""

import pytest
from azure.data.tables import UpdateMode

from local.tenant.model import Account, new_storage_key
from shared.domain.finding import Finding
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.persistence.queues import Message
from tests.support import shares
from tests.support.containment import LIST_KEYS
from tests.support.driver import Driver, found, report
from tests.support.followups import TAGS, followed
from tests.support.leaks import account_sas
from tests.support.policy_leaks import TOMBSTONE, get_acl
from tests.support.watched import nothing_watched


@pytest.fixture(autouse=True)
async def none_left(driver: Driver) -> None:
    await nothing_watched(driver)


async def closed(driver: Driver, account: Account) -> Finding:
    """A leak whose policy was ended, and everything done."""
    await shares.under_policies(driver, account, "partners", "suppliers")
    finding = found(shares.leak(account))
    await driver.app().fast_path.ingest.receive(report(finding))
    assert (await followed(driver, finding)).state is State.CLOSED
    driver.cool_down()
    driver.sent.clear()
    return finding


async def put_back(driver: Driver, account: Account) -> None:
    """Somebody's template is deployed again."""
    await shares.under_policies(driver, account, "partners", "suppliers")


async def checked(driver: Driver, finding: Finding, **settings: str) -> Revocation:
    """The record after the daily check, and the message that it sent if any."""
    driver.clock.advance(minutes=2)
    await driver.app().background.daily_rechecks.run()
    if driver.messages("contain", finding.fingerprint):
        await driver.app(**settings).fast_path.containment.resume(Message(finding.fingerprint))
    return await driver.record(finding.fingerprint)


def is_live(account: Account) -> bool:
    return not str(shares.policies(account)["partners"]).startswith(TOMBSTONE)


async def test_policy_that_is_put_back_is_ended_again_within_a_day_and_people_are_notified(driver: Driver) -> None:
    account = await driver.account(tags=TAGS)
    finding = await closed(driver, account)
    before = len(driver.mails(account.name))
    await put_back(driver, account)
    assert is_live(account)
    again = await checked(driver, finding)
    assert (again.state, is_live(account)) == (State.CONTAINED, False)
    assert (await followed(driver, finding)).state is State.CLOSED
    assert len(driver.mails(account.name)) == before + 1
    assert "put back" in " ".join(entry.what for entry in await driver.history(finding.fingerprint))


async def test_policy_that_is_put_back_is_ended_again_at_the_next_report(driver: Driver) -> None:
    account = await driver.account()
    finding = await closed(driver, account)
    await put_back(driver, account)
    driver.clock.advance(minutes=2)
    await driver.app().fast_path.ingest.receive(report(finding))
    assert driver.messages("contain", finding.fingerprint) == [(45.0, 0)]
    await driver.app().fast_path.containment.resume(Message(finding.fingerprint))
    record = await driver.record(finding.fingerprint)
    assert (record.state, is_live(account)) == (State.CONTAINED, False)


async def test_reports_by_the_hundred_check_a_closed_leak_once_a_minute(driver: Driver) -> None:
    account = await driver.account()
    finding = await closed(driver, account)
    app, listed = driver.app(), len(driver.requests(LIST_KEYS))
    for _ in range(20):
        await app.fast_path.containment.resume(Message(finding.fingerprint))
    assert len(driver.requests(LIST_KEYS)) == listed + 1
    driver.clock.advance(minutes=2)
    await app.fast_path.containment.resume(Message(finding.fingerprint))
    assert len(driver.requests(LIST_KEYS)) == listed + 2


async def test_leak_that_another_ones_policy_covered_is_watched_too(driver: Driver) -> None:
    account = await driver.account()
    await shares.under_policies(driver, account, "partners", "suppliers")
    first, second = found(shares.leak(account)), found(shares.leak(account, key="key2"))
    await driver.app().fast_path.store.accounts.add_waiting(second)
    await driver.app().fast_path.store.revocations.claim(second)
    await driver.app().fast_path.ingest.receive(report(first))
    assert (await driver.record(second.fingerprint)).reason is Reason.COVERED
    driver.cool_down()
    driver.sent.clear()
    await put_back(driver, account)
    account.keys["key1"] = new_storage_key()  # the first one can't come back
    await driver.cloud.model.keys_changed()
    again = await checked(driver, second)
    assert (again.state, is_live(account)) == (State.CONTAINED, False)


async def test_revived_policy_asks_where_the_mode_is_approve(driver: Driver) -> None:
    account = await driver.account()
    finding = await closed(driver, account)
    await put_back(driver, account)
    again = await checked(driver, finding, mode="approve")
    assert (again.state, is_live(account)) == (State.AWAITING_APPROVAL, True)
    mails = len(driver.mails(account.name))
    await followed(driver, finding)
    assert len(driver.mails(account.name)) == mails + 1


@pytest.mark.parametrize("what", ["the tombstone stays", "the key is gone", "no network"])
async def test_leak_that_can_not_be_valid_again_stays_closed(driver: Driver, what: str) -> None:
    account = await driver.account()
    finding = await closed(driver, account)
    before = await driver.record(finding.fingerprint)
    if what != "the tombstone stays":
        await put_back(driver, account)
    if what == "the key is gone":
        account.keys["key1"] = new_storage_key()
        await driver.cloud.model.keys_changed()
    if what == "no network":
        driver.fault(get_acl(account), status=503, times=None)
    assert await checked(driver, finding) == before


async def test_observed_leak_that_a_person_revokes_is_verified_by_the_daily_check(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app(mode="observe").fast_path.ingest.receive(report(finding))
    driver.cool_down()
    driver.sent.clear()
    account.keys["key1"] = new_storage_key()
    await driver.cloud.model.keys_changed()
    record = await checked(driver, finding, mode="observe")
    assert record.execution is not None
    assert (record.state, record.execution.is_ours) == (State.CONTAINED, False)


async def test_observed_leak_that_nobody_revokes_is_left_alone(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app(mode="observe").fast_path.ingest.receive(report(finding))
    driver.cool_down()
    driver.sent.clear()
    before = await driver.record(finding.fingerprint)
    assert await checked(driver, finding) == before


async def test_mail_says_who_put_the_policy_back(driver: Driver) -> None:
    account = await driver.account(tags=TAGS)
    account.logged |= {"file": ("StorageWrite",)}
    finding = await closed(driver, account)
    await put_back(driver, account)
    await checked(driver, finding)
    record = await followed(driver, finding)
    assert record.changed_by is not None
    said = "was put back by a client that has key1"
    assert said in str(record.changed_by.said)
    assert said in driver.mails(account.name)[-1].body


async def test_policy_that_comes_back_again_and_again_is_left_to_the_daily_check(driver: Driver) -> None:
    account = await driver.account()
    finding = await closed(driver, account)
    for is_ended in (True, True, True, False):
        await put_back(driver, account)
        driver.clock.advance(seconds=61)
        await driver.app().fast_path.containment.resume(Message(finding.fingerprint))
        assert is_live(account) is not is_ended
        await followed(driver, finding)
    driver.sent.clear()
    await checked(driver, finding)
    assert not is_live(account)


async def test_account_that_has_moved_is_still_watched(driver: Driver) -> None:
    account = await driver.account()
    finding = await closed(driver, account)
    await put_back(driver, account)
    account.resource_group = "moved"
    again = await checked(driver, finding)
    assert (again.state, is_live(account)) == (State.CONTAINED, False)


async def test_policy_that_sasquash_deleted_for_another_leak_was_not_ended_by_somebody_else(driver: Driver) -> None:
    account = await driver.account(tags={"sasquash-policy-removal": "delete"})
    await shares.under_policies(driver, account, "partners", "suppliers")
    observed, acted = found(shares.leak(account)), found(shares.leak(account, key="key2"))
    await driver.app(mode="observe").fast_path.ingest.receive(report(observed))
    driver.cool_down()
    await driver.app().fast_path.ingest.receive(report(acted))
    assert (await driver.record(acted.fingerprint)).state is State.CONTAINED
    driver.cool_down()
    driver.sent.clear()
    after = await checked(driver, observed)
    assert (after.reason, after.execution) == (Reason.POLICY_GONE, None)


async def test_dormant_leak_whose_index_row_an_earlier_version_wrote_is_watched(driver: Driver) -> None:
    account = await driver.account()
    await shares.under_policies(driver, account, "suppliers")
    finding = found(shares.leak(account))
    await driver.app().fast_path.ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).reason is Reason.POLICY_GONE
    table = driver.app().fast_path.state_index._table
    async for row in table.query_entities("PartitionKey eq 'unresolved'"):
        if row["RowKey"].endswith(finding.fingerprint):
            await table.update_entity({k: v for k, v in row.items() if k != "WatchedUntil"}, mode=UpdateMode.REPLACE)
    found_again = [one.fingerprint async for one in driver.app().fast_path.store.revocations.watched()]
    assert found_again.count(finding.fingerprint) == 1
