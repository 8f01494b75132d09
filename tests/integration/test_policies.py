"""Stored access policies, revoked by a whole app: once, only where allowed, and always recorded."""

import asyncio

import pytest

from local.network.faults import Effect
from local.tenant.model import Account
from shared.domain import finding as findings
from shared.domain.caller import Caller
from shared.domain.finding import Finding
from shared.domain.revocation import Outcome, Reason, Revocation, State
from shared.domain.target import ActionKind
from shared.persistence.queues import Message
from tests.support import shares, unusual_leaks
from tests.support.deployment import Deployment
from tests.support.driver import OWNER, Crashed, Driver, Lifetime, ended, found, raw_report, report
from tests.support.leaks import account_sas, blob_sas, share_sas
from tests.support.patience import PATIENCE
from tests.support.policy_resources import PLACES, REFUSED

TOMBSTONE = "2000-01-01"
SET_ACL = "comp=acl"
LIST_KEYS = "/listKeys"
REGENERATE = "/regenerateKey"
KEYS = ("key1", "key2")
ADA = Caller("ada@contoso.com", "00000000-0000-4000-8000-00000000000a")


async def leaked(
    driver: Driver, *, properties: dict[str, object] | None = None, tag: str = ""
) -> tuple[Account, str]:
    """An account whose file share has two policies, and a leak under one of them."""
    account = await driver.account(properties=properties, tags={"sasquash-policy-removal": tag} if tag else None)
    await shares.under_policies(driver, account, "partners", "suppliers")
    return account, shares.leak(account)


# --- stored access policies


async def test_policy_is_ended_and_no_key_is_touched(driver: Driver) -> None:
    account, text = await leaked(driver)
    finding = found(text)
    await driver.app().fast_path.ingest.receive(report(finding))
    record = await driver.record(finding.fingerprint)
    assert (record.state, record.execution and record.execution.action) == (State.CONTAINED, ActionKind.STORED_POLICY)
    ends = shares.policies(account)
    assert (ends["partners"] or "").startswith(TOMBSTONE)
    assert not (ends["suppliers"] or TOMBSTONE).startswith(TOMBSTONE)
    assert account.rotations == []


async def test_record_says_what_the_policy_granted(driver: Driver) -> None:
    _, text = await leaked(driver)
    finding = found(text)
    await driver.app().fast_path.ingest.receive(report(finding))
    record = await driver.record(finding.fingerprint)
    assert (record.policy and record.policy.permissions) == "rw"


async def test_policy_is_deleted_where_the_account_s_tag_asks_for_it(driver: Driver) -> None:
    account, text = await leaked(driver, tag="delete")
    await driver.app().fast_path.ingest.receive(report(found(text)))
    assert list(shares.policies(account)) == ["suppliers"]


async def test_revoked_policy_is_verified_and_the_case_closes(driver: Driver) -> None:
    account, text = await leaked(driver)
    account.tags["sasquash-owner"] = OWNER
    finding = found(text)
    await driver.app().fast_path.ingest.receive(report(finding))
    before = await driver.record(finding.fingerprint)
    await driver.app().background.follow_up.run(Message(finding.fingerprint))
    record = await driver.record(finding.fingerprint)
    assert before.execution is not None
    assert record.execution is not None
    assert record.verification is not None
    assert (record.state, record.verification.outcome) == (State.CLOSED, Outcome.PROVEN)
    assert (len(before.execution.verification_tokens), record.execution.verification_tokens) == (1, ())
    [mail] = driver.mails(account.name)
    assert mail.to == (OWNER,)


async def test_policy_recreated_before_verification_fails(driver: Driver) -> None:
    account, text = await leaked(driver)
    await driver.app().fast_path.ingest.receive(report(found(text)))
    await shares.under_policies(driver, account, "partners")
    await driver.app().background.follow_up.run(Message(found(text).fingerprint))
    assert (await driver.record(found(text).fingerprint)).state is State.CONTAINED
    driver.clock.advance(minutes=3)
    await driver.app().background.follow_up.run(Message(found(text).fingerprint))
    record = await driver.record(found(text).fingerprint)
    assert (record.state, record.reason) == (State.FAILED, Reason.STILL_ALIVE)


