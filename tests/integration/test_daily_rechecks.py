"""The daily check of leaks whose stored access policy is missing or expired, and of open ones."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from azure.storage.blob import AccessPolicy, ContainerSasPermissions, generate_container_sas
from azure.storage.blob.aio import ContainerClient

from local.cloud.cloud import LocalCloud
from local.tenant.model import Account, new_storage_key
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.persistence.queues import Message
from tests.support import unusual_leaks
from tests.support.cloud_clients import options
from tests.support.driver import Crashed, Driver, Lifetime, found, report
from tests.support.watched import dismiss, nothing_watched

LIST_KEYS = "/listKeys"
GET_ACL = "comp=acl"

type Container = Callable[[Account, AccessPolicy | None], Awaitable[None]]


@pytest.fixture
def container(cloud: LocalCloud) -> Container:
    """Gives an account the container `models`, with the policy `partners` as it is passed, or without one."""

    async def given(account: Account, policy: AccessPolicy | None) -> None:
        url = f"https://{account.name}.blob.core.windows.net"
        async with ContainerClient(url, "models", credential=account.keys["key2"], **options(cloud)) as client:
            if not await client.exists():
                await client.create_container()
            await client.set_container_access_policy({} if policy is None else {"partners": policy})

    return given


def live() -> AccessPolicy:
    return policy_until(datetime.now(UTC) + timedelta(days=30))


def policy_until(end: datetime) -> AccessPolicy:
    return AccessPolicy(permission=ContainerSasPermissions(read=True, write=True), expiry=end)


def over() -> AccessPolicy:
    return policy_until(datetime.now(UTC) - timedelta(days=1))


async def dormant(
    driver: Driver, account: Account, text: str | None = None, *, reason: Reason = Reason.POLICY_EXPIRED
) -> Revocation:
    """The record of a leak whose policy is over, or missing."""
    finding = found(text or unusual_leaks.under_a_policy(account.name, account.keys["key1"]))
    await driver.app().fast_path.ingest.receive(report(finding))
    driver.cool_down()
    record = await driver.record(finding.fingerprint)
    assert (record.state, record.reason, record.key_name) == (State.UNRESOLVED, reason, "key1")
    driver.sent.clear()
    return record


def under_a_policy(account: Account, **fields: datetime) -> str:
    """A token under the policy, with times of its own."""
    query = generate_container_sas(
        account.name, "models", account_key=account.keys["key1"], policy_id="partners", **fields
    )
    return f"https://{account.name}.blob.core.windows.net/models?{query}"


@pytest.fixture(autouse=True)
async def none_left(driver: Driver) -> None:
    """Records of other tests are not checked: their accounts' keys are what the tests made of them."""
    await nothing_watched(driver)


async def test_re_created_policy_is_ended(driver: Driver, container: Container) -> None:
    account = await driver.account()
    await container(account, None)
    record = await dormant(driver, account, reason=Reason.POLICY_GONE)
    await container(account, live())
    await driver.app().background.daily_rechecks.run()
    after = await driver.record(record.fingerprint)
    assert (after.state, after.detail) == (
        State.RECEIVED,
        "Its policy was re-created: blob/models/partners accepts the leaked token again.",
    )
    assert driver.messages("contain", record.fingerprint) == [(45.0, 0), (0.0, 0)]
    await driver.app().fast_path.containment.resume(Message(record.fingerprint))
    done = await driver.record(record.fingerprint)
    assert (done.state, account.rotations) == (State.CONTAINED, [])
    assert [key for key in await driver.rows(account.name) if key.startswith("waiting")] == []


async def test_expired_policy_that_was_extended_is_evaluated_again(driver: Driver, container: Container) -> None:
    account = await driver.account()
    await container(account, over())
    record = await dormant(driver, account)
    await container(account, live())
    await driver.app().background.daily_rechecks.run()
    assert (await driver.record(record.fingerprint)).state is State.RECEIVED


@pytest.mark.parametrize("still_there", [False, True], ids=["missing", "over"])
async def test_policy_that_refuses_the_token_still_leaves_the_record_alone(
    driver: Driver, container: Container, still_there: bool
) -> None:
    account = await driver.account()
    await container(account, over())
    record = await dormant(driver, account)
    await container(account, over() if still_there else None)
    await driver.app().background.daily_rechecks.run()
    assert await driver.record(record.fingerprint) == record
    assert driver.sent == []


async def test_token_of_a_regenerated_key_is_revoked(driver: Driver, container: Container) -> None:
    account = await driver.account()
    await container(account, over())
    record = await dormant(driver, account)
    account.keys["key1"] = new_storage_key()
    await driver.cloud.model.keys_changed()
    await container(account, live())
    await driver.app().background.daily_rechecks.run()
    after = await driver.record(record.fingerprint)
    assert (after.state, after.reason) == (State.DISMISSED, Reason.COVERED)
    assert f"key1 of {account.name}" in after.detail
    assert driver.messages("follow-up", record.fingerprint) == [(0.0, 0)]
    assert driver.requests(GET_ACL)[-1].method == "PUT"  # the test's own: nobody read the policy


