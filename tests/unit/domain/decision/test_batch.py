"""What is decided for one account at once, and what is left of it after each action."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.actions.registry import ACTION_SPECS
from shared.domain.account import AccountKey, PolicyReading, PolicyState
from shared.domain.decision.batch import Batch, Decider, PlannedAction
from shared.domain.decision.snapshot import Snapshot
from shared.domain.finding import Finding
from shared.domain.retired_keys import RetiredKeys
from shared.domain.revocation import Reason, Revocation, State
from shared.domain.target import ActionKind, PolicyTarget
from shared.sas import Service
from tests.support import samples
from tests.support.samples import KEYS, NOW, POLICY

BY_KEY1 = samples.finding(samples.blob_sas(key_name="key1", permissions="rw"))
BY_KEY2 = samples.finding(samples.account_sas(key_name="key2"))
ALSO_BY_KEY2 = samples.finding(samples.account_sas(key_name="key2", life=timedelta(days=900)))
READS = samples.finding(samples.blob_sas(key_name="key1", permissions="r"))
UNDER_POLICY = samples.finding(samples.policy_sas(permissions="rw"))
OTHER = PolicyTarget(Service.QUEUE, "jobs", "partners")
UNDER_OTHER = samples.finding(samples.policy_sas(service=Service.QUEUE, permissions="rap"))
DELEGATED = samples.finding(samples.delegation_sas(permissions="rw"))
READINGS = (samples.reading(), samples.reading(target=OTHER))


def batch(*findings: Finding, readings: tuple[PolicyReading, ...] = READINGS, mode: str = "auto") -> Batch:
    """A batch whose lock was taken for the first of `findings`."""
    keys = {name: AccountKey(value, NOW) for name, value in KEYS.items()}
    policies = {str(reading.target): reading for reading in readings}
    snapshot = Snapshot(samples.account(), keys, findings, (), NOW, policies)
    return decider(mode).decide(snapshot, record_of(findings[0]), now=NOW)


def decider(mode: str = "auto") -> Decider:
    policy = samples.settings(mode=mode).decision_policy(ACTION_SPECS)
    return Decider(policy=policy, retired=RetiredKeys(clock=lambda: NOW))


def record_of(finding: Finding) -> Revocation:
    liveness = samples.liveness() if finding is DELEGATED else None
    return Revocation(finding, NOW, liveness=liveness)


def next_of(batch: Batch) -> PlannedAction:
    action = batch.next_action()
    assert action is not None
    return action


def leaked(batch: Batch) -> list[Finding]:
    return [leak.finding for leak in batch.leaks]


# the next action


def test_key_is_regenerated_first_for_every_leak_that_it_signed() -> None:
    action = next_of(batch(UNDER_OTHER, BY_KEY2, BY_KEY1, ALSO_BY_KEY2))

    assert (action.plan.action, action.plan.target) == (ActionKind.ACCOUNT_KEY, "key2")
    assert [leak.finding for leak in action.ends] == [BY_KEY2, ALSO_BY_KEY2]


def test_key_that_signed_under_a_policy_ends_that_leak_too() -> None:
    assert [leak.finding for leak in next_of(batch(BY_KEY1, UNDER_POLICY)).ends] == [BY_KEY1, UNDER_POLICY]


@pytest.mark.parametrize("mode", ["observe", "approve"])
def test_no_action_without_approval(mode: str) -> None:
    assert batch(BY_KEY2, UNDER_POLICY, mode=mode).next_action() is None


def test_no_action_for_a_leak_that_requires_approval_or_is_over() -> None:
    gone = samples.reading(PolicyState.GONE)

    assert batch(READS, UNDER_POLICY, readings=(gone,)).next_action() is None


def test_only_policies_follow_a_policy_under_one_lock() -> None:
    first = batch(UNDER_POLICY, UNDER_OTHER, DELEGATED)
    after = first.executed(next_of(first))

    assert leaked(after) == [UNDER_OTHER, DELEGATED]
    assert next_of(after).plan.target == str(OTHER)
    assert after.executed(next_of(after)).next_action() is None


def test_nothing_follows_a_regenerated_key() -> None:
    first = batch(BY_KEY2, UNDER_POLICY)
    after = first.executed(next_of(first))

    assert (leaked(after), after.regenerated) == ([UNDER_POLICY], after.last)
    assert after.next_action() is None


def test_policy_follows_a_refused_action() -> None:
    first = batch(BY_KEY2, UNDER_POLICY, ALSO_BY_KEY2)
    after, asking = first.refused(next_of(first))

    assert [leak.finding for leak in asking] == [BY_KEY2, ALSO_BY_KEY2]
    assert (leaked(after), after.regenerated) == ([UNDER_POLICY], None)
    assert next_of(after).plan.target == str(POLICY)


@pytest.mark.parametrize(("finding", "covers"), [(BY_KEY2, True), (UNDER_POLICY, True), (DELEGATED, False)])
def test_delegation_keys_do_not_cover_late_leaks(finding: Finding, covers: bool) -> None:
    assert next_of(batch(finding)).may_cover_late is covers


# what an action covers


def test_late_leaks_of_the_same_key_are_covered() -> None:
    one = batch(BY_KEY2)

    covered = one.covers(next_of(one), [ALSO_BY_KEY2, BY_KEY1], now=NOW)

    assert [leak.finding for leak in covered] == [ALSO_BY_KEY2]


def test_covered_leaks_exclude_the_one_that_the_action_was_run_for() -> None:
    one = batch(BY_KEY2, ALSO_BY_KEY2)

    assert [leak.finding for leak in one.covers(next_of(one), [], now=NOW)] == [ALSO_BY_KEY2]


def test_batch_knows_its_own_leak() -> None:
    one = batch(BY_KEY1, BY_KEY2)

    assert one.is_about_own(one.leaks)
    assert not one.is_about_own(one.leaks[1:])


def test_leaks_are_taken_out_of_a_batch() -> None:
    one = batch(BY_KEY1, BY_KEY2)

    assert leaked(one.without([one.leaks[0]])) == [BY_KEY2]


# records


def test_record_of_an_executed_action_holds_its_plan_and_its_signer() -> None:
    one = batch(BY_KEY2)
    record = one.contained(one.leaks[0], record_of(BY_KEY2), samples.execution(), now=NOW)

    assert (record.state, record.key_name, record.plan) == (State.CONTAINED, "key2", next_of(one).plan)
    assert record.account == samples.account()
    assert record.attributed_at == NOW


def test_record_of_a_covered_leak_names_the_action() -> None:
    one = batch(BY_KEY2, ALSO_BY_KEY2)
    record = one.covered(one.leaks[1], record_of(ALSO_BY_KEY2), samples.execution(), now=NOW)

    assert (record.state, record.reason, record.key_name) == (State.DISMISSED, Reason.COVERED, "key2")


def test_record_of_a_refused_action_says_why() -> None:
    one = batch(BY_KEY2)
    record = one.blocked(one.leaks[0], record_of(BY_KEY2), "A lock forbids it.", now=NOW)

    assert (record.state, record.reason, record.detail) == (State.FAILED, Reason.BLOCKED, "A lock forbids it.")


def test_verdict_holds_the_policy_that_was_read() -> None:
    one = batch(UNDER_POLICY, mode="approve")
    record = one.verdict(one.leaks[0], record_of(UNDER_POLICY), now=NOW)

    assert record is not None
    assert (record.state, record.policy) == (State.AWAITING_APPROVAL, samples.reading())


def test_approved_leak_that_only_waits_has_a_batch_of_its_own() -> None:
    one = batch(READS, BY_KEY2, mode="approve")
    approved = replace(record_of(BY_KEY2), approval=samples.approval("0" * 64))

    assert one.verdict(one.leaks[1], approved, now=NOW) is None
    assert batch(BY_KEY2, mode="approve").verdict(one.leaks[1], approved, now=NOW) is not None


def test_other_key_requires_approval_after_a_rotation() -> None:
    first = batch(BY_KEY2, BY_KEY1)
    after = first.executed(next_of(first))

    record = after.verdict(after.leaks[0], record_of(BY_KEY1), now=NOW)

    assert record is not None
    assert record.state is State.AWAITING_APPROVAL
    assert "other key" in record.detail


def test_tombstone_waits_for_its_own_batch_after_a_rotation() -> None:
    first = batch(BY_KEY2, UNDER_POLICY, readings=(samples.reading(PolicyState.GONE),))
    after = first.executed(next_of(first))

    assert first.verdict(first.leaks[1], record_of(UNDER_POLICY), now=NOW) is not None
    assert after.verdict(after.leaks[0], record_of(UNDER_POLICY), now=NOW) is None


# dry run


def test_preview_says_what_would_be_done_without_asking() -> None:
    one = batch(BY_KEY2)
    record = decider().preview(one.snapshot, one.own, now=NOW)

    assert (record.state, record.plan) == (State.OBSERVED, next_of(one).plan)
    assert record.detail.startswith("Would act without asking: rule account-wide")


def test_preview_of_a_leak_that_requires_approval_says_so() -> None:
    one = batch(READS)

    assert decider().preview(one.snapshot, one.own, now=NOW).state is State.AWAITING_APPROVAL


def test_preview_of_a_leak_whose_policy_was_not_read_is_undecided() -> None:
    one = batch(UNDER_POLICY, readings=())

    assert decider().preview(one.snapshot, one.own, now=NOW).state is State.RECEIVED
