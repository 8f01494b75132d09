"""What Azure refuses is tried again: after 1, 5, 15 and 60 minutes, then daily; and nothing is decided too early."""

import pytest

from local.network.faults import Effect
from local.tenant.model import Account, new_storage_key
from shared.domain.execution import Outcome
from shared.domain.finding import Finding
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.persistence.queues import Message
from tests.support import shares
from tests.support.arm_people import by_arm
from tests.support.containment import LIST_KEYS, REGENERATE, rotated
from tests.support.decisions import BOB, approved_by, awaiting, digest_of, ordered
from tests.support.driver import Crashed, Driver, Lifetime, found, report
from tests.support.followups import TAGS, followed
from tests.support.leaks import account_sas, later, raw_key
from tests.support.policy_leaks import get_acl, leaked, set_acl


async def resumed(driver: Driver, finding: Finding, **settings: str) -> Revocation:
    """The record after its next message is processed."""
    await driver.app(**settings).fast_path.containment.resume(Message(finding.fingerprint))
    return await driver.record(finding.fingerprint)


async def reported(driver: Driver, text: str, life: Lifetime | None = None) -> Finding:
    finding = found(text)
    await driver.app(life).fast_path.ingest.receive(report(finding))
    return finding


# --- a refusal that passes


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "Whatever"),
        (401, "ExpiredAuthenticationToken"),
        (403, "AuthorizationFailed"),
        (404, "ResourceNotFound"),
        (409, "Conflict"),
        (412, "PreconditionFailed"),
    ],
)
@pytest.mark.parametrize("refused", [LIST_KEYS, REGENERATE])
async def test_leak_is_revoked_once_a_refusal_passes(driver: Driver, refused: str, status: int, code: str) -> None:
    """Statuses that "Troubleshoot common Azure deployment errors" lists as passing, and all others."""
    account = await driver.account()
    driver.fault(refused, status=status, code=code)
    finding = await reported(driver, account_sas(account.name, account.keys["key1"]))
    first = await driver.record(finding.fingerprint)
    if status != 404:  # an account that does not exist is searched for instead
        assert (first.state, first.reason) == (State.FAILED, Reason.BLOCKED)
    driver.clock.advance(minutes=6)
    assert ((await resumed(driver, finding)).state, rotated(account)) == (State.CONTAINED, ["key1"])


async def test_people_are_notified_at_once_and_not_again_for_the_same_cause(driver: Driver) -> None:
    account = await driver.account(tags=TAGS)
    fault = driver.fault(REGENERATE, status=403, code="AuthorizationFailed", times=None)
    finding = await reported(driver, account_sas(account.name, account.keys["key1"]))
    for minutes in (0, 1, 5, 15, 60, 24 * 60, 24 * 60):
        driver.clock.advance(minutes=minutes)
        await resumed(driver, finding)
        await followed(driver, finding)
    assert (fault.hits, len(driver.mails(account.name))) == (7, 1)
    [incident] = driver.incidents(finding.fingerprint)
    assert "403 AuthorizationFailed" in str(incident.fields)


async def test_message_that_comes_too_early_tries_nothing(driver: Driver) -> None:
    account = await driver.account()
    fault = driver.fault(REGENERATE, status=403, times=None)
    finding = await reported(driver, account_sas(account.name, account.keys["key1"]))
    driver.clock.advance(seconds=30)
    assert (await resumed(driver, finding)).state is State.FAILED
    assert fault.hits == 1
    assert (60.0, 0) in driver.messages("contain", finding.fingerprint)


async def test_sweep_finds_the_attempt_of_the_next_day(driver: Driver) -> None:
    account = await driver.account()
    account.locks.append("ReadOnly")
    await driver.nothing_open()
    finding = await reported(driver, account_sas(account.name, account.keys["key1"]))
    await followed(driver, finding)
    account.locks.clear()
    driver.sent.clear()
    driver.clock.advance(hours=23)
    await driver.app().background.sweeper.run()
    assert driver.messages("contain", finding.fingerprint) == []
    driver.clock.advance(hours=1, minutes=1)
    await driver.app().background.sweeper.run()
    assert driver.messages("contain", finding.fingerprint) == [(0.0, 0)]
    assert ((await resumed(driver, finding)).state, rotated(account)) == (State.CONTAINED, ["key1"])


