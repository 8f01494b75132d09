"""Lockdowns, by rule and by order: the way back is never lost, and the record says how the account stands."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from local.network.faults import Effect
from local.tenant.model import Account
from shared.api.revocations.requests import OrderRequest
from shared.domain.caller import Caller
from shared.domain.execution import Outcome
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind, Lockdown
from shared.errors import SasquashError, WrongState
from shared.persistence.queues import Message
from tests.support.containment import rotated
from tests.support.driver import OWNER, Crashed, Driver, Lifetime, ended, found, report
from tests.support.leaks import account_sas

PATCH = "PATCH https://management.azure.com"
GET_ACCOUNT = "GET https://management.azure.com"
ADA = Caller("ada@contoso.com", "00000000-0000-4000-8000-00000000000a", is_person=True)
BOB = Caller("bob@contoso.com", "00000000-0000-4000-8000-00000000000b", is_person=True)
RULES: dict[str, Any] = {
    "bypass": "Logging, Metrics",
    "defaultAction": "Allow",
    "ipRules": [{"value": "203.0.113.0/24", "action": "Allow"}],
    "virtualNetworkRules": [],
    "resourceAccessRules": [],
}
both = pytest.mark.parametrize("kind", list(Lockdown))


def by_rule(kind: Lockdown) -> str:
    """A rule table that answers an account SAS with a lockdown."""
    rules = [
        {
            "name": "lock",
            "when": {"kinds": ["account_sas"]},
            "then": "act",
            "with": f"lockdown_{kind}",
            "why": "of a test",
        },
        {"name": "rest", "then": "ask", "why": "of a test"},
    ]
    return json.dumps(rules)


async def open_account(driver: Driver) -> Account:
    return await driver.account(
        tags={"sasquash-owner": OWNER}, properties={"networkAcls": json.loads(json.dumps(RULES))}
    )


def is_locked(account: Account, kind: Lockdown) -> bool:
    if kind is Lockdown.SHARED_KEY:
        return account.properties["allowSharedKeyAccess"] is False
    return bool(account.properties["networkAcls"]["defaultAction"] == "Deny")


async def contained(driver: Driver, account: Account, kind: Lockdown, key: str = "key1") -> Revocation:
    """The record of a leak that a rule answers with a lockdown."""
    finding = found(account_sas(account.name, account.keys[key]))
    await driver.app(rules=by_rule(kind)).fast_path.ingest.receive(report(finding))
    return await driver.record(finding.fingerprint)


def way_back(record: Revocation) -> Any:
    assert record.lockdown is not None
    return json.loads(record.lockdown.before)


# --- by rule


@both
async def test_lockdown_that_a_rule_asks_for_keeps_the_leak_out_and_the_keys_as_they_are(
    driver: Driver, kind: Lockdown
) -> None:
    account = await open_account(driver)
    record = await contained(driver, account, kind)
    assert (record.state, record.execution and record.execution.action) == (State.CONTAINED, ActionKind.LOCKDOWN)
    assert (is_locked(account, kind), account.rotations) == (True, [])
    assert account.properties["networkAcls"]["ipRules"] == RULES["ipRules"]


@both
async def test_undoing_gives_back_exactly_what_there_was(driver: Driver, kind: Lockdown) -> None:
    account = await open_account(driver)
    before = json.loads(json.dumps(account.properties))
    record = await contained(driver, account, kind)
    undone = await driver.app().http.revocations.undo_lockdown(
        record.fingerprint, reason="It was revoked.", caller=ADA
    )
    assert account.properties == before
    assert (undone.state, undone.reason) == (State.UNRESOLVED, Reason.LOCKDOWN_UNDONE)


@both
async def test_lockdown_that_somebody_changed_since_is_not_undone(driver: Driver, kind: Lockdown) -> None:
    account = await open_account(driver)
    record = await contained(driver, account, kind)
    account.properties["networkAcls"]["ipRules"] = [{"value": "198.51.100.7", "action": "Allow"}]
    account.properties["allowSharedKeyAccess"] = kind is Lockdown.SHARED_KEY
    console = driver.app().http.revocations
    if kind is Lockdown.NETWORK:
        with pytest.raises(WrongState, match=r"networkAcls\.ipRules"):
            await console.undo_lockdown(record.fingerprint, reason="It was revoked.", caller=ADA)
        assert (await driver.record(record.fingerprint)).state is record.state
    else:  # somebody has opened it by hand: nothing is left to undo
        await console.undo_lockdown(record.fingerprint, reason="It was revoked.", caller=ADA)
    assert account.properties["networkAcls"]["ipRules"] == [{"value": "198.51.100.7", "action": "Allow"}]


@both
async def test_account_that_is_locked_already_is_left_as_it_is_and_stays_so(driver: Driver, kind: Lockdown) -> None:
    account = await open_account(driver)
    if kind is Lockdown.SHARED_KEY:
        account.properties["allowSharedKeyAccess"] = False
    else:
        account.properties["networkAcls"]["defaultAction"] = "Deny"
    record = await contained(driver, account, kind)
    assert (record.state, driver.requests(PATCH)) == (State.CONTAINED, [])
    assert "was locked already: nothing was changed" in record.detail
    await driver.app().http.revocations.undo_lockdown(record.fingerprint, reason="It was revoked.", caller=ADA)
    assert is_locked(account, kind)


async def test_lockdown_is_verified_by_arm_not_called_a_revocation_and_open_until_undone(driver: Driver) -> None:
    account = await open_account(driver)
    record = await contained(driver, account, Lockdown.SHARED_KEY)
    await driver.app().background.follow_up.run(Message(record.fingerprint))
    record = await driver.record(record.fingerprint)
    assert record.verification is not None
    assert (record.state, record.verification.outcome) == (State.PROVEN, Outcome.ARM_ONLY)
    [mail] = driver.mails(account.name)
    assert (mail.to, "It revokes nothing" in mail.body) == ((OWNER,), True)


async def test_lockdown_that_somebody_opened_is_a_failure_in_the_end(driver: Driver) -> None:
    account = await open_account(driver)
    record = await contained(driver, account, Lockdown.SHARED_KEY)
    account.properties["allowSharedKeyAccess"] = True
    driver.clock.advance(minutes=5)
    await driver.app().background.follow_up.run(Message(record.fingerprint))
    record = await driver.record(record.fingerprint)
    assert (record.state, record.reason) == (State.FAILED, Reason.STILL_ALIVE)


async def test_leak_reported_after_its_lockdown_was_undone_is_revoked_by_its_key(
    driver: Driver,
) -> None:
    account = await open_account(driver)
    record = await contained(driver, account, Lockdown.SHARED_KEY)
    await driver.app().http.revocations.undo_lockdown(record.fingerprint, reason="All moved.", caller=ADA)
    driver.clock.advance(minutes=5)
    await driver.app().fast_path.ingest.receive(report(record.finding))
    after = await driver.record(record.fingerprint)
    assert (after.state, after.lockdown) == (State.CONTAINED, None)
    assert rotated(account) == ["key1"]


# --- failures


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("RequestDisallowedByPolicy", "Azure Policy"),
        ("ScopeLocked", "ReadOnly lock"),
        ("AuthorizationFailed", "docs/rights.md"),
        ("DenyAssignmentAuthorizationFailed", "deny assignment"),
    ],
)
async def test_denial_is_a_failure_that_names_what_denies_it(driver: Driver, code: str, says: str) -> None:
    account = await open_account(driver)
    driver.fault(PATCH, status=409 if code == "ScopeLocked" else 403, code=code)
    record = await contained(driver, account, Lockdown.SHARED_KEY)
    assert (record.state, record.reason) == (State.FAILED, Reason.BLOCKED)
    assert says in record.detail
    assert record.lockdown is None, "no lockdown to undo"
    assert "Intent" not in (await driver.rows(account.name))["lock"]


@both
@pytest.mark.parametrize("effect", [Effect.STATUS, Effect.RESET])
@pytest.mark.parametrize("after", [False, True])
async def test_lost_answer_is_settled_by_reading(
    driver: Driver, kind: Lockdown, effect: Effect, *, after: bool
) -> None:
    account = await open_account(driver)
    driver.fault(PATCH, effect, after=after)
    record = await ended(driver, (await contained(driver, account, kind)).fingerprint, rules=by_rule(kind))
    assert (record.state, is_locked(account, kind)) == (State.CONTAINED, True)
    assert record.lockdown is not None
    assert record.lockdown.after
    before = way_back(record)
    assert before in ({"allowSharedKeyAccess": True}, {"networkAcls": RULES, "publicNetworkAccess": "Enabled"})


async def test_ambiguous_answer_is_settled_by_the_next_holder_of_the_lock(driver: Driver) -> None:
    account = await open_account(driver)
    record = await ordered(driver, account, Lockdown.SHARED_KEY)
    life = Lifetime(stops_at=PATCH)
    approving = asyncio.create_task(approved(driver, record, life))
    await life.stopped.wait()
    driver.fault(PATCH, Effect.RESET, after=True)
    driver.fault(GET_ACCOUNT, times=3)
    life.go.set()
    await approving
    after = await ended(driver, record.fingerprint)
    assert (after.state, is_locked(account, Lockdown.SHARED_KEY)) == (State.CONTAINED, True)
    assert way_back(after) == {"allowSharedKeyAccess": True}


@pytest.mark.parametrize(("kind", "carried_out"), [(Lockdown.SHARED_KEY, False), (Lockdown.NETWORK, True)])
async def test_crash_at_any_call_never_loses_the_way_back(
    driver: Driver, kind: Lockdown, *, carried_out: bool
) -> None:
    number, interrupted = 0, True
    while interrupted:
        number += 1
        account = await open_account(driver)
        before = json.loads(json.dumps(account.properties))
        finding = found(account_sas(account.name, account.keys["key1"]))
        life, one = Lifetime(ends_at=number, carried_out=carried_out), report(finding)
        try:
            await driver.app(life, rules=by_rule(kind)).fast_path.ingest.receive(one)
        except Crashed:
            driver.clock.advance(minutes=1)
            await driver.app(rules=by_rule(kind)).fast_path.ingest.receive(one)
        interrupted = life.ended
        record = await ended(driver, finding.fingerprint, rules=by_rule(kind))
        assert (record.state, is_locked(account, kind)) == (State.CONTAINED, True), f"at call {number}"
        driver.clock.advance(minutes=4)  # the lock of the interrupted instance may still be held
        await driver.app().http.revocations.undo_lockdown(record.fingerprint, reason="A test.", caller=ADA)
        assert account.properties == before, f"at call {number}"
    assert number > 12


# --- by order


async def ordered(driver: Driver, account: Account, kind: Lockdown) -> Revocation:
    request = OrderRequest(account.name, ActionKind.LOCKDOWN, kind, "We don't know which key.")
    record = await driver.app().http.revocations.order(request, caller=ADA)
    assert (record.state, is_locked(account, kind)) == (State.AWAITING_APPROVAL, False)
    return record


async def approved(driver: Driver, record: Revocation, life: Lifetime | None = None) -> None:
    assert record.plan is not None
    console = driver.app(life).http.revocations
    await console.approve(record.fingerprint, digest=record.plan.digest, reason="Yes.", caller=BOB)


@both
async def test_approval_of_before_a_change_of_the_account_s_rules_is_void(driver: Driver, kind: Lockdown) -> None:
    account = await open_account(driver)
    record = await ordered(driver, account, kind)
    if kind is Lockdown.SHARED_KEY:
        account.properties["allowSharedKeyAccess"] = False
    else:
        account.properties["networkAcls"]["ipRules"] = []
    await approved(driver, record)
    after = await driver.record(record.fingerprint)
    assert (after.state, driver.requests(PATCH)) == (State.AWAITING_APPROVAL, [])


@pytest.mark.parametrize("carried_out", [False, True])
async def test_approved_lockdown_interrupted_at_any_call_is_executed_and_recorded_or_neither(
    driver: Driver, carried_out: bool
) -> None:
    kind, number, interrupted = Lockdown.SHARED_KEY, 0, True
    while interrupted:
        number += 1
        account = await open_account(driver)
        record = await ordered(driver, account, kind)
        life = Lifetime(ends_at=number, carried_out=carried_out)
        try:
            await approved(driver, record, life)
        except Crashed:
            driver.clock.advance(minutes=1)
        except SasquashError as error:
            raise AssertionError(f"at call {number}") from error
        interrupted = life.ended
        after = await ended(driver, record.fingerprint)
        outcome = (after.state, after.execution is not None, is_locked(account, kind))
        done, not_given = (State.CONTAINED, True, True), (State.AWAITING_APPROVAL, False, False)
        assert outcome == (done if after.approval is not None else not_given), f"at call {number}: {after.detail}"
        if after.state is State.CONTAINED:
            assert way_back(after) == {"allowSharedKeyAccess": True}, f"at call {number}"
    assert number > 12


async def test_follow_up_that_writes_at_the_same_moment_does_not_hold_up_an_approved_lockdown(driver: Driver) -> None:
    """It files and mails the plan that waited, while that is carried out."""
    account = await open_account(driver)
    record = await ordered(driver, account, Lockdown.SHARED_KEY)
    driver.fault("/listKeys", times=3)
    await approved(driver, record)
    driver.cloud.faults.clear()
    life = Lifetime(stops_at="/$batch")  # the first is the way back
    executor = asyncio.create_task(driver.app(life).fast_path.containment.resume(Message(record.fingerprint)))
    await life.stopped.wait()
    await driver.app().fast_path.store.revocations.change(
        record.fingerprint, lambda current: replace(current, notifications=()), what=""
    )
    life.go.set()
    await executor
    assert is_locked(account, Lockdown.SHARED_KEY)
