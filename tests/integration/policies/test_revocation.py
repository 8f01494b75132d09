"""A leak under a stored access policy is revoked with its policy, and no key."""

import pytest

from local.network.faults import Effect
from shared.domain.execution import Outcome
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind
from shared.persistence.queues import Message
from tests.support import shares, unusual_leaks
from tests.support.driver import OWNER, Crashed, Driver, Lifetime, ended, found, raw_report, report
from tests.support.leaks import account_sas, share_sas
from tests.support.policy_leaks import SET_ACL, TOMBSTONE, leaked


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
