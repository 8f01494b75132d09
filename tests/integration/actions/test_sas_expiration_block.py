"""The SAS expiration policy with Block: it stops a leak while Shared Key clients go on, and never ends its record.

Source: "Configure an expiration policy for shared access signatures" (MicrosoftDocs/azure-docs, 2025-07-30). How long
Azure takes to enforce it is in no document: the delay of the local cloud is set by the tests.
"""

import asyncio
import html
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.storage.blob import generate_account_sas

from local.network.faults import Effect
from local.tenant.model import Account
from shared.api.revocations.requests import OrderRequest
from shared.domain.execution import Outcome
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind
from shared.errors import SasquashError, WrongState
from shared.persistence.queues import Message
from tests.support import leaks
from tests.support.containment import rotated
from tests.support.decisions import ADA, BOB
from tests.support.driver import OWNER, Crashed, Driver, Lifetime, ended, found, report
from tests.support.watched import nothing_watched

PATCH = "PATCH https://management.azure.com"
GET_ACCOUNT = "GET https://management.azure.com"
LOGGED = ("StorageRead", "StorageWrite", "StorageDelete")
WEEK = {"sasExpirationPeriod": "7.00:00:00", "expirationAction": "Block"}
LONG_AGO = datetime.fromisoformat("2000-01-01T00:00:00+00:00")


@pytest.fixture(autouse=True)
async def enforced_at_once(driver: Driver) -> AsyncIterator[None]:
    """The data plane of the local cloud enforces a policy at once, unless a test sets a delay."""
    await nothing_watched(driver)
    yield
    driver.cloud.model.sas_policy_seconds = 0.0


def rules(then: str = "act") -> str:
    """A rule table that answers an account SAS with the policy."""
    answer = {"kinds": ["account_sas"]}
    rule = {"name": "block", "when": answer, "then": then, "with": "sas_expiration_block", "why": "of a test"}
    return json.dumps([rule, {"name": "rest", "then": "ask", "why": "of a test"}])


async def logged_account(driver: Driver) -> Account:
    """An account whose services all log their requests."""
    account = await driver.account(tags={"sasquash-owner": OWNER})
    account.logged.update(dict.fromkeys(("blob", "queue", "table", "file"), LOGGED))
    return account


def policy_of(account: Account) -> Any:
    return account.properties.get("sasPolicy")


def leak(account: Account, key: str = "key1") -> str:
    """A token until 2051 without a start, as the one of 38 TB was."""
    end = datetime(2051, 10, 6, tzinfo=UTC)
    token = generate_account_sas(account.name, account.keys[key], resource_types="sco", permission="rwdl", expiry=end)
    return f"https://{account.name}.blob.core.windows.net/?{token}"


async def by_rule(driver: Driver, account: Account, text: str | None = None, then: str = "act") -> Revocation:
    """The record of a leak that a rule answers with the policy."""
    finding = found(text or leak(account))
    await driver.app(rules=rules(then)).fast_path.ingest.receive(report(finding))
    return await driver.record(finding.fingerprint)


async def followed_up(driver: Driver, record: Revocation, **settings: str) -> Revocation:
    await driver.app(**settings).background.follow_up.run(Message(record.fingerprint))
    return await driver.record(record.fingerprint)


async def in_effect(driver: Driver, account: Account) -> Revocation:
    record = await followed_up(driver, await by_rule(driver, account))
    assert (record.state, record.reason) == (State.CONTAINED, Reason.IN_EFFECT), record.detail
    return record


async def ordered(driver: Driver, account: Account, target: str = "7.00:00:00", **settings: str) -> Revocation:
    request = OrderRequest(account.name, ActionKind.SAS_EXPIRATION_BLOCK, target, "It leaked, and the key is in use.")
    return await driver.app(**settings).http.revocations.order(request, caller=ADA)


async def approved(driver: Driver, record: Revocation, life: Lifetime | None = None) -> Revocation:
    assert record.plan is not None
    console = driver.app(life).http.revocations
    return await console.approve(record.fingerprint, digest=record.plan.digest, reason="Yes.", caller=BOB)


