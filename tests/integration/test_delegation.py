"""Leaked user delegation SAS: sent to Azure once, revoked with the account's delegation keys, and recorded."""

import asyncio
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from local.network.faults import Effect
from local.tenant.model import Account
from shared.domain.approval import Approval
from shared.domain.caller import Caller
from shared.domain.execution import Outcome
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind
from shared.persistence.queues import Message
from tests.support import unusual_leaks, user_delegation
from tests.support.driver import OWNER, Crashed, Driver, Lifetime, ended, found, raw_report, report
from tests.support.leaks import account_sas

REVOKE = "/revokeUserDelegationKeys"
SAS_OF_DEVELOPER = "skoid=1f21f8fc"
BATCH = "/$batch"
ADA = Caller("ada@contoso.com", "00000000-0000-4000-8000-00000000000a", is_person=True)
BOB = Caller("bob@contoso.com", "00000000-0000-4000-8000-00000000000b", is_person=True)


async def reported(driver: Driver, leaked: str, **settings: str) -> Revocation:
    """The record after a raw report of the token, by an instance of its own."""
    await driver.app(**settings).fast_path.ingest.receive(raw_report(leaked))
    driver.cool_down()
    return await driver.record(found(leaked).fingerprint)


async def awaiting(driver: Driver, account: Account) -> Revocation:
    """The record of a token that nobody could ask about."""
    finding = found(await user_delegation.url(driver, account))
    await driver.app().fast_path.ingest.receive(report(finding))
    driver.cool_down()
    return await driver.record(finding.fingerprint)


async def approve(driver: Driver, record: Revocation) -> Message:
    """Put the yes of two people into the record; the message is what containment goes on with."""
    assert record.plan is not None
    now = driver.clock()
    first, second = (Approval(one, now, record.plan.digest, "It is ours.") for one in (BOB, ADA))
    approved = replace(record, first_approval=first, approval=second)
    approved = approved.reach(State.RECEIVED, now=now, detail="Approved.")
    await driver.app().fast_path.store.accounts.add_waiting(record.finding)
    await driver.app().fast_path.store.revocations.save(approved, what="Approved.")
    return Message(record.fingerprint)


def asked(driver: Driver) -> list[str]:
    """The URLs, without their queries, that a token of the developer's was sent to."""
    return [r.url.partition("?")[0] for r in driver.requests(SAS_OF_DEVELOPER)]


def revoked(driver: Driver, account: Account) -> int:
    return sum(r.status == 200 for r in driver.requests(f"{account.name}{REVOKE}"))


# --- is it alive?


@pytest.mark.parametrize("kind", user_delegation.KINDS)
async def test_living_token_is_asked_once_and_ends_with_the_delegation_keys(driver: Driver, kind: str) -> None:
    account = await driver.account()
    leaked = await user_delegation.url(driver, account, kind)
    record = await reported(driver, leaked)
    assert record.liveness is not None
    assert (record.state, record.liveness.alive, revoked(driver, account)) == (State.CONTAINED, True, 1)
    [where] = asked(driver)
    assert where.startswith(leaked.partition("?")[0])
    assert (where == leaked.partition("?")[0]) is (kind not in ("container", "directory"))
    assert not await user_delegation.accepted(driver.cloud, leaked)
    assert await user_delegation.accepted(driver.cloud, await user_delegation.url(driver, account, kind))
    assert account.rotations == []


async def test_token_that_leaked_with_the_secondary_s_host_is_sent_to_the_primary(driver: Driver) -> None:
    account = await driver.account()
    leaked = (await user_delegation.url(driver, account)).replace(
        f"//{account.name}.", f"//{account.name}-secondary."
    )
    assert (await reported(driver, leaked)).state is State.CONTAINED
    [where] = asked(driver)
    assert urlsplit(where).netloc == f"{account.name}.blob.core.windows.net"


async def test_token_that_leaked_with_a_custom_domain_is_sent_to_the_account_s_own_host(driver: Driver) -> None:
    account = await driver.account(properties={"customDomain": {"name": "files.contoso.com"}})
    leaked = await user_delegation.url(driver, account)
    elsewhere = leaked.replace(f"{account.name}.blob.core.windows.net", "files.contoso.com")
    assert (await reported(driver, elsewhere)).state is State.CONTAINED
    [where] = asked(driver)
    assert urlsplit(where).netloc == f"{account.name}.blob.core.windows.net"