async def test_approval_holds_through_refusals_and_reports(driver: Driver) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    driver.fault(REGENERATE, status=403, times=2)
    await driver.app().http.revocations.approve(
        record.fingerprint, digest=digest_of(record), reason="Ours.", caller=BOB
    )
    assert (await driver.record(record.fingerprint)).reason is Reason.BLOCKED
    driver.clock.advance(minutes=2)
    await driver.app().fast_path.ingest.receive(report(record.finding))  # by anyone
    driver.clock.advance(minutes=5)
    assert ((await resumed(driver, record.finding)).state, rotated(account)) == (State.CONTAINED, ["key1"])


async def test_token_that_expired_meanwhile_is_dismissed(driver: Driver) -> None:
    account = await driver.account()
    driver.fault(LIST_KEYS, status=403, times=None)
    finding = await reported(driver, account_sas(account.name, account.keys["key1"], expiry=later(2)))
    for _ in range(3):
        driver.clock.advance(days=1)
        record = await resumed(driver, finding)
    assert (record.state, record.reason) == (State.DISMISSED, Reason.EXPIRED)


# --- a rotation whose answer was lost, and then a refusal


async def lost(driver: Driver, account: Account, *, how: str) -> Finding:
    """A leak whose key was regenerated, but nothing says so: the answer was lost, or the host ended."""
    text = account_sas(account.name, account.keys["key1"])
    if how == "host ended":
        finding = found(text)
        with pytest.raises(Crashed):
            await driver.app(Lifetime(ends_at=1, counting=REGENERATE, carried_out=True)).fast_path.ingest.receive(
                report(finding)
            )
    else:
        driver.fault(REGENERATE, Effect.RESET, after=True)
        driver.fault(LIST_KEYS, status=503, times=None)
        finding = await reported_after_one_list(driver, text)
    driver.cloud.faults.clear()
    account.key_created["key1"] = driver.clock()
    return finding


async def reported_after_one_list(driver: Driver, text: str) -> Finding:
    driver.cloud.faults.clear()
    driver.fault(REGENERATE, Effect.RESET, after=True)
    driver.fault(LIST_KEYS, Effect.NONE)
    driver.fault(LIST_KEYS, status=503, times=None)
    return await reported(driver, text)


@pytest.mark.parametrize("how", ["host ended", "answer lost"])
@pytest.mark.parametrize("refusal", ["listing keys", "a lock", "a day of failures"])
async def test_rotation_is_recorded_whatever_was_refused_after_it(driver: Driver, how: str, refusal: str) -> None:
    account = await driver.account(tags=TAGS)
    finding = await lost(driver, account, how=how)
    driver.clock.advance(minutes=4)
    if refusal == "a day of failures":
        driver.fault(LIST_KEYS, status=503, times=None)
        driver.clock.advance(hours=25)
    elif refusal == "listing keys":
        driver.fault(LIST_KEYS, status=403, times=None)
    else:
        account.locks.append("ReadOnly")
        driver.fault(LIST_KEYS, status=409, code="ScopeLocked", times=None)
    refused = await resumed(driver, finding)
    assert (refused.state, refused.reason) == (State.FAILED, Reason.BLOCKED)
    driver.cloud.faults.clear()
    account.locks.clear()
    driver.clock.advance(hours=25)
    settled = await resumed(driver, finding)
    assert (settled.state, rotated(account)) == (State.CONTAINED, ["key1"])
    assert settled.execution is not None
    assert settled.execution.is_ours
    rows = await driver.rows(account.name)
    assert [key.partition("~")[0] for key in rows if "~" in key] == ["rotation"]
    assert (await followed(driver, finding)).state is State.CLOSED
    assert driver.mails(account.name)


async def test_second_key_asks_a_person_after_a_rotation_that_was_settled_late(driver: Driver) -> None:
    account = await driver.account()
    finding = await lost(driver, account, how="host ended")
    driver.clock.advance(minutes=4)
    driver.fault(LIST_KEYS, status=403)
    assert (await resumed(driver, finding)).reason is Reason.BLOCKED
    other = await reported(driver, account_sas(account.name, account.keys["key2"]))
    assert (await driver.record(other.fingerprint)).state is State.AWAITING_APPROVAL
    assert ((await driver.record(finding.fingerprint)).state, rotated(account)) == (State.CONTAINED, ["key1"])


async def test_other_leaks_do_not_wait_for_a_policy_that_azure_does_not_show(driver: Driver) -> None:
    account, text = await leaked(driver)
    finding = found(text)
    life = Lifetime(ends_at=1, counting=set_acl(account), carried_out=True)
    with pytest.raises(Crashed):
        await driver.app(life).fast_path.ingest.receive(report(finding))
    driver.clock.advance(minutes=4)
    get = f"GET https://{account.name}.file"
    driver.fault(get, status=403, code="AuthorizationFailure", times=None)
    driver.fault("/fileServices/", status=403, times=None)
    key = await reported(driver, raw_key(account.name, account.keys["key2"]))
    driver.clock.advance(minutes=1)
    await resumed(driver, key)
    assert (await driver.record(key.fingerprint)).state is State.CONTAINED
    driver.cloud.faults.clear()
    driver.clock.advance(hours=25)
    settled = await resumed(driver, finding)
    assert settled.execution is not None
    assert (settled.state, settled.execution.confirmed_by) == (State.CONTAINED, "listing")