async def undo(driver: Driver, record: Revocation) -> Revocation:
    return await driver.app().http.revocations.undo_lockdown(record.fingerprint, reason="Both keys new.", caller=ADA)


# --- by order


async def test_order_sets_the_policy_after_a_second_person_and_leaves_the_keys(driver: Driver) -> None:
    account = await logged_account(driver)
    record = await ordered(driver, account)
    assert (record.state, policy_of(account)) == (State.AWAITING_APPROVAL, None)
    after = await approved(driver, record)
    assert (after.state, policy_of(account), rotated(account)) == (State.CONTAINED, WEEK, [])


async def test_ordered_policy_is_verified_and_stays_open(driver: Driver) -> None:
    account = await logged_account(driver)
    record = await followed_up(driver, await approved(driver, await ordered(driver, account)))
    assert (record.state, record.reason) == (State.CONTAINED, Reason.IN_EFFECT)
    assert record.verification is not None
    assert record.verification.outcome is Outcome.IN_EFFECT
    said = " ".join(record.verification.evidence)
    assert "a SAS of ours without a start was accepted before, and is refused 3 times" in said
    assert "one that complies is accepted; a Shared Key request is accepted" in said


@pytest.mark.parametrize(
    ("present", "target", "period"),
    [
        (None, "30.00:00:00", "7.00:00:00"),
        (None, "1.00:00:00", "1.00:00:00"),
        ({"sasExpirationPeriod": "1.12:00:00", "expirationAction": "Log"}, "7.00:00:00", "1.12:00:00"),
        ({"sasExpirationPeriod": "30.00:00:00", "expirationAction": "Block"}, "7.00:00:00", "7.00:00:00"),
    ],
)
async def test_period_is_never_longer_than_the_present_one_and_the_setting(
    driver: Driver, present: dict[str, Any] | None, target: str, period: str
) -> None:
    account = await logged_account(driver)
    if present is not None:
        account.set_sas_policy(present, enforced_from=LONG_AGO)
    record = await ordered(driver, account, target)
    await approved(driver, record)
    assert policy_of(account) == {"sasExpirationPeriod": period, "expirationAction": "Block"}


async def test_other_members_of_the_present_policy_stay(driver: Driver) -> None:
    account = await logged_account(driver)
    binding = {"requireUserBoundUserDelegationSas": True, "requireUserBoundUserDelegationSasAction": "Log"}
    account.set_sas_policy({**WEEK, "expirationAction": "Log", **binding}, enforced_from=LONG_AGO)
    await approved(driver, await ordered(driver, account))
    assert policy_of(account) == WEEK | binding


async def test_account_with_a_key_without_a_creation_time_is_named_as_such(driver: Driver) -> None:
    account = await logged_account(driver)
    del account.key_created["key2"]
    record = await ordered(driver, account)
    assert (record.state, record.reason) == (State.FAILED, Reason.BLOCKED)
    assert f"key2 of {account.name} has none: regenerate it once" in record.detail
    assert driver.requests(PATCH) == []


async def test_approval_of_before_a_change_of_the_policy_is_void(driver: Driver) -> None:
    account = await logged_account(driver)
    record = await ordered(driver, account)
    account.set_sas_policy({**WEEK, "expirationAction": "Log"}, enforced_from=LONG_AGO)
    after = await approved(driver, record)
    assert (after.state, driver.requests(PATCH)) == (State.AWAITING_APPROVAL, [])


async def test_policy_that_blocks_already_is_left_as_it_is(driver: Driver) -> None:
    account = await logged_account(driver)
    strict = {"sasExpirationPeriod": "1.00:00:00", "expirationAction": "Block"}
    account.set_sas_policy(strict, enforced_from=LONG_AGO)
    record = await followed_up(driver, await approved(driver, await ordered(driver, account)))
    assert (record.reason, driver.requests(PATCH)) == (Reason.IN_EFFECT, [])
    await undo(driver, record)
    assert policy_of(account) == strict


# --- by a rule of the user's own


