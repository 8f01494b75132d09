"""Several leaks of one account, several instances."""

import asyncio

import pytest

from shared.domain.finding import Finding
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.persistence.queues import Message
from tests.support import shares
from tests.support.driver import Driver, ended, found, raw_report, report
from tests.support.leaks import account_sas
from tests.support.policy_leaks import LIST_KEYS, REGENERATE, TOMBSTONE, leaked, set_acl

KEYS = ("key1", "key2")


async def drained(driver: Driver, found_: list[Finding], *, apps: int = 3) -> list[Revocation]:
    """The records after several instances have worked off the queue."""
    for _ in range(80):
        records = [await driver.record(finding.fingerprint) for finding in found_]
        left = [record for record in records if record.state is State.RECEIVED]
        if not left:
            return records
        driver.cool_down()
        await asyncio.gather(
            *(driver.app().fast_path.containment.resume(Message(record.fingerprint)) for record in left[:apps])
        )
    raise AssertionError(f"{len(left)} are still received")


async def test_two_instances_at_once_revoke_one_policy_once(driver: Driver) -> None:
    account, text = await leaked(driver)
    both = [text, shares.leak(account, key="key2")]
    await asyncio.gather(*(driver.app().fast_path.ingest.receive(report(found(one))) for one in both))
    records = await drained(driver, [found(one) for one in both])
    assert sorted(record.state for record in records) == [State.CONTAINED, State.DISMISSED]
    assert sum(r.method == "PUT" for r in driver.requests(set_acl(account))) == 2  # the test's own, and one


async def test_two_policies_of_one_share_are_revoked_by_two_instances_at_once(driver: Driver) -> None:
    account, text = await leaked(driver)
    both = [text, shares.leak(account, "suppliers", key="key2")]
    await asyncio.gather(*(driver.app().fast_path.ingest.receive(report(found(one))) for one in both))
    records = await drained(driver, [found(one) for one in both])
    assert [record.state for record in records] == [State.CONTAINED] * 2
    assert all((end or "").startswith(TOMBSTONE) for end in shares.policies(account).values())


async def test_policy_and_key_of_one_account_are_revoked_by_two_instances_at_once(driver: Driver) -> None:
    account, text = await leaked(driver)
    both = [found(text), found(account_sas(account.name, account.keys["key2"]))]
    await asyncio.gather(*(driver.app().fast_path.ingest.receive(report(one)) for one in both))
    records = await drained(driver, both)
    assert [record.state for record in records] == [State.CONTAINED] * 2
    assert [name for name, _ in account.rotations] == ["key2"]


async def test_leak_whose_turn_another_took_has_a_message_of_its_own(driver: Driver) -> None:
    account, text = await leaked(driver)
    policy, key = found(text), found(account_sas(account.name, account.keys["key2"]))
    await left_waiting(driver, policy, key)
    driver.sent.clear()
    await driver.app().fast_path.containment.resume(Message(policy.fingerprint))
    assert (await driver.record(key.fingerprint)).state is State.CONTAINED
    assert (await driver.record(policy.fingerprint)).state is State.RECEIVED
    assert driver.messages("contain", policy.fingerprint) == [(10.0, 0)]
    driver.cool_down()
    await driver.app().fast_path.containment.resume(Message(policy.fingerprint))
    assert (await driver.record(policy.fingerprint)).state is State.CONTAINED


async def test_policy_is_revoked_although_the_action_before_it_was_blocked(driver: Driver) -> None:
    account, text = await leaked(driver)
    policy, key = found(text), found(account_sas(account.name, account.keys["key2"]))
    await left_waiting(driver, policy, key)
    driver.fault(REGENERATE, status=403)
    await driver.app().fast_path.containment.resume(Message(policy.fingerprint))
    assert (await driver.record(key.fingerprint)).reason is Reason.BLOCKED
    assert (await driver.record(policy.fingerprint)).state is State.CONTAINED


@pytest.mark.parametrize("executed", ["suppliers", "key2"])
async def test_tombstone_is_left_although_another_action_ran_first(driver: Driver, executed: str) -> None:
    account, text = await leaked(driver)
    await shares.under_policies(driver, account, "suppliers")
    other = account_sas(account.name, account.keys["key2"]) if executed == "key2" else shares.leak(account, executed)
    await left_waiting(driver, found(text), found(other))
    await driver.app().fast_path.containment.resume(Message(found(other).fingerprint))
    assert (await driver.record(found(other).fingerprint)).state is State.CONTAINED
    record = await ended(driver, found(text).fingerprint)
    assert (record.reason, "A tombstone was left" in record.detail) == (Reason.POLICY_GONE, True)
    assert (shares.policies(account)["partners"] or "").startswith(TOMBSTONE)


async def left_waiting(driver: Driver, *several: Finding) -> None:
    """Have findings received and durable, and nothing done about them."""
    driver.fault(LIST_KEYS, times=None)
    for finding in several:
        await driver.app().fast_path.ingest.receive(report(finding))
    driver.cloud.faults.clear()
    driver.cool_down()


async def test_flood_of_leaks_under_many_policies_ends_each_of_them_once(driver: Driver) -> None:
    account = await driver.account()
    names = [f"share{number}" for number in range(4)]
    for name in names:
        await shares.under_policies(driver, account, *"abcde", share=name)
    texts = [
        shares.leak(account, policy, share=name, key=key) for name in names for policy in "abcde" for key in KEYS
    ]
    flood = [found(text) for text in texts]
    await driver.app().fast_path.ingest.receive(raw_report("\n".join(texts)))
    records = await drained(driver, flood)
    assert len(records) == 40
    assert sum(record.execution is not None for record in records) == 20  # more than are read under one lock
    assert {record.reason for record in records if record.execution is None} == {Reason.COVERED}
    ends = [end for name in names for end in shares.policies(account, name).values()]
    assert all((end or "").startswith(TOMBSTONE) for end in ends)
    assert [key for key in await driver.rows(account.name) if key.startswith("waiting")] == []


async def test_leaks_of_two_policies_are_ended_under_one_lock_with_keys_listed_once(driver: Driver) -> None:
    account = await driver.account()
    await shares.under_policies(driver, account, "partners", "suppliers")
    both = [found(shares.leak(account, policy)) for policy in ("partners", "suppliers")]
    await left_waiting(driver, *both)
    listed = len(driver.requests(LIST_KEYS))
    await driver.app().fast_path.containment.resume(Message(both[0].fingerprint))
    states = [(await driver.record(finding.fingerprint)).state for finding in both]
    assert (states, len(driver.requests(LIST_KEYS)) - listed) == ([State.CONTAINED] * 2, 1)
