"""Orders take two people in all, and so does the rejection of a severe leak that works."""

import asyncio
from dataclasses import replace

import pytest

from local.network.faults import Effect
from local.reporters import reports
from local.tenant.model import Account, new_storage_key
from shared.domain.alert import AlertReference, AlertSource
from shared.domain.approval import AtDeadline, EvidenceOutcome
from shared.domain.caller import Caller
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.errors import NotAPerson, NotPermitted, SasquashError, WrongState
from shared.followup.briefing.build import brief
from shared.operations import approval_deadlines
from shared.persistence.queues import Message
from tests.support import user_delegation
from tests.support.decisions import ADA, BOB, EVE, approved_by, digest_of, evidence, ordered, rotated
from tests.support.driver import OWNER, Driver, found, report
from tests.support.leaks import account_sas

APP = replace(BOB, is_person=False)
DAN = Caller("dan@contoso.com", "00000000-0000-4000-8000-00000000000d", is_person=True)


async def followed(driver: Driver, record: Revocation) -> Revocation:
    await driver.app().background.follow_up.run(Message(record.fingerprint))
    return await driver.record(record.fingerprint)


# Who approves


async def test_evidence_is_acted_on_after_two_approvals_and_people_hear_of_the_first(driver: Driver) -> None:
    account = await driver.account()
    record = await followed(driver, await evidence(driver, account, alert=defender(driver, account)))
    once = await approved_by(driver, record, BOB)
    await followed(driver, once)
    assert (once.state, rotated(account), once.deadline) == (State.AWAITING_APPROVAL, [], record.deadline)
    done = await approved_by(driver, record, EVE)
    assert (done.state, rotated(account)) == (State.CONTAINED, ["key1"])
    assert [approval.by for approval in done.approvals] == [BOB, EVE]
    first, second = driver.mails(account.name)
    assert "It takes two approvers." in first.body
    assert "1 of 2 approvals is there, by bob@contoso.com" in second.body
    said = [(entry.who, entry.what) for entry in await driver.history(record.fingerprint)]
    assert [who for who, what in said if what.startswith("Approved")] == [str(BOB), str(EVE)]


async def test_one_person_is_not_two(driver: Driver) -> None:
    account = await driver.account()
    record = await approved_by(driver, await evidence(driver, account), BOB)
    with pytest.raises(NotPermitted):
        await approved_by(driver, record, replace(BOB, name="Robert"))
    assert (await driver.record(record.fingerprint)).state is State.AWAITING_APPROVAL


async def test_application_approves_neither_order_nor_leak(driver: Driver) -> None:
    account = await driver.account()
    record = await ordered(driver, account)
    with pytest.raises(NotAPerson):
        await approved_by(driver, record, APP)
    with pytest.raises(NotAPerson):
        await driver.app().http.revocations.reject(record.fingerprint, reason="No.", caller=APP)


async def test_caller_of_the_intake_does_not_count(driver: Driver) -> None:
    account = await driver.account()
    record = await evidence(driver, account, submitted_by=BOB.object_id)
    with pytest.raises(NotPermitted):
        await approved_by(driver, record, BOB)
    await approved_by(driver, record, EVE)
    assert (await approved_by(driver, record, ADA)).state is State.CONTAINED


async def test_made_up_evidence_for_both_keys_rotates_one(driver: Driver) -> None:
    """The second approval of the second key goes stale with the rotation of the first."""
    account = await driver.account()
    one, two = [await evidence(driver, account, key) for key in ("key1", "key2")]
    await approved_by(driver, two, BOB)
    await approved_by(driver, one, BOB)
    await approved_by(driver, one, EVE)
    driver.cool_down()
    after = await approved_by(driver, two, EVE)
    assert (after.state, after.approvals, rotated(account)) == (State.AWAITING_APPROVAL, (), ["key1"])
    assert "the plan has changed since" in after.detail
    assert digest_of(after) != digest_of(two)


async def test_delegation_sas_that_azure_was_not_asked_about_takes_two_approvers(driver: Driver) -> None:
    account = await driver.account()
    finding = found(await user_delegation.url(driver, account))
    await driver.app().fast_path.ingest.receive(report(finding))
    record = await driver.record(finding.fingerprint)
    driver.cool_down()
    assert (await approved_by(driver, record, BOB)).state is State.AWAITING_APPROVAL
    assert (await approved_by(driver, record, EVE)).state is State.CONTAINED


# At once


async def test_two_people_at_once_are_two_approvals(driver: Driver) -> None:
    account = await driver.account()
    record = await evidence(driver, account)
    await asyncio.gather(*(approved_by(driver, record, person) for person in (BOB, EVE)))
    assert rotated(account) == ["key1"]