async def test_two_leaks_of_one_policy_end_it_once(driver: Driver) -> None:
    _, text = await leaked(driver)
    other = text.replace("/readme.txt?", "/another.txt?")
    both = {found(one).fingerprint for one in (text, other)}
    await driver.app().fast_path.ingest.receive(raw_report(f"{text}\n{other}\n"))
    states = sorted([(await ended(driver, fingerprint)).state for fingerprint in both])
    assert states in ([State.CONTAINED], [State.CONTAINED, State.DISMISSED])
    assert len(driver.requests(f"PUT https://{found(text).credential.host}/homes?restype=share&{SET_ACL}")) == 2


async def test_leak_of_a_policy_is_covered_when_its_key_is_rotated(driver: Driver) -> None:
    account, text = await leaked(driver)
    policy, key = found(text), found(account_sas(account.name, account.keys["key1"]))
    driver.fault("/listKeys", times=3)
    await driver.app().fast_path.ingest.receive(report(policy))
    driver.cloud.faults.clear()
    driver.cool_down()
    await driver.app().fast_path.ingest.receive(report(key))
    record = await driver.record(policy.fingerprint)
    assert (record.state, record.reason) == (State.DISMISSED, Reason.COVERED)
    assert not any((end or "").startswith(TOMBSTONE) for end in shares.policies(account).values())


async def test_policy_and_the_other_key_are_both_ended(driver: Driver) -> None:
    account, text = await leaked(driver)
    key = found(share_sas(account.name, account.keys["key2"]))
    await driver.app().fast_path.ingest.receive(
        raw_report(f"{text}\n{share_sas(account.name, account.keys['key2'])}")
    )
    assert (await ended(driver, found(text).fingerprint)).state is State.CONTAINED
    assert (await ended(driver, key.fingerprint)).state is State.CONTAINED
    assert [name for name, _ in account.rotations] == ["key2"]


@pytest.mark.parametrize(("ids", "reason"), [(("suppliers",), Reason.POLICY_GONE), ((), Reason.POLICY_GONE)])
async def test_policy_that_is_gone_is_dormant_under_a_tombstone(
    driver: Driver, ids: tuple[str, ...], reason: Reason
) -> None:
    account, text = await leaked(driver)
    await shares.under_policies(driver, account, *ids)
    finding = found(text)
    await driver.app().fast_path.ingest.receive(report(finding))
    record = await driver.record(finding.fingerprint)
    assert (record.state, record.reason, record.execution) == (State.UNRESOLVED, reason, None)
    assert (shares.policies(account)["partners"] or "").startswith(TOMBSTONE)


async def test_observing_leaves_no_tombstone(driver: Driver) -> None:
    account, text = await leaked(driver)
    await shares.under_policies(driver, account, "suppliers")
    await driver.app(mode="observe").fast_path.ingest.receive(report(found(text)))
    assert list(shares.policies(account)) == ["suppliers"]


async def test_policy_behind_a_firewall_is_ended_through_arm(driver: Driver) -> None:
    account, text = await leaked(driver)
    account.properties["publicNetworkAccess"] = "Disabled"
    finding = found(text)
    await driver.app().fast_path.ingest.receive(report(finding))
    record = await driver.record(finding.fingerprint)
    assert record.state is State.CONTAINED, record.detail
    assert (shares.policies(account)["partners"] or "").startswith(TOMBSTONE)


async def test_container_s_policy_behind_a_firewall_asks_a_person_for_a_rotation(driver: Driver) -> None:
    account = await driver.account(properties={"publicNetworkAccess": "Disabled"})
    finding = found(unusual_leaks.under_a_policy(account.name, account.keys["key1"]))
    await driver.app().fast_path.ingest.receive(report(finding))
    record = await driver.record(finding.fingerprint)
    assert (record.state, record.plan and record.plan.action) == (State.AWAITING_APPROVAL, ActionKind.ACCOUNT_KEY)
    assert account.rotations == []


@pytest.mark.parametrize("carried_out", [False, True])
async def test_crash_at_any_call_leaves_the_policy_revoked_and_recorded(driver: Driver, carried_out: bool) -> None:
    number = 0
    while True:
        number += 1
        account, text = await leaked(driver)
        one = report(found(text))
        life = Lifetime(ends_at=number, carried_out=carried_out)
        try:
            await driver.app(life).fast_path.ingest.receive(one)
        except Crashed:
            driver.clock.advance(minutes=1)
            await driver.app().fast_path.ingest.receive(one)  # it was not acknowledged
        if not life.ended:
            break
        record = await ended(driver, found(text).fingerprint)
        assert (record.state, account.rotations) == (State.CONTAINED, []), (
            f"stopped at call {number}: {record.detail}"
        )
        assert (shares.policies(account)["partners"] or "").startswith(TOMBSTONE)
    assert number > 12