async def test_rule_blocks_the_leak_and_the_key_stays(driver: Driver) -> None:
    account = await logged_account(driver)
    record = await in_effect(driver, account)
    assert (policy_of(account), rotated(account), record.key_name) == (WEEK, [], "key1")
    [mail] = driver.mails(account.name)
    assert "blocked, not revoked" in mail.subject
    assert "Regenerate key1, which signed the leak" in mail.body
    body = html.unescape(mail.body)
    assert "sasPolicy: { expirationAction: 'Block', sasExpirationPeriod: '7.00:00:00' }" in body
    assert 'sas_policy { expiration_action = "Block", expiration_period = "7.00:00:00" }' in body


async def test_without_logs_of_all_services_the_impact_is_unknown_and_a_person_decides(driver: Driver) -> None:
    account = await logged_account(driver)
    del account.logged["queue"]
    record = await by_rule(driver, account)
    assert (record.state, policy_of(account)) == (State.AWAITING_APPROVAL, None)
    assert record.plan is not None
    assert "Impact unknown" in record.plan.impact[0]


async def test_logs_that_can_t_be_read_leave_the_decision_to_a_person(driver: Driver) -> None:
    account = await logged_account(driver)
    driver.fault("api.loganalytics.io", times=None)
    record = await by_rule(driver, account)
    assert (record.state, policy_of(account)) == (State.AWAITING_APPROVAL, None)


async def test_leak_that_the_policy_would_not_stop_is_revoked_by_its_key(driver: Driver) -> None:
    account = await logged_account(driver)
    start = datetime.now(UTC) - timedelta(minutes=5)
    token = generate_account_sas(
        account.name,
        account.keys["key1"],
        resource_types="o",
        permission="r",
        start=start,
        expiry=start + timedelta(days=2),
    )
    record = await by_rule(driver, account, f"https://{account.name}.blob.core.windows.net/m/a?{token}")
    assert (record.state, rotated(account), policy_of(account)) == (State.CONTAINED, ["key1"], None)
    assert record.plan is not None
    assert "it has a start, and is valid for no longer than 7 days" in record.plan.reason


async def test_rule_does_not_apply_where_a_key_has_no_creation_time(driver: Driver) -> None:
    account = await logged_account(driver)
    del account.key_created["key2"]
    record = await by_rule(driver, account)
    assert (record.state, rotated(account), policy_of(account)) == (State.CONTAINED, ["key1"], None)


# --- Azure enforces it late, or not


async def test_policy_that_is_not_enforced_in_time_is_followed_by_the_key(driver: Driver) -> None:
    account = await logged_account(driver)
    driver.cloud.model.sas_policy_seconds = 45 * 60
    record = await followed_up(driver, await by_rule(driver, account))
    assert (record.state, record.reason) == (State.CONTAINED, None), "Azure still has time"
    driver.clock.advance(minutes=11)
    record = await followed_up(driver, record, rules=rules())
    assert (record.state, rotated(account)) == (State.RECEIVED, [])
    after = await ended(driver, record.fingerprint, rules=rules())
    assert (after.state, rotated(account)) == (State.CONTAINED, ["key1"])


async def test_ordered_policy_that_is_not_enforced_in_time_is_a_failure(driver: Driver) -> None:
    account = await logged_account(driver)
    driver.cloud.model.sas_policy_seconds = 45 * 60
    record = await approved(driver, await ordered(driver, account))
    driver.clock.advance(minutes=11)
    record = await followed_up(driver, record)
    assert (record.state, record.reason, rotated(account)) == (State.FAILED, Reason.STILL_ALIVE, [])
    assert "Nothing showed within 10 minutes" in record.detail


# --- it never ends the record while the key stands


async def test_policy_that_somebody_puts_back_is_noticed_daily_and_set_again(driver: Driver) -> None:
    account = await logged_account(driver)
    record = await in_effect(driver, account)
    account.set_sas_policy({"sasExpirationPeriod": "30.00:00:00", "expirationAction": "Log"}, enforced_from=LONG_AGO)
    driver.clock.advance(days=1)
    app = driver.app(rules=rules())
    await app.background.daily_rechecks.run()
    assert (await driver.record(record.fingerprint)).reason is Reason.REVIVED
    after = await ended(driver, record.fingerprint, rules=rules())
    assert (after.state, policy_of(account), rotated(account)) == (State.CONTAINED, WEEK, [])