async def test_twenty_approvals_of_one_person_at_once_are_one(driver: Driver) -> None:
    account = await driver.account()
    record = await evidence(driver, account)
    outcomes = await asyncio.gather(*(approved_by(driver, record, BOB) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(outcome, Revocation) for outcome in outcomes) == 1
    assert all(isinstance(outcome, Revocation | NotPermitted) for outcome in outcomes)
    assert rotated(account) == []


async def test_second_approval_and_a_rejection_at_once_come_to_one_decision(driver: Driver) -> None:
    account = await driver.account()
    record = await approved_by(driver, await evidence(driver, account), BOB)
    service = driver.app().http.revocations
    outcomes = await asyncio.gather(
        approved_by(driver, record, EVE),
        service.reject(record.fingerprint, reason="Made up.", caller=DAN),
        return_exceptions=True,
    )
    stands = await driver.record(record.fingerprint)
    assert sum(isinstance(outcome, WrongState) for outcome in outcomes) == 1
    assert (stands.state, rotated(account)) in [(State.CONTAINED, ["key1"]), (State.DISMISSED, [])]


# The deadline


async def test_second_approval_that_never_comes_is_named_and_the_first_is_kept(driver: Driver) -> None:
    account = await driver.account()
    record = await approved_by(driver, await followed(driver, await evidence(driver, account)), BOB)
    await followed(driver, record)
    driver.clock.advance(hours=4.1)
    await approval_deadlines.settle(driver.app().fast_path.store, record, setting=AtDeadline.REVOKE)
    ended = await followed(driver, record)
    assert (ended.state, ended.reason, rotated(account)) == (State.UNRESOLVED, Reason.UNDECIDED, [])
    mail = driver.mails(account.name)[-1].body
    assert "a second approver is missing: a person with the role Sasquash.Approver" in mail
    with pytest.raises(WrongState):
        await approved_by(driver, record, EVE)
    again = await driver.app().http.revocations.retry(record.fingerprint, reason="Late.", caller=ADA)
    assert (again.state, again.first_approval) == (State.AWAITING_APPROVAL, record.first_approval)
    assert (await approved_by(driver, again, EVE)).state is State.CONTAINED


async def test_first_approval_is_dropped_when_the_retried_plan_is_another(driver: Driver) -> None:
    account = await driver.account()
    record = await approved_by(driver, await evidence(driver, account, "key1"), BOB)
    driver.clock.advance(hours=4.1)
    account.keys["key2"] = new_storage_key()
    await driver.cloud.model.keys_changed()
    again = await driver.app().http.revocations.retry(record.fingerprint, reason="Late.", caller=ADA)
    assert (again.state, again.first_approval) == (State.AWAITING_APPROVAL, None)


# Evidence is read again


GRAPH_ALERTS = "GET https://graph.microsoft.com/v1.0/security/alerts_v2"


def defender(driver: Driver, account: Account, key: str = "key1") -> AlertReference:
    """An alert that Defender has, about a token that `key` signed."""
    text = account_sas(account.name, account.keys[key])
    reports.make(driver.cloud.model, driver.cloud.entra, source="defender", text=text)
    return AlertReference(AlertSource.DEFENDER, "", driver.cloud.model.alerts.defender[-1].id)


async def check_of(driver: Driver, account: Account, alert: AlertReference | None) -> tuple[EvidenceOutcome, str]:
    """What a record says of evidence for key1, once people were asked; mails and incidents say the same."""
    record = await followed(driver, await evidence(driver, account, "key1", alert=alert))
    check = record.evidence_check
    assert check is not None
    assert check.said in str(brief(record, now=driver.clock()))
    return check.outcome, check.said


async def test_evidence_that_its_service_confirms_is_said_to_be(driver: Driver) -> None:
    account = await driver.account()
    outcome, said = await check_of(driver, account, defender(driver, account))
    assert outcome is EvidenceOutcome.CONFIRMED
    assert "names this account and key" in said
    [mail] = driver.mails(account.name)  # of its own: it is confirmed
    assert said in mail.body


async def test_evidence_that_quotes_an_alert_about_another_key_is_said_to_differ(driver: Driver) -> None:
    account = await driver.account()
    outcome, said = await check_of(driver, account, defender(driver, account, "key2"))
    assert outcome is EvidenceOutcome.DIFFERS
    assert "does not say this" in said


@pytest.mark.parametrize(
    ("alert", "outcome", "why"),
    [
        (None, EvidenceOutcome.UNCHECKED, "names no alert"),
        (AlertReference(AlertSource.DEFENDER, "", "made-up"), EvidenceOutcome.DIFFERS, "does not exist"),
        (
            AlertReference(AlertSource.GITHUB, "contoso/none", "7"),
            EvidenceOutcome.DIFFERS,
            "or the app has no access to it",
        ),
        (AlertReference(AlertSource.AZURE_DEVOPS, "fabrikam/x/y", "7"), EvidenceOutcome.UNCHECKED, "not in the org"),
    ],
)
async def test_evidence_that_can_not_be_read_again_is_said_to_be_on_its_word(
    driver: Driver, alert: AlertReference | None, outcome: EvidenceOutcome, why: str
) -> None:
    account = await driver.account()
    found_outcome, said = await check_of(driver, account, alert)
    assert found_outcome is outcome
    assert why in said
    assert "Nothing but the report itself says that this token was used." in said


async def test_people_are_asked_after_ten_minutes_although_the_service_is_down(driver: Driver) -> None:
    account = await driver.account()
    record = await evidence(driver, account, alert=defender(driver, account))
    driver.fault(GRAPH_ALERTS, Effect.STATUS, status=503, times=None)
    early = await followed(driver, record)
    assert (early.evidence_check, early.filed) == (None, None)
    driver.clock.advance(minutes=11)
    late = await followed(driver, record)
    assert late.evidence_check is not None
    assert late.evidence_check.outcome is EvidenceOutcome.UNCHECKED
    assert len(driver.shared_incidents(late)) == 1


async def test_evidence_is_read_again_with_each_evaluation(driver: Driver) -> None:
    account = await driver.account()
    record = await followed(driver, await evidence(driver, account, alert=defender(driver, account)))
    driver.cloud.model.alerts.defender.clear()
    driver.clock.advance(hours=4.1)
    again = await driver.app().http.revocations.retry(record.fingerprint, reason="Late.", caller=ADA)
    after = await followed(driver, again)
    assert after.evidence_check is not None
    assert after.evidence_check.outcome is EvidenceOutcome.DIFFERS


# Rejections


async def severe(driver: Driver, account: Account) -> Revocation:
    """The record of a severe leak that waits for approval."""
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app(mode="approve").fast_path.ingest.receive(report(finding))
    driver.cool_down()
    record = await driver.record(finding.fingerprint)
    assert record.state is State.AWAITING_APPROVAL
    return record


async def rejected(driver: Driver, record: Revocation, *people: Caller) -> Revocation:
    service = driver.app(mode="approve").http.revocations
    for person in people:
        record = await service.reject(record.fingerprint, reason="A sample.", caller=person)
    return record


async def test_severe_leak_that_works_is_rejected_by_two_people(driver: Driver) -> None:
    account = await driver.account(tags={"sasquash-owner": OWNER})
    record = await followed(driver, await severe(driver, account))
    once = await followed(driver, await rejected(driver, record, BOB))
    assert (once.state, once.reason) == (State.AWAITING_APPROVAL, None)
    assert "1 of 2 rejections is there, by bob@contoso.com" in driver.mails(account.name)[-1].body
    assert (await rejected(driver, once, EVE)).reason is Reason.REJECTED


async def test_approval_counts_while_one_rejection_is_missing(driver: Driver) -> None:
    account = await driver.account()
    record = await rejected(driver, await severe(driver, account), BOB)
    assert (await approved_by(driver, record, EVE)).state is State.CONTAINED
    assert rotated(account) == ["key1"]


async def test_two_rejections_at_once_are_two_people_s(driver: Driver) -> None:
    account = await driver.account()
    record = await severe(driver, account)
    await asyncio.gather(*(rejected(driver, record, person) for person in (BOB, EVE)))
    assert (await driver.record(record.fingerprint)).reason is Reason.REJECTED


async def test_people_hear_once_a_day_that_a_rejected_leak_is_reported_again(driver: Driver) -> None:
    account = await driver.account(tags={"sasquash-owner": OWNER})
    record = await followed(driver, await severe(driver, account))
    await followed(driver, await rejected(driver, record, BOB, EVE))
    before = len(driver.mails(account.name))
    driver.clock.advance(hours=1)
    for number in range(3):
        again = replace(record.finding, source=f"scanner-{number}")
        await driver.app(mode="approve").fast_path.ingest.receive(report(again))
        assert (await followed(driver, record)).reason is Reason.REJECTED
    [mail] = driver.mails(account.name)[before:]
    assert "REJECTED, and reported again" in mail.subject
    assert (OWNER in mail.to, rotated(account)) == (True, [])


async def test_mail_about_another_report_is_sent_although_the_instance_ended_before_it_could_say_so(
    driver: Driver,
) -> None:
    """Event Grid delivers the event again; the message that was sent before the write brings the rest."""
    account = await driver.account()
    record = await followed(driver, await severe(driver, account))
    await followed(driver, await rejected(driver, record, BOB, EVE))
    driver.clock.advance(hours=1)
    driver.fault("/follow-up/messages", times=3)
    with pytest.raises(SasquashError):
        await driver.app().fast_path.ingest.receive(report(replace(record.finding, source="another")))
    driver.cloud.faults.clear()
    driver.sent.clear()
    await driver.app().fast_path.containment.resume(Message(record.fingerprint))
    assert driver.messages("follow-up", record.fingerprint)


async def test_rejection_is_undone_by_another_approver(driver: Driver) -> None:
    account = await driver.account()
    record = await rejected(driver, await severe(driver, account), BOB, EVE)
    service = driver.app(mode="approve").http.revocations
    for caller, is_approver in ((BOB, True), (EVE, True), (ADA, False)):
        with pytest.raises(NotPermitted):
            await service.retry(record.fingerprint, reason="Real.", caller=caller, is_approver=is_approver)
    anew = await service.retry(record.fingerprint, reason="Real.", caller=DAN, is_approver=True)
    assert (anew.state, anew.rejections) == (State.AWAITING_APPROVAL, ())
    assert (await approved_by(driver, anew, ADA)).state is State.CONTAINED