@pytest.mark.parametrize("effect", [Effect.STATUS, Effect.RESET])
@pytest.mark.parametrize("after", [False, True])
async def test_lost_answer_of_a_policy_s_end_is_settled(driver: Driver, effect: Effect, after: bool) -> None:
    _, text = await leaked(driver)
    finding = found(text)
    driver.fault("PUT https://" + (finding.credential.host or ""), effect, after=after)
    await driver.app().fast_path.ingest.receive(report(finding))
    assert (await ended(driver, finding.fingerprint)).state is State.CONTAINED


# --- where a policy may be


@pytest.mark.parametrize("kind", PLACES)
async def test_token_is_revoked_with_its_policy_on_every_kind_of_resource(driver: Driver, kind: str) -> None:
    account = await driver.account()
    place = PLACES[kind](Deployment(driver.cloud), account, "models")
    await place.make()
    url = place.url(policy="partners")
    await driver.app().fast_path.ingest.receive(report(found(url)))
    record = await driver.record(found(url).fingerprint)
    assert (record.state, account.rotations) == (State.CONTAINED, []), record.detail
    assert await place.answer(url) == REFUSED
    assert await place.answer(place.url(policy="suppliers")) == (None, None)


async def test_leak_whose_share_is_deleted_is_dormant(driver: Driver) -> None:
    account, text = await leaked(driver)
    account.shares.clear()
    account.policies.clear()
    await driver.app().fast_path.ingest.receive(report(found(text)))
    record = await driver.record(found(text).fingerprint)
    assert (record.state, record.reason) == (State.UNRESOLVED, Reason.POLICY_GONE)
    assert "its resource does not exist either" in record.detail


async def test_share_that_is_deleted_while_its_policy_is_being_ended_leaves_a_dormant_record(driver: Driver) -> None:
    account, text = await leaked(driver)

    async def delete() -> None:
        account.shares.clear()
        account.policies.clear()

    record = await meanwhile(driver, account, text, delete())
    assert (record.state, record.reason) == (State.UNRESOLVED, Reason.POLICY_GONE)


# --- others change it at the same time


def set_acl(account: Account) -> str:
    return f"PUT https://{account.name}.file.core.windows.net/homes?restype=share&{SET_ACL}"


def get_acl(account: Account) -> str:
    return f"GET https://{account.name}.file.core.windows.net/homes?restype=share&{SET_ACL}"


async def meanwhile(driver: Driver, account: Account, text: str, others: object) -> Revocation:
    """The record, where `others` happens after the app has read the policies, and before it has made a plan."""
    life = Lifetime(stops_at=get_acl(account), carried_out=True)
    containing = asyncio.create_task(driver.app(life).fast_path.ingest.receive(report(found(text))))
    await life.stopped.wait()
    await others  # type: ignore[misc]
    life.go.set()
    await containing
    return await ended(driver, found(text).fingerprint)


async def test_policy_that_somebody_removes_in_between_is_dormant_under_a_tombstone(driver: Driver) -> None:
    account, text = await leaked(driver)
    record = await meanwhile(driver, account, text, shares.under_policies(driver, account, "suppliers"))
    assert (record.state, record.reason) == (State.UNRESOLVED, Reason.POLICY_GONE)
    assert (shares.policies(account)["partners"] or "").startswith(TOMBSTONE)
    assert not (shares.policies(account)["suppliers"] or TOMBSTONE).startswith(TOMBSTONE)


async def test_policy_that_somebody_makes_anew_in_between_is_ended_as_it_is_then(driver: Driver) -> None:
    account, text = await leaked(driver)
    record = await meanwhile(
        driver, account, text, shares.under_policies(driver, account, "partners", "suppliers", days=90)
    )
    assert record.state is State.CONTAINED
    assert (shares.policies(account)["partners"] or "").startswith(TOMBSTONE)