async def test_leak_of_which_it_is_open_what_was_done_is_not_decided_with_others(driver: Driver) -> None:
    """Azure refuses to show its policy until just after it was asked what a predecessor did."""
    account, text = await leaked(driver)
    finding = found(text)
    life = Lifetime(ends_at=1, counting=set_acl(account), carried_out=True)
    with pytest.raises(Crashed):
        await driver.app(life).fast_path.ingest.receive(report(finding))
    driver.clock.advance(minutes=4)
    key = found(raw_key(account.name, account.keys["key2"]))
    driver.fault(LIST_KEYS, status=403, times=2)
    await driver.app().fast_path.ingest.receive(report(key))  # keeps what the predecessor may have done
    driver.clock.advance(minutes=2)
    driver.fault(get_acl(account), status=403, code="AuthorizationFailure", times=2)
    driver.fault("/fileServices/", status=403, times=2)
    assert (await resumed(driver, key)).state is State.CONTAINED
    assert (await driver.record(finding.fingerprint)).state is State.RECEIVED
    driver.clock.advance(minutes=2)
    settled = await resumed(driver, finding)
    assert settled.execution is not None
    assert (settled.state, settled.execution.target) == (State.CONTAINED, "file/homes/partners")


async def test_leak_whose_predecessor_azure_refuses_to_explain_is_revoked_at_once(driver: Driver) -> None:
    account, text = await leaked(driver)
    life = Lifetime(ends_at=1, counting=set_acl(account), carried_out=True)
    with pytest.raises(Crashed):
        await driver.app(life).fast_path.ingest.receive(report(found(text)))
    driver.clock.advance(minutes=4)
    driver.fault(get_acl(account), status=403, code="AuthorizationFailure", times=None)
    driver.fault("/fileServices/", status=403, times=None)
    key = await reported(driver, raw_key(account.name, account.keys["key2"]))
    assert (await driver.record(key.fingerprint)).state is State.CONTAINED
    assert [name for name in await driver.rows(account.name) if name.startswith("unsettled~")]


async def test_rotation_by_a_person_after_a_lost_call_is_not_ours(driver: Driver) -> None:
    """The call was never carried out; Azure refused to say so until a person had rotated the key."""
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    with pytest.raises(Crashed):
        await driver.app(Lifetime(ends_at=1, counting=REGENERATE)).fast_path.ingest.receive(report(finding))
    driver.clock.advance(minutes=4)
    driver.fault(LIST_KEYS, status=403, times=1)
    assert (await resumed(driver, finding)).reason is Reason.BLOCKED
    driver.clock.advance(hours=25)
    await by_hand(driver, account)
    settled = await resumed(driver, finding)
    assert settled.execution is not None
    assert (settled.state, settled.execution.is_ours) == (State.CONTAINED, False)
    assert [key for key in await driver.rows(account.name) if key.startswith("rotation")] == []


# --- revoked by hand


@pytest.mark.parametrize("retried", [True, False], ids=["retried", "by itself"])
async def test_leak_whose_key_a_person_rotated_as_asked_is_verified_and_closed(driver: Driver, retried: bool) -> None:
    account = await driver.account(tags=TAGS)
    driver.fault(REGENERATE, status=403, code="RequestDisallowedByPolicy", times=None)
    finding = await reported(driver, account_sas(account.name, account.keys["key1"]))
    await followed(driver, finding)
    await by_hand(driver, account)
    if retried:
        driver.clock.advance(minutes=2)
        record = await driver.app().http.revocations.retry(finding.fingerprint, reason="Done.", caller=BOB)
    else:
        driver.clock.advance(hours=25)
        record = await resumed(driver, finding)
    assert (record.state, record.execution is not None and record.execution.is_ours) == (State.CONTAINED, False)
    closed = await followed(driver, finding)
    assert (closed.state, rotated(account)) == (State.CLOSED, [])
    assert closed.verification is not None
    assert closed.verification.outcome is Outcome.ARM_ONLY
    assert "somebody else" in driver.mails(account.name)[-1].body
    assert [key for key in await driver.rows(account.name) if key.startswith("rotation")] == []