async def test_policy_that_somebody_puts_back_is_noticed_by_the_next_report(driver: Driver) -> None:
    account = await logged_account(driver)
    record = await in_effect(driver, account)
    account.set_sas_policy({**WEEK, "expirationAction": "Log"}, enforced_from=LONG_AGO)
    driver.clock.advance(minutes=5)
    await driver.app(rules=rules()).fast_path.ingest.receive(report(record.finding))
    await driver.app(rules=rules()).fast_path.containment.resume(Message(record.fingerprint))
    after = await ended(driver, record.fingerprint, rules=rules())
    assert (after.state, policy_of(account)) == (State.CONTAINED, WEEK)


async def test_ordered_policy_that_somebody_puts_back_asks_again(driver: Driver) -> None:
    account = await logged_account(driver)
    record = await followed_up(driver, await approved(driver, await ordered(driver, account)))
    account.set_sas_policy({**WEEK, "expirationAction": "Log"}, enforced_from=LONG_AGO)
    driver.clock.advance(days=1)
    await driver.app().background.daily_rechecks.run()
    after = await ended(driver, record.fingerprint)
    assert (after.state, policy_of(account)["expirationAction"]) == (State.AWAITING_APPROVAL, "Log")


async def test_policy_that_stands_is_left_alone_by_the_daily_check(driver: Driver) -> None:
    account = await logged_account(driver)
    record = await in_effect(driver, account)
    driver.clock.advance(days=1)
    await driver.app(rules=rules()).background.daily_rechecks.run()
    assert (await driver.record(record.fingerprint)).changes == record.changes


async def test_expired_token_ends_the_record_and_the_policy_stays(driver: Driver) -> None:
    account = await logged_account(driver)
    token = generate_account_sas(
        account.name,
        account.keys["key1"],
        resource_types="o",
        permission="r",
        expiry=datetime.now(UTC) + timedelta(days=30),
    )
    leaked = f"https://{account.name}.blob.core.windows.net/m/a?{token}"
    record = await followed_up(driver, await by_rule(driver, account, leaked))
    assert record.reason is Reason.IN_EFFECT
    driver.clock.advance(days=31)
    await driver.app(rules=rules()).background.daily_rechecks.run()
    after = await driver.record(record.fingerprint)
    assert (after.state, after.reason, policy_of(account)) == (State.DISMISSED, Reason.EXPIRED, WEEK)


async def test_second_leak_of_the_account_is_blocked_by_the_same_policy(driver: Driver) -> None:
    """Two leaks of one account: the policy is set once, and each record can be undone."""
    account = await logged_account(driver)
    await in_effect(driver, account)
    driver.cool_down()
    second = await followed_up(driver, await by_rule(driver, account, leak(account, "key2")))
    assert (second.reason, len(driver.requests(f"{PATCH}{account.id}"))) == (Reason.IN_EFFECT, 1)
    await undo(driver, second)
    assert policy_of(account) == WEEK


async def test_regenerated_key_ends_the_record(driver: Driver) -> None:
    account = await logged_account(driver)
    record = await in_effect(driver, account)
    await driver.cloud.model.regenerate(account, "key1")
    driver.clock.advance(days=1)
    await driver.app(rules=rules()).background.daily_rechecks.run()
    after = await ended(driver, record.fingerprint, rules=rules())
    after = await followed_up(driver, after, rules=rules())
    assert after.state is State.CLOSED, after.detail
    assert policy_of(account) == WEEK


# --- undone by people


async def test_undo_puts_the_earlier_policy_back(driver: Driver) -> None:
    account = await logged_account(driver)
    before = {"sasExpirationPeriod": "30.00:00:00", "expirationAction": "Log"}
    account.set_sas_policy(before, enforced_from=LONG_AGO)
    after = await undo(driver, await in_effect(driver, account))
    assert (policy_of(account), after.state, after.reason) == (before, State.UNRESOLVED, Reason.LOCKDOWN_UNDONE)