async def test_policy_recreated_while_its_tombstone_is_written_is_revoked(driver: Driver) -> None:
    account, text = await leaked(driver)
    await shares.under_policies(driver, account, "suppliers")
    record = await meanwhile(driver, account, text, shares.under_policies(driver, account, "partners", "suppliers"))
    assert (record.state, record.execution is None) == (State.CONTAINED, False), record.detail
    assert (shares.policies(account)["partners"] or "").startswith(TOMBSTONE)


async def approve(driver: Driver, record: Revocation) -> Revocation:
    assert record.plan is not None
    console = driver.app(mode="approve").http.revocations
    return await console.approve(record.fingerprint, digest=record.plan.digest, reason="Yes.", caller=ADA)


async def awaiting(driver: Driver, text: str) -> Revocation:
    await driver.app(mode="approve").fast_path.ingest.receive(report(found(text)))
    record = await driver.record(found(text).fingerprint)
    assert (record.state, record.plan and record.plan.action) == (State.AWAITING_APPROVAL, ActionKind.STORED_POLICY)
    return record


async def test_approved_end_of_a_policy_is_carried_out(driver: Driver) -> None:
    account, text = await leaked(driver)
    record = await awaiting(driver, text)
    await shares.under_policies(driver, account, "others", share="elsewhere")  # of no concern
    assert (await approve(driver, record)).state is State.CONTAINED
    assert (shares.policies(account)["partners"] or "").startswith(TOMBSTONE)


async def test_approval_goes_stale_with_the_policy(driver: Driver) -> None:
    account, text = await leaked(driver)
    record = await awaiting(driver, text)
    await shares.under_policies(driver, account, "partners", days=90)
    after = await approve(driver, record)
    assert (after.state, "the plan has changed since" in after.detail) == (State.AWAITING_APPROVAL, True)
    assert not (shares.policies(account)["partners"] or TOMBSTONE).startswith(TOMBSTONE)
    assert (await approve(driver, after)).state is State.CONTAINED


async def test_approval_outlives_a_change_of_its_neighbors(driver: Driver) -> None:
    account, text = await leaked(driver)
    record = await awaiting(driver, text)
    account.policies["file", "homes"] = account.policies["file", "homes"][:1]  # the other one is removed
    assert (await approve(driver, record)).state is State.CONTAINED


# --- several leaks, several instances


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


# --- a data plane that is slow, refuses, or can't be heard


async def test_slow_data_plane_leaves_the_rest_to_the_queue(driver: Driver) -> None:
    account, text = await leaked(driver)
    [reported] = findings.in_text(text, source="x", url=None, detected_at=driver.clock())
    driver.fault(set_acl(account), Effect.NONE, delay_ms=600)
    await driver.app().fast_path.containment.take(reported, patience=0.4)
    assert (await driver.record(found(text).fingerprint)).state is State.RECEIVED
    record = await ended(driver, found(text).fingerprint)
    assert (record.state, record.execution is None) == (State.CONTAINED, False)


async def test_key_that_the_data_plane_no_longer_takes_is_read_again(driver: Driver) -> None:
    account, text = await leaked(driver)
    driver.fault(get_acl(account), status=403, code="AuthenticationFailed")
    await driver.app().fast_path.ingest.receive(report(found(text)))
    record = await driver.record(found(text).fingerprint)
    assert record.state is State.RECEIVED
    assert (await ended(driver, record.fingerprint)).state is State.CONTAINED


async def test_read_only_lock_that_hides_the_keys_is_a_failure_that_names_it(driver: Driver) -> None:
    account, text = await leaked(driver)
    account.locks.append("ReadOnly")
    await driver.app().fast_path.ingest.receive(report(found(text)))
    record = await driver.record(found(text).fingerprint)
    assert (record.state, record.reason, "ReadOnly lock" in record.detail) == (State.FAILED, Reason.BLOCKED, True)


async def test_read_only_lock_that_came_after_the_keys_were_listed_does_not_stop_the_data_plane(
    driver: Driver,
) -> None:
    account, text = await leaked(driver)
    life = Lifetime(stops_at=get_acl(account))
    containing = asyncio.create_task(driver.app(life).fast_path.ingest.receive(report(found(text))))
    await life.stopped.wait()
    account.locks.append("ReadOnly")
    life.go.set()
    await containing
    assert (await driver.record(found(text).fingerprint)).state is State.CONTAINED