async def test_token_is_sent_nowhere_but_to_an_account_of_ours(driver: Driver) -> None:
    await reported(driver, unusual_leaks.user_delegation_sas("notouraccount", ""))
    assert driver.requests("notouraccount.blob") == []


async def test_forged_token_is_asked_once_and_revokes_nothing(driver: Driver) -> None:
    account = await driver.account()
    record = await reported(driver, unusual_leaks.user_delegation_sas(account.name, ""))
    assert record.liveness is not None
    assert (record.state, record.liveness.alive) == (State.AWAITING_APPROVAL, False)
    assert (len(asked(driver)), revoked(driver, account)) == (1, 0)


async def test_token_that_is_bound_to_a_user_is_never_sent(driver: Driver) -> None:
    account = await driver.account()
    user = driver.cloud.model.identities["reader"].object_id
    record = await reported(driver, await user_delegation.url(driver, account, user_delegation_oid=user))
    assert (record.state, asked(driver), revoked(driver, account)) == (State.AWAITING_APPROVAL, [], 0)


async def test_token_that_came_without_its_secret_waits_for_a_person(driver: Driver) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    assert (record.state, record.plan and record.plan.action) == (State.AWAITING_APPROVAL, ActionKind.DELEGATION_KEY)
    assert (asked(driver), revoked(driver, account)) == ([], 0)


async def test_token_of_an_account_behind_a_firewall_waits_for_a_person(driver: Driver) -> None:
    account = await driver.account()
    leaked = await user_delegation.url(driver, account)
    account.properties["networkAcls"] = {"bypass": "AzureServices", "defaultAction": "Deny"}
    record = await reported(driver, leaked)
    assert record.liveness is not None
    assert (record.state, record.liveness.alive, revoked(driver, account)) == (State.AWAITING_APPROVAL, None, 0)
    assert "network rules keep us out" in record.liveness.said


async def test_issuer_that_can_t_be_looked_up_makes_a_person_decide(driver: Driver) -> None:
    account = await driver.account()
    driver.fault("graph.microsoft.com", status=503, times=None)
    record = await reported(driver, await user_delegation.url(driver, account))
    assert (record.state, revoked(driver, account)) == (State.AWAITING_APPROVAL, 0)


async def test_token_that_azure_accepted_once_is_not_sent_again(driver: Driver) -> None:
    account = await driver.account()
    leaked = await user_delegation.url(driver, account)
    assert (await reported(driver, leaked, mode="observe")).state is State.OBSERVED
    driver.clock.advance(minutes=5)
    assert (await reported(driver, leaked)).state is State.CONTAINED
    assert len(asked(driver)) == 1


async def test_token_whose_key_began_before_our_last_revocation_makes_a_person_decide(driver: Driver) -> None:
    account = await driver.account()
    first, dated_back = [await user_delegation.url(driver, account) for _ in range(2)]
    await reported(driver, first)
    driver.clock.advance(hours=1)
    record = await reported(driver, dated_back)
    assert (record.state, revoked(driver, account)) == (State.AWAITING_APPROVAL, 1)
    assert "Azure did not accept it" in record.detail


async def test_key_that_is_dated_back_behind_our_last_revocation_makes_a_person_decide(driver: Driver) -> None:
    account = await driver.account()
    await reported(driver, await user_delegation.url(driver, account))
    alive = await user_delegation.url(driver, account)  # its key begins five seconds before it was issued
    record = await reported(driver, alive)
    assert (record.state, revoked(driver, account)) == (State.AWAITING_APPROVAL, 1)
    assert "the key's start backdated" in record.detail
    assert await user_delegation.accepted(driver.cloud, alive)


# --- a person's yes


async def test_approved_revocation_is_carried_out(driver: Driver) -> None:
    account = await driver.account()
    message = await approve(driver, await awaiting(driver, account))
    await driver.app().fast_path.containment.resume(message)
    record = await driver.record(message.fingerprint)
    assert (record.state, revoked(driver, account)) == (State.CONTAINED, 1)
    assert record.decided_by == f"approved by {BOB} and {ADA}"


async def test_approval_of_before_another_revocation_is_void(driver: Driver) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    await reported(driver, await user_delegation.url(driver, account))
    await driver.app().fast_path.containment.resume(await approve(driver, record))
    after = await driver.record(record.fingerprint)
    assert (after.state, revoked(driver, account)) == (State.AWAITING_APPROVAL, 1)
    assert "the plan has changed since" in after.detail


