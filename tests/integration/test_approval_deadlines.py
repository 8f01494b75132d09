"""A plan that nobody decides on in time: escalated, or revoked where the settings allow it, and only once."""

import asyncio
from collections.abc import Awaitable

import pytest

from local.tenant.model import Account
from shared.domain.approval import AtDeadline
from shared.domain.caller import Caller
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.errors import SasquashError, WrongState
from shared.persistence.queues import Message
from tests.support import unusual_leaks
from tests.support.containment import rotated
from tests.support.driver import OWNER, Crashed, Driver, Lifetime, found, report
from tests.support.leaks import account_sas

BOB = Caller("bob@contoso.com", "00000000-0000-4000-8000-00000000000b", is_person=True)
EVE = Caller("eve@contoso.com", "00000000-0000-4000-8000-00000000000e", is_person=True)
TAGS = {"sasquash-owner": OWNER}


@pytest.fixture(autouse=True)
async def quiet(driver: Driver) -> None:
    """The sweep checks nothing but what the test makes."""
    await driver.nothing_open()


async def waiting(driver: Driver, account: Account, **settings: str) -> Revocation:
    """The record of a leak whose plan waits for a person."""
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app(mode="approve", **settings).fast_path.ingest.receive(report(finding))
    record = await driver.record(finding.fingerprint)
    assert record.state is State.AWAITING_APPROVAL
    return record


async def overdue(driver: Driver, record: Revocation, *, hours: float = 4.1, at_deadline: str = "") -> Revocation:
    driver.clock.advance(hours=hours)
    await driver.app(at_deadline=at_deadline or record.at_deadline).background.sweeper.run()
    return await driver.record(record.fingerprint)


async def test_undecided_plan_is_escalated(driver: Driver) -> None:
    account = await driver.account(tags=TAGS)
    record = await waiting(driver, account)
    after = await overdue(driver, record)
    assert (after.state, after.reason, rotated(account)) == (State.UNRESOLVED, Reason.UNDECIDED, [])


async def test_escalation_is_mailed_to_whom_the_settings_name(driver: Driver) -> None:
    account = await driver.account(tags=TAGS)
    record = await waiting(driver, account)
    await overdue(driver, record)
    await driver.app(escalation_mailbox="lead@contoso.com").background.follow_up.run(Message(record.fingerprint))
    [mail] = driver.mails(account.name)
    assert ("lead@contoso.com" in mail.cc, mail.to, "NO DECISION BEFORE THE DEADLINE" in mail.subject) == (
        True,
        (OWNER,),
        True,
    )


async def test_plan_is_not_settled_before_its_deadline(driver: Driver) -> None:
    account = await driver.account()
    record = await waiting(driver, account)
    assert (await overdue(driver, record, hours=3.9)).state is State.AWAITING_APPROVAL


async def test_proven_plan_is_revoked_where_the_settings_say_so(driver: Driver) -> None:
    account = await driver.account(tags=TAGS)
    record = await waiting(driver, account, at_deadline="revoke")
    assert record.at_deadline is AtDeadline.REVOKE
    await overdue(driver, record)
    await driver.app(mode="approve", at_deadline="revoke").fast_path.containment.resume(Message(record.fingerprint))
    after = await driver.record(record.fingerprint)
    assert (after.state, rotated(account)) == (State.CONTAINED, ["key1"])
    assert after.approval is not None
    assert after.approval.by is None


async def test_mail_about_a_plan_says_what_comes_at_its_deadline(driver: Driver) -> None:
    account = await driver.account(tags=TAGS)
    record = await waiting(driver, account, at_deadline="revoke")
    await driver.app(at_deadline="revoke").background.follow_up.run(Message(record.fingerprint))
    [mail] = driver.mails(account.name)
    assert "it is revoked without approval" in mail.body


async def test_plan_is_escalated_where_the_setting_has_become_stricter(driver: Driver) -> None:
    account = await driver.account(tags=TAGS)
    record = await waiting(driver, account, at_deadline="revoke")
    after = await overdue(driver, record, at_deadline="escalate")
    assert (after.state, after.reason, rotated(account)) == (State.UNRESOLVED, Reason.UNDECIDED, [])