async def by_hand(driver: Driver, account: Account, key: str = "key1") -> None:
    """A person regenerates a key."""
    account.keys[key] = new_storage_key()
    account.key_created[key] = driver.clock()
    await driver.cloud.model.keys_changed()


async def test_leak_of_a_key_that_sasquash_rotated_for_another_leak_meanwhile_is_covered(driver: Driver) -> None:
    account = await driver.account()
    driver.fault(REGENERATE, status=403)
    finding = await reported(driver, account_sas(account.name, account.keys["key1"]))
    driver.cool_down()
    other = await reported(driver, account_sas(account.name, account.keys["key1"], expiry=later(7)))
    assert (await driver.record(other.fingerprint)).state is State.CONTAINED
    driver.clock.advance(minutes=5)
    record = await resumed(driver, finding)
    assert (record.state, record.reason, rotated(account)) == (State.DISMISSED, Reason.COVERED, ["key1"])


async def test_forged_token_is_not_called_revoked_by_hand(driver: Driver) -> None:
    account = await driver.account()
    finding = await reported(driver, account_sas(account.name, new_storage_key()))
    await by_hand(driver, account)
    driver.clock.advance(minutes=2)
    record = await driver.app().http.revocations.retry(finding.fingerprint, reason="Done.", caller=BOB)
    assert record.reason is Reason.NO_KEY_MATCHES


async def test_leak_whose_policy_a_person_ended_is_verified(driver: Driver) -> None:
    account, text = await leaked(driver)
    driver.fault(set_acl(account), status=403, code="AuthorizationFailed", times=None)
    driver.fault("/fileServices/", status=403, times=None)
    finding = await reported(driver, text)
    assert (await driver.record(finding.fingerprint)).reason is Reason.BLOCKED
    driver.cloud.faults.clear()
    await shares.under_policies(driver, account, "suppliers")  # without "partners"
    driver.clock.advance(hours=25)
    record = await resumed(driver, finding)
    assert (record.state, record.execution is not None and record.execution.is_ours) == (State.CONTAINED, False)
    assert (await followed(driver, finding)).state is State.CLOSED


async def test_approved_plan_whose_key_was_rotated_by_hand_runs_nothing(driver: Driver) -> None:
    account = await driver.account()
    record = await ordered(driver, account)
    await by_hand(driver, account)
    after = await approved_by(driver, record, BOB)
    assert (after.state, rotated(account)) == (State.AWAITING_APPROVAL, [])


async def test_mail_says_who_rotated_the_key_by_hand(driver: Driver) -> None:
    account = await driver.account(tags=TAGS)
    driver.fault(REGENERATE, status=403, code="RequestDisallowedByPolicy", times=1)
    finding = await reported(driver, account_sas(account.name, account.keys["key1"]))
    await followed(driver, finding)
    await by_arm(driver, "POST", f"{account.id}/regenerateKey", {"keyName": "key1"})
    driver.clock.advance(minutes=2)
    await driver.app().http.revocations.retry(finding.fingerprint, reason="Done.", caller=BOB)
    closed = await followed(driver, finding)
    assert closed.changed_by is not None
    said = str(closed.changed_by.said)
    assert "key1 was regenerated by developer@contoso.com" in said
    assert said in driver.mails(account.name)[-1].body


async def test_who_rotated_the_key_is_looked_up_again_once_the_log_has_it(driver: Driver) -> None:
    account = await driver.account(tags=TAGS)
    driver.fault(REGENERATE, status=403, code="RequestDisallowedByPolicy", times=1)
    finding = await reported(driver, account_sas(account.name, account.keys["key1"]))
    await followed(driver, finding)
    await by_arm(driver, "POST", f"{account.id}/regenerateKey", {"keyName": "key1"})
    late = [event for event in driver.cloud.model.activity if event.resource == account.id]
    driver.cloud.model.activity[:] = [event for event in driver.cloud.model.activity if event not in late]
    driver.clock.advance(minutes=2)
    await driver.app().http.revocations.retry(finding.fingerprint, reason="Done.", caller=BOB)
    first = await followed(driver, finding)
    driver.cloud.model.activity.extend(late)
    driver.clock.advance(minutes=21)
    second = await followed(driver, finding)
    assert (first.changed_by, second.changed_by) != (None, None)
    assert "By whom is unknown" in str(first.changed_by.said if first.changed_by else "")
    assert "by developer@contoso.com" in str(second.changed_by.said if second.changed_by else "")
    [incident] = driver.incidents(finding.fingerprint)
    assert "developer@contoso.com" in str(incident.fields)
