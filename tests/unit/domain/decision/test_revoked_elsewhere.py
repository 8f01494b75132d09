"""A leak that was verified once, and whose key or policy is not what it was: somebody else revoked it."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.actions.registry import ACTION_SPECS
from shared.domain.account import AccountKey, PolicyState
from shared.domain.decision.batch import Batch, Decider
from shared.domain.decision.snapshot import PastExecution, Snapshot
from shared.domain.finding import Finding
from shared.domain.retired_keys import RetiredKeys
from shared.domain.revocation import Revocation
from shared.domain.signer import Signer
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind
from shared.sas import key_sha256
from tests.support import samples
from tests.support.samples import KEYS, NOW

BEFORE = NOW - timedelta(days=3)
NEW = samples.key("by hand")
LEAK = samples.finding(samples.account_sas(key_name="key2"))
UNDER_POLICY = samples.finding(samples.policy_sas(key_name="key1", policy="partners"))
OF_KEY = Signer("key2", key_sha256(KEYS["key2"]), BEFORE)
OF_POLICY = Signer("key1", key_sha256(KEYS["key1"]), BEFORE, str(samples.POLICY), "b" * 64)


def snapshot(
    finding: Finding,
    *executions: PastExecution,
    key2: str = KEYS["key2"],
    made: datetime | None = None,
    policy: PolicyState = PolicyState.LIVE,
) -> Snapshot:
    keys = {"key1": AccountKey(KEYS["key1"], None), "key2": AccountKey(key2, made)}
    reading = samples.reading(policy, version="c" * 64, permissions="rwdl")
    return Snapshot(samples.account(), keys, (finding,), executions, NOW, {str(samples.POLICY): reading})


def decided(read: Snapshot, signer: Signer | None, *, own: bool = True) -> Revocation | None:
    """The record of the leak that waits: the one that the account was locked for, or another."""
    record = replace(Revocation.of(read.waiting[0], now=NOW), signer=signer)
    locked_for = record if own else Revocation.of(samples.finding(samples.blob_sas()), now=NOW)
    policy = samples.settings(mode="approve").decision_policy(ACTION_SPECS)
    batch: Batch = Decider(policy=policy, retired=RetiredKeys(clock=lambda: NOW)).decide(read, locked_for, now=NOW)
    return batch.verdict(batch.leaks[0], record, now=NOW)


def verdict(read: Snapshot, signer: Signer | None) -> Revocation:
    record = decided(read, signer)
    assert record is not None
    return record


def test_leak_whose_key_is_gone_since_it_was_verified_is_revoked_by_somebody_else() -> None:
    record = verdict(snapshot(LEAK, key2=NEW, made=NOW - timedelta(hours=1)), OF_KEY)
    execution = record.execution
    assert execution is not None
    assert (record.state, record.key_name, record.signer) == (State.CONTAINED, "key2", OF_KEY)
    assert (execution.is_ours, execution.target, execution.at) == (False, "key2", NOW - timedelta(hours=1))
    assert (execution.old_sha256, execution.new_sha256) == (OF_KEY.key_sha256, key_sha256(NEW))
    assert "somebody else" in record.detail


def test_time_of_a_key_that_arm_does_not_say_is_that_of_the_check() -> None:
    execution = verdict(snapshot(LEAK, key2=NEW), OF_KEY).execution
    assert execution is not None
    assert execution.at == NOW


def test_leak_that_was_never_verified_may_be_forged() -> None:
    assert verdict(snapshot(LEAK, key2=NEW), None).reason is Reason.NO_KEY_MATCHES


@pytest.mark.parametrize(("days", "reason"), [(2, Reason.COVERED), (4, None)])
def test_key_that_sasquash_regenerated_since_covers_the_leak(days: int, reason: Reason | None) -> None:
    ours = PastExecution(ActionKind.ACCOUNT_KEY, "key2", NOW - timedelta(days=days))
    other = PastExecution(ActionKind.ACCOUNT_KEY, "key1", NOW - timedelta(days=1))
    assert verdict(snapshot(LEAK, ours, other, key2=NEW), OF_KEY).reason is reason


def test_leak_whose_key_is_listed_is_decided_as_ever() -> None:
    assert verdict(snapshot(LEAK), OF_KEY).state is State.AWAITING_APPROVAL


def test_verified_leak_is_remembered_with_its_policy_that_was_in_force() -> None:
    now = Signer("key1", key_sha256(KEYS["key1"]), NOW, str(samples.POLICY), "c" * 64)
    assert verdict(snapshot(UNDER_POLICY), None).signer == now
    assert verdict(snapshot(LEAK), None).signer == replace(OF_KEY, at=NOW)


@pytest.mark.parametrize("state", [PolicyState.GONE, PolicyState.EXPIRED])
def test_leak_whose_policy_ended_since_it_was_in_force_is_revoked_by_somebody_else(state: PolicyState) -> None:
    record = verdict(snapshot(UNDER_POLICY, policy=state), OF_POLICY)
    execution = record.execution
    assert execution is not None
    assert (record.state, record.key_name, execution.is_ours) == (State.CONTAINED, "key1", False)
    assert (execution.target, execution.old_sha256) == (str(samples.POLICY), OF_POLICY.version)


@pytest.mark.parametrize(
    ("state", "signer"),
    [
        (PolicyState.TOMBSTONE, OF_POLICY),  # Sasquash left it
        (PolicyState.GONE, None),
        (PolicyState.GONE, replace(OF_POLICY, policy="", version="")),  # it was not in force
        (PolicyState.GONE, replace(OF_POLICY, policy="blob/models/another")),
        (PolicyState.GONE, replace(OF_POLICY, key_sha256="0" * 64)),
    ],
)
def test_policy_that_was_not_seen_in_force_leaves_the_leak_dormant(state: PolicyState, signer: Signer | None) -> None:
    record = verdict(snapshot(UNDER_POLICY, policy=state), signer)
    assert record.reason in (Reason.POLICY_GONE, Reason.POLICY_EXPIRED)


def test_policy_that_is_gone_where_sasquash_deletes_policies_may_have_been_deleted_for_another_leak() -> None:
    read = snapshot(UNDER_POLICY, policy=PolicyState.GONE)
    deletes = replace(read, account=samples.account(tags={"sasquash-policy-removal": "delete"}))
    assert verdict(deletes, OF_POLICY).reason is Reason.POLICY_GONE


def test_dormant_policy_does_not_make_it_forgotten_that_it_was_in_force() -> None:
    assert verdict(snapshot(UNDER_POLICY, policy=PolicyState.TOMBSTONE), OF_POLICY).signer == OF_POLICY


@pytest.mark.parametrize("read", [snapshot(LEAK, key2=NEW), snapshot(UNDER_POLICY, policy=PolicyState.GONE)])
def test_verified_leak_has_a_batch_of_its_own(read: Snapshot) -> None:
    """Only its own batch knows that it was verified."""
    assert decided(read, OF_KEY, own=False) is None
    assert decided(read, None, own=False) is not None