async def test_plan_is_escalated_although_the_setting_has_become_laxer(driver: Driver) -> None:
    account = await driver.account(tags=TAGS)
    record = await waiting(driver, account)
    after = await overdue(driver, record, at_deadline="revoke")
    assert (after.state, after.reason, rotated(account)) == (State.UNRESOLVED, Reason.UNDECIDED, [])


async def test_approval_by_the_deadline_is_void_where_the_setting_becomes_stricter_before_it_runs(
    driver: Driver,
) -> None:
    account = await driver.account(tags=TAGS)
    record = await waiting(driver, account, at_deadline="revoke")
    assert (await overdue(driver, record)).state is State.RECEIVED
    await driver.app(mode="approve").fast_path.containment.resume(Message(record.fingerprint))
    after = await driver.record(record.fingerprint)
    assert (after.state, after.approval, rotated(account)) == (State.AWAITING_APPROVAL, None, [])


async def test_people_read_what_will_happen_by_the_setting_of_now(driver: Driver) -> None:
    account = await driver.account(tags=TAGS)
    record = await waiting(driver, account, at_deadline="revoke")
    await driver.app().background.follow_up.run(Message(record.fingerprint))
    [mail] = driver.mails(account.name)
    assert "the plan is escalated and nothing is revoked" in mail.body
    assert (await driver.record(record.fingerprint)).at_deadline is AtDeadline.ESCALATE
    said = [entry.what for entry in await driver.history(record.fingerprint)]
    assert any(each.startswith("SASQUASH_AT_DEADLINE is escalate now") for each in said)


async def test_user_delegation_sas_is_never_revoked_by_a_deadline(driver: Driver) -> None:
    account = await driver.account()
    finding = found(unusual_leaks.user_delegation_sas(account.name, ""))
    await driver.app(at_deadline="revoke").fast_path.ingest.receive(report(finding))
    record = await driver.record(finding.fingerprint)
    assert (record.state, record.at_deadline) == (State.AWAITING_APPROVAL, AtDeadline.ESCALATE)


async def test_second_key_is_never_revoked_by_a_deadline(driver: Driver) -> None:
    account = await driver.account()
    app = driver.app(at_deadline="revoke")
    await app.fast_path.ingest.receive(report(found(account_sas(account.name, account.keys["key1"]))))
    driver.cool_down()
    second = found(account_sas(account.name, account.keys["key2"]))
    await app.fast_path.ingest.receive(report(second))
    record = await driver.record(second.fingerprint)
    assert (record.state, record.at_deadline) == (State.AWAITING_APPROVAL, AtDeadline.ESCALATE)


async def test_deadline_does_not_lift_a_limit_that_applies_by_then(driver: Driver) -> None:
    account = await driver.account()
    record = await waiting(driver, account, at_deadline="revoke")
    driver.clock.advance(hours=3)
    await driver.app().fast_path.ingest.receive(report(found(account_sas(account.name, account.keys["key2"]))))
    assert rotated(account) == ["key2"]
    await overdue(driver, record, hours=1.1)
    await driver.app(mode="approve", at_deadline="revoke").fast_path.containment.resume(Message(record.fingerprint))
    after = await driver.record(record.fingerprint)
    assert (after.state, after.at_deadline, rotated(account)) == (
        State.AWAITING_APPROVAL,
        AtDeadline.ESCALATE,
        ["key2"],
    )


async def test_deadline_does_not_lift_the_mode_observe(driver: Driver) -> None:
    account = await driver.account()
    record = await waiting(driver, account, at_deadline="revoke")
    await overdue(driver, record)
    await driver.app(mode="observe").fast_path.containment.resume(Message(record.fingerprint))
    assert ((await driver.record(record.fingerprint)).state, rotated(account)) == (State.OBSERVED, [])


async def test_approval_that_comes_after_the_deadline_is_refused(driver: Driver) -> None:
    account = await driver.account()
    record = await waiting(driver, account)
    await overdue(driver, record)
    assert record.plan is not None
    with pytest.raises(WrongState):
        await driver.app().http.revocations.approve(
            record.fingerprint, digest=record.plan.digest, reason="Late.", caller=BOB
        )