async def test_undo_without_an_earlier_policy_leaves_one_that_refuses_nothing(driver: Driver) -> None:
    account = await logged_account(driver)
    await undo(driver, await in_effect(driver, account))
    assert policy_of(account) == WEEK | {"expirationAction": "Log"}


async def test_policy_that_somebody_changed_since_is_not_put_back(driver: Driver) -> None:
    account = await logged_account(driver)
    record = await in_effect(driver, account)
    theirs = {"sasExpirationPeriod": "2.00:00:00", "expirationAction": "Block"}
    account.set_sas_policy(theirs, enforced_from=LONG_AGO)
    with pytest.raises(WrongState, match="was changed since"):
        await undo(driver, record)
    assert (policy_of(account), (await driver.record(record.fingerprint)).state) == (theirs, record.state)


async def test_undone_order_is_closed(driver: Driver) -> None:
    account = await logged_account(driver)
    record = await followed_up(driver, await approved(driver, await ordered(driver, account)))
    assert (await undo(driver, record)).state is State.CLOSED


# --- failures


@pytest.mark.parametrize(
    ("code", "says"),
    [("RequestDisallowedByPolicy", "Azure Policy"), ("ScopeLocked", "lock"), ("AuthorizationFailed", "rights.md")],
)
async def test_denial_is_a_failure_that_names_what_denies_it(driver: Driver, code: str, says: str) -> None:
    account = await logged_account(driver)
    driver.fault(PATCH, status=409 if code == "ScopeLocked" else 403, code=code)
    record = await by_rule(driver, account)
    assert (record.state, record.reason, policy_of(account)) == (State.FAILED, Reason.BLOCKED, None)
    assert says in record.detail


@pytest.mark.parametrize("effect", [Effect.STATUS, Effect.RESET])
@pytest.mark.parametrize("after", [False, True])
async def test_lost_answer_is_settled_by_reading(driver: Driver, effect: Effect, *, after: bool) -> None:
    account = await logged_account(driver)
    driver.fault(PATCH, effect, after=after)
    record = await ended(driver, (await by_rule(driver, account)).fingerprint, rules=rules())
    assert (record.state, policy_of(account)) == (State.CONTAINED, WEEK)


async def test_ambiguous_answer_is_settled_by_the_next_holder_of_the_lock(driver: Driver) -> None:
    account = await logged_account(driver)
    record = await ordered(driver, account)
    life = Lifetime(stops_at=PATCH)
    approving = asyncio.create_task(approved(driver, record, life))
    await life.stopped.wait()
    driver.fault(PATCH, Effect.RESET, after=True)
    driver.fault(GET_ACCOUNT, times=3)
    life.go.set()
    await approving
    after = await ended(driver, record.fingerprint)
    assert (after.state, policy_of(account)) == (State.CONTAINED, WEEK)


@pytest.mark.parametrize("carried_out", [False, True])
async def test_crash_at_any_call_never_loses_the_way_back(driver: Driver, *, carried_out: bool) -> None:
    number, interrupted = 0, True
    before = {"sasExpirationPeriod": "30.00:00:00", "expirationAction": "Log"}
    while interrupted:
        number += 1
        account = await logged_account(driver)
        account.set_sas_policy(before, enforced_from=LONG_AGO)
        finding = found(leaks.account_sas(account.name, account.keys["key1"]))
        life, one = Lifetime(ends_at=number, carried_out=carried_out), report(finding)
        try:
            await driver.app(life, rules=rules()).fast_path.ingest.receive(one)
        except Crashed:
            driver.clock.advance(minutes=1)
            await driver.app(rules=rules()).fast_path.ingest.receive(one)
        except SasquashError as error:
            raise AssertionError(f"at call {number}") from error
        interrupted = life.ended
        record = await ended(driver, finding.fingerprint, rules=rules())
        assert (record.state, policy_of(account)) == (State.CONTAINED, WEEK), f"at call {number}: {record.detail}"
        driver.clock.advance(minutes=4)  # the lock of the interrupted instance may still be held
        await undo(driver, record)
        assert policy_of(account) == before, f"at call {number}"
    assert number > 12