async def test_policy_behind_a_firewall_that_opens_again_is_proven_on_the_data_plane(driver: Driver) -> None:
    account, text = await leaked(driver)
    account.properties["publicNetworkAccess"] = "Disabled"
    await driver.app().fast_path.ingest.receive(report(found(text)))
    await driver.app().background.follow_up.run(Message(found(text).fingerprint))
    assert (await driver.record(found(text).fingerprint)).state is State.CONTAINED
    account.properties["publicNetworkAccess"] = "Enabled"
    await driver.app().background.follow_up.run(Message(found(text).fingerprint))
    record = await driver.record(found(text).fingerprint)
    assert record.verification is not None
    assert (record.state, record.verification.outcome) == (State.CLOSED, Outcome.PROVEN)


async def test_write_with_a_lost_answer_is_recorded_by_the_next_holder(
    driver: Driver,
) -> None:
    account, text = await leaked(driver)
    life = Lifetime(stops_at=set_acl(account))
    containing = asyncio.create_task(driver.app(life).fast_path.ingest.receive(report(found(text))))
    await life.stopped.wait()
    driver.fault(set_acl(account), Effect.RESET, after=True)
    driver.fault(get_acl(account), times=2)
    life.go.set()
    await containing
    record = await ended(driver, found(text).fingerprint)
    assert (record.state, record.execution is None) == (State.CONTAINED, False), record.detail


# --- the lock of an instance that stopped, or that lost it


async def interrupted(driver: Driver, account: Account, text: str, at: str, *, carried_out: bool = True) -> None:
    """Stop an instance at the call `at`, when the lock says what for; then let the lock expire."""
    life = Lifetime(stops_at=at, carried_out=carried_out)
    task = asyncio.create_task(driver.app(life).fast_path.ingest.receive(report(found(text))))
    await life.stopped.wait()
    async with asyncio.timeout(PATIENCE):
        while 'attributed":[{' not in (await driver.rows(account.name))["lock"]["Intent"]:
            pass
    life.ended = True
    life.go.set()
    with pytest.raises(Crashed):
        await task
    driver.clock.advance(minutes=4)


@pytest.mark.parametrize("action", ["policy", "key"])
async def test_recovery_is_repeated_after_a_read_without_answer(driver: Driver, action: str) -> None:
    account, text = await leaked(driver)
    text = text if action == "policy" else blob_sas(account.name, account.keys["key1"])
    await interrupted(driver, account, text, set_acl(account) if action == "policy" else REGENERATE)
    driver.fault(LIST_KEYS, times=3)
    await driver.app().fast_path.containment.resume(Message(found(text).fingerprint))
    driver.cloud.faults.clear()
    record = await ended(driver, found(text).fingerprint)
    assert (record.state, record.execution is None) == (State.CONTAINED, False), record.detail


async def test_recovered_policy_revocation_names_the_signing_key(driver: Driver) -> None:
    account, _ = await leaked(driver)
    text = shares.leak(account, key="key2")
    await interrupted(driver, account, text, set_acl(account))
    record = await ended(driver, found(text).fingerprint)
    assert (record.key_name, record.key_sha256 is None) == ("key2", False)
    assert record.attributed_at is not None


async def test_policy_removed_by_others_after_a_crash_is_not_taken_for_our_execution(driver: Driver) -> None:
    account, text = await leaked(driver)
    await interrupted(driver, account, text, set_acl(account), carried_out=False)
    await shares.under_policies(driver, account, "suppliers")
    record = await ended(driver, found(text).fingerprint)
    assert (record.reason, record.execution) == (Reason.POLICY_GONE, None)
    assert (shares.policies(account)["partners"] or "").startswith(TOMBSTONE)


async def test_instance_that_lost_its_lock_revokes_nothing_twice(driver: Driver) -> None:
    account, text = await leaked(driver)
    finding = found(text)
    life = Lifetime(stops_at=set_acl(account))
    slow = asyncio.create_task(driver.app(life).fast_path.ingest.receive(report(finding)))
    await life.stopped.wait()
    driver.clock.advance(minutes=4)
    await driver.app().fast_path.containment.resume(Message(finding.fingerprint))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED
    life.go.set()
    await slow
    record = await driver.record(finding.fingerprint)
    assert [change.state for change in record.changes] == [State.RECEIVED, State.CONTAINED]
    assert (shares.policies(account)["partners"] or "").startswith(TOMBSTONE)
    assert not (shares.policies(account)["suppliers"] or TOMBSTONE).startswith(TOMBSTONE)