async def test_decision_that_comes_first_counts(driver: Driver) -> None:
    account = await driver.account()
    record = await waiting(driver, account)
    for person in (BOB, EVE):
        await driver.app().http.revocations.reject(record.fingerprint, reason="A test.", caller=person)
    after = await overdue(driver, record)
    assert (after.state, after.reason) == (State.DISMISSED, Reason.REJECTED)


async def test_rejection_by_one_of_two_stops_no_deadline_that_was_announced(driver: Driver) -> None:
    account = await driver.account()
    record = await waiting(driver, account, at_deadline="revoke")
    await driver.app().http.revocations.reject(record.fingerprint, reason="A test.", caller=BOB)
    await overdue(driver, record)
    await driver.app(at_deadline="revoke").fast_path.containment.resume(Message(record.fingerprint))
    assert ((await driver.record(record.fingerprint)).state, rotated(account)) == (State.CONTAINED, ["key1"])


@pytest.mark.parametrize("at_deadline", ["escalate", "revoke"])
async def test_sweeps_and_people_at_once_decide_once(driver: Driver, at_deadline: str) -> None:
    account = await driver.account()
    record = await waiting(driver, account, at_deadline=at_deadline)
    driver.clock.advance(hours=4.1)
    app = driver.app(mode="approve", at_deadline=at_deadline)
    acts: list[Awaitable[object]] = [driver.app(at_deadline=at_deadline).background.sweeper.run() for _ in range(3)]
    acts.append(app.http.revocations.reject(record.fingerprint, reason="A test.", caller=BOB))
    outcomes = await asyncio.gather(*acts, return_exceptions=True)
    assert all(outcome is None or isinstance(outcome, Revocation | SasquashError) for outcome in outcomes)
    await app.fast_path.containment.resume(Message(record.fingerprint))
    after = await driver.record(record.fingerprint)
    decisions = [change for change in after.changes if change.reason in (Reason.UNDECIDED, Reason.REJECTED)]
    decisions += [change for change in after.changes[1:] if change.state is State.RECEIVED]
    assert (len(decisions), len(rotated(account)) <= 1) == (1, True)


async def test_undecided_plan_is_asked_about_anew_after_a_retry(driver: Driver) -> None:
    account = await driver.account()
    record = await waiting(driver, account)
    await overdue(driver, record)
    again = await driver.app(mode="approve").http.revocations.retry(record.fingerprint, reason="Now.", caller=BOB)
    assert again.state is State.AWAITING_APPROVAL
    assert again.deadline is not None
    assert again.deadline > driver.clock()


@pytest.mark.parametrize("at_deadline", ["escalate", "revoke"])
@pytest.mark.parametrize("carried_out", [False, True])
async def test_crash_at_any_call_leaves_the_rest_to_others(
    driver: Driver, at_deadline: str, *, carried_out: bool
) -> None:
    number, crashed = 0, True
    while crashed:
        number += 1
        await driver.nothing_open()  # a sweep of all that was open before takes as many calls more
        account = await driver.account(tags=TAGS)
        record = await waiting(driver, account, at_deadline=at_deadline, approval_hours="1")
        driver.clock.advance(hours=1.1)
        life, crashed = Lifetime(ends_at=number, carried_out=carried_out), False
        try:
            await driver.app(life, at_deadline=at_deadline).background.sweeper.run()
        except Crashed:
            crashed = True
        driver.clock.advance(minutes=21)
        app = driver.app(mode="approve", at_deadline=at_deadline)
        await app.background.sweeper.run()
        await app.fast_path.containment.resume(Message(record.fingerprint))
        after = await driver.record(record.fingerprint)
        expected = (State.CONTAINED, ["key1"]) if at_deadline == "revoke" else (State.UNRESOLVED, [])
        assert (after.state, rotated(account)) == expected, f"crashed at call {number}"
        await app.background.follow_up.run(Message(record.fingerprint))
    assert number > 3