async def test_approved_revocation_whose_answer_was_lost_is_done_again(driver: Driver) -> None:
    account = await driver.account()
    message = await approve(driver, await awaiting(driver, account))
    driver.fault(REVOKE, Effect.RESET, after=True)
    await driver.app().fast_path.containment.resume(message)
    assert (await ended(driver, message.fingerprint)).state is State.CONTAINED
    assert revoked(driver, account) == 1  # and one whose answer nobody saw


@pytest.mark.parametrize("carried_out", [False, True])
async def test_approved_action_is_executed_and_recorded_after_a_crash_at_any_call(
    driver: Driver, carried_out: bool
) -> None:
    number, interrupted = 0, True
    while interrupted:
        number += 1
        account = await driver.account()
        message = await approve(driver, await awaiting(driver, account))
        interrupted = await stopped(driver, message, Lifetime(ends_at=number, carried_out=carried_out))
        record = await ended(driver, message.fingerprint)
        assert (record.state, record.execution is None) == (State.CONTAINED, False), (
            f"at call {number}: {record.detail}"
        )
    assert number > 8


async def stopped(driver: Driver, message: Message, life: Lifetime) -> bool:
    """Go on with a message in a life that may end; return whether it did."""
    try:
        await driver.app(life).fast_path.containment.resume(message)
    except Crashed:
        driver.clock.advance(minutes=1)
    return life.ended


# --- several, and failures


async def test_several_leaks_of_one_account_take_one_revocation(driver: Driver) -> None:
    account = await driver.account()
    several = [await user_delegation.url(driver, account, kind) for kind in user_delegation.KINDS]
    await driver.app().fast_path.ingest.receive(raw_report("\n".join(several)))
    records = [await ended(driver, found(one).fingerprint) for one in several]
    reasons = {record.reason for record in records if record.state is State.DISMISSED}
    assert sorted({record.state for record in records}) == [State.CONTAINED, State.DISMISSED]
    assert (reasons, revoked(driver, account)) == ({Reason.COVERED}, 1)
    assert sum(record.execution is not None for record in records) == 1


async def test_leak_of_a_key_does_not_revoke_delegation_keys(driver: Driver) -> None:
    account = await driver.account()
    leaked = await user_delegation.url(driver, account)
    waits = found(leaked)
    driver.fault("/listKeys", times=3)
    await driver.app().fast_path.ingest.receive(report(waits))
    driver.cloud.faults.clear()
    driver.cool_down()
    await driver.app().fast_path.ingest.receive(raw_report(account_sas(account.name, account.keys["key1"])))
    assert (await driver.record(waits.fingerprint)).state is State.RECEIVED
    assert (await ended(driver, waits.fingerprint)).state is State.AWAITING_APPROVAL
    assert await user_delegation.accepted(driver.cloud, leaked)


@pytest.mark.parametrize("carried_out", [False, True])
async def test_crash_at_any_call_leaves_the_leak_queued_and_recorded(driver: Driver, carried_out: bool) -> None:
    """An answer from before the crash counts; without one, a person decides, because the token is gone."""
    number, interrupted = 0, True
    while interrupted:
        number += 1
        account = await driver.account()
        leaked = await user_delegation.url(driver, account)
        life, one, interrupted = Lifetime(ends_at=number, carried_out=carried_out), raw_report(leaked), False
        try:
            await driver.app(life).fast_path.ingest.receive(one)
        except Crashed:
            interrupted = True
            driver.clock.advance(minutes=1)
            await driver.app().fast_path.ingest.receive(one)  # it was not acknowledged
        record = await ended(driver, found(leaked).fingerprint)
        outcome = (record.state, record.execution is not None, revoked(driver, account) > 0)
        proven = record.liveness is not None and record.liveness.alive is True
        done, waits = (State.CONTAINED, True, True), (State.AWAITING_APPROVAL, False, False)
        assert outcome == (done if proven else waits), f"stopped at call {number}: {record.detail}"
    assert number > 15


async def test_record_not_saved_after_the_revocation_is_saved_by_the_next_holder(
    driver: Driver,
) -> None:
    account = await driver.account()
    leaked = await user_delegation.url(driver, account)
    life = Lifetime(stops_at=REVOKE, carried_out=True)
    containing = asyncio.create_task(driver.app(life).fast_path.ingest.receive(raw_report(leaked)))
    await life.stopped.wait()
    driver.fault(BATCH, times=None)
    life.go.set()
    await containing
    driver.cloud.faults.clear()
    record = await ended(driver, found(leaked).fingerprint)
    assert (record.state, record.execution is not None, revoked(driver, account)) == (State.CONTAINED, True, 1)