async def test_key_that_signs_nothing_of_it_may_change(driver: Driver, container: Container) -> None:
    account = await driver.account()
    await container(account, over())
    record = await dormant(driver, account)
    account.keys["key2"] = new_storage_key()
    await driver.cloud.model.keys_changed()
    await driver.app().background.daily_rechecks.run()
    assert await driver.record(record.fingerprint) == record


async def test_expired_token_is_not_live_and_azure_is_not_asked(driver: Driver, container: Container) -> None:
    account = await driver.account()
    await container(account, over())
    text = under_a_policy(account, expiry=datetime.now(UTC) + timedelta(hours=1))
    record = await dormant(driver, account, text)
    driver.clock.advance(hours=2)
    listed = len(driver.requests(LIST_KEYS))
    await driver.app().background.daily_rechecks.run()
    after = await driver.record(record.fingerprint)
    assert (after.state, after.reason) == (State.DISMISSED, Reason.EXPIRED)
    assert driver.messages("follow-up", record.fingerprint) == [(0.0, 0)]
    assert len(driver.requests(LIST_KEYS)) == listed


async def test_unreadable_record_stops_no_other(
    driver: Driver, container: Container, caplog: pytest.LogCaptureFixture
) -> None:
    accounts = [await driver.account() for _ in range(3)]
    records = []
    for account in accounts:
        await container(account, over())
        records.append(await dormant(driver, account))
        await container(account, live())
    driver.fault(f"{accounts[1].name}{LIST_KEYS}", status=403, times=None)
    with caplog.at_level(logging.WARNING):
        await driver.app().background.daily_rechecks.run()
    states = [(await driver.record(record.fingerprint)).state for record in records]
    assert states == [State.RECEIVED, State.UNRESOLVED, State.RECEIVED]
    assert records[1].fingerprint[:12] in caplog.text
    driver.cloud.faults.clear()
    await driver.app().background.daily_rechecks.run()  # the next day
    assert (await driver.record(records[1].fingerprint)).state is State.RECEIVED


async def test_account_that_can_t_be_reached_is_left_for_the_next_day(driver: Driver, container: Container) -> None:
    account = await driver.account()
    await container(account, over())
    record = await dormant(driver, account)
    await container(account, live())
    account.properties["networkAcls"] = {"defaultAction": "Deny"}
    await driver.app().background.daily_rechecks.run()
    assert await driver.record(record.fingerprint) == record


async def test_keys_are_listed_once_for_all_dormant_leaks_of_an_account(driver: Driver, container: Container) -> None:
    account = await driver.account()
    await container(account, over())
    for days in (1, 2, 3):
        await dormant(driver, account, under_a_policy(account, start=datetime.now(UTC) - timedelta(days=days)))
    listed = len(driver.requests(LIST_KEYS))
    await driver.app().background.daily_rechecks.run()
    assert len(driver.requests(LIST_KEYS)) == listed + 1


async def test_order_for_a_missing_policy_is_left_to_people(driver: Driver, container: Container) -> None:
    account = await driver.account()
    await container(account, over())
    record = await dormant(driver, account)
    finding = replace(record.finding, credential=None, fingerprint=record.fingerprint[::-1])
    ledger = driver.app().fast_path.store.revocations
    order, _ = await ledger.claim(finding)
    order = await ledger.save(replace(record, finding=finding, etag=order.etag), what="")
    await container(account, live())
    await driver.app().background.daily_rechecks.run()
    assert await driver.record(order.fingerprint) == order


async def test_record_that_moved_on_meanwhile_is_left_to_who_moved_it(driver: Driver, container: Container) -> None:
    account = await driver.account()
    await container(account, over())
    record = await dormant(driver, account)
    await container(account, live())
    life = Lifetime(stops_at="/contain/messages")
    checking = asyncio.create_task(driver.app(life).background.daily_rechecks.run())
    await life.stopped.wait()
    await dismiss(driver, record)
    life.go.set()
    await checking
    assert (await driver.record(record.fingerprint)).reason is Reason.REJECTED
    await driver.app().fast_path.containment.resume(Message(record.fingerprint))  # what was sent before
    assert list(await driver.rows(account.name)) == ["lock"]


@pytest.mark.parametrize("after", [False, True])
async def test_check_after_a_crash_at_any_call_is_repeated(driver: Driver, container: Container, after: bool) -> None:
    number = 0
    while True:
        number += 1
        account = await driver.account()
        await container(account, over())
        record = await dormant(driver, account)
        await container(account, live())
        life = Lifetime(ends_at=number, carried_out=after)
        with contextlib.suppress(Crashed):
            await driver.app(life).background.daily_rechecks.run()
        stands = await driver.record(record.fingerprint)
        if stands.state is State.UNRESOLVED:
            await driver.app().background.daily_rechecks.run()  # the next day
            stands = await driver.record(record.fingerprint)
        assert stands.state is State.RECEIVED, f"crashed at call {number}"
        assert driver.messages("contain", record.fingerprint), f"crashed at call {number}"
        await dismiss(driver, record)
        if not life.ended:
            break
    assert number > 6