async def test_other_leaks_are_covered_after_a_crash_before_their_records(driver: Driver) -> None:
    account = await driver.account()
    waits, leaked = found(await user_delegation.url(driver, account)), await user_delegation.url(driver, account)
    driver.fault("/listKeys", times=3)
    await driver.app().fast_path.ingest.receive(report(waits))
    driver.cloud.faults.clear()
    driver.cool_down()
    life = Lifetime(stops_at="POST https://sasquashstate.queue.core.windows.net/follow-up")
    stopping = asyncio.create_task(driver.app(life).fast_path.ingest.receive(raw_report(leaked)))
    await life.stopped.wait()
    life.ended = True
    life.go.set()
    with pytest.raises(Crashed):
        await stopping
    record = await ended(driver, waits.fingerprint)
    assert (record.state, record.reason, revoked(driver, account)) == (State.DISMISSED, Reason.COVERED, 1)
    assert (await driver.record(found(leaked).fingerprint)).state is State.CONTAINED


async def test_missing_right_is_a_failure_that_names_it(driver: Driver) -> None:
    account = await driver.account()
    driver.fault(REVOKE, status=403, code="AuthorizationFailed")
    record = await reported(driver, await user_delegation.url(driver, account))
    assert (record.state, record.reason) == (State.FAILED, Reason.BLOCKED)
    assert "docs/rights.md" in record.detail


# --- afterwards


async def test_revocation_is_proven_by_a_token_of_our_own_and_the_case_closes(driver: Driver) -> None:
    account = await driver.account(tags={"sasquash-owner": OWNER})
    before = await reported(driver, await user_delegation.url(driver, account))
    await driver.app().background.follow_up.run(Message(before.fingerprint))
    record = await driver.record(before.fingerprint)
    assert before.execution is not None
    assert record.execution is not None
    assert record.verification is not None
    assert (record.state, record.verification.outcome) == (State.CLOSED, Outcome.PROVEN)
    assert (len(before.execution.verification_tokens), record.execution.verification_tokens) == (1, ())
    assert "one by a user delegation key from after it is accepted" in " ".join(record.verification.evidence)
    [mail] = driver.mails(account.name)
    assert mail.to == (OWNER,)


async def test_revocation_without_a_verification_token_is_verified_by_arm_alone(driver: Driver) -> None:
    account = await driver.account()
    leaked = await user_delegation.url(driver, account)
    driver.fault("comp=userdelegationkey", status=403, code="AuthorizationPermissionMismatch", times=None)
    record = await reported(driver, leaked)
    await driver.app().background.follow_up.run(Message(record.fingerprint))
    record = await driver.record(record.fingerprint)
    assert record.verification is not None
    assert (record.state, record.verification.outcome) == (State.CLOSED, Outcome.ARM_ONLY)
    assert "Storage Blob Delegator" in record.verification.evidence[0]


async def test_revocation_that_azure_does_not_heed_is_a_failure_in_the_end(driver: Driver) -> None:
    account = await driver.account()
    record = await reported(driver, await user_delegation.url(driver, account))
    account.delegation_keys_revoked_at = None  # a cache that forgets nothing
    driver.clock.advance(minutes=1)
    await driver.app().background.follow_up.run(Message(record.fingerprint))
    assert (await driver.record(record.fingerprint)).state is State.CONTAINED
    driver.clock.advance(minutes=27)
    await driver.app().background.follow_up.run(Message(record.fingerprint))
    record = await driver.record(record.fingerprint)
    assert (record.state, record.reason) == (State.FAILED, Reason.STILL_ALIVE)


async def test_signature_is_in_no_row_of_ours(driver: Driver) -> None:
    account = await driver.account()
    leaked = await user_delegation.url(driver, account)
    [signature] = parse_qs(urlsplit(leaked).query)["sig"]
    record = await reported(driver, leaked)
    kept = repr((record, await driver.history(record.fingerprint), await driver.rows(account.name)))
    assert record.state is State.CONTAINED
    assert signature not in kept
    assert urlsplit(leaked).query.partition("sig=")[2] not in kept
