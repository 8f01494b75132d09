"""What is decided for an account at once: which actions, in which order, and what becomes of the rest."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.actions.registry import ACTION_SPECS
from shared.domain.account import AccountKey, PolicyReading, PolicyState
from shared.domain.decision.batch import Batch, Decider, PlannedAction
from shared.domain.decision.evaluation import Evaluation
from shared.domain.decision.snapshot import Snapshot
from shared.domain.finding import Finding
from shared.domain.retired_keys import RetiredKeys
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.domain.target import DELEGATION_KEYS, ActionKind, PolicyTarget
from shared.errors import Blocked
from shared.sas import Service
from tests.support import samples
from tests.support.samples import KEYS, NOW

KEY1 = samples.finding(samples.account_sas(key_name="key1"))
KEY2 = samples.finding(samples.account_sas(key_name="key2"))
SMALL1 = samples.finding(samples.blob_sas(key_name="key1"))  # a person is asked about it
POLICY1 = samples.finding(samples.policy_sas(key_name="key1", policy="partners"))
POLICY2 = samples.finding(samples.policy_sas(key_name="key2", policy="suppliers"))
FORGED = samples.finding(samples.account_sas(key_name="key2").replace("sp=rwdl", "sp=rwd"))


def reading(policy: str, state: PolicyState = PolicyState.LIVE) -> PolicyReading:
    target = PolicyTarget(Service.BLOB, "models", policy)
    return samples.reading(state, target=target, version=policy[0] * 64, permissions="rwdl")


def batch_of(*waiting: Finding, own: Revocation | None = None, partners: PolicyState = PolicyState.LIVE) -> Batch:
    """What is decided where these wait; the first is the one that the lock was taken for."""
    readings = (reading("partners", partners), reading("suppliers"))
    snapshot = Snapshot(
        account=samples.account(),
        keys={name: AccountKey(value, NOW - timedelta(days=400)) for name, value in KEYS.items()},
        waiting=waiting,
        executions=(),
        at=NOW,
        policies={str(each.target): each for each in readings},
    )
    return decider().decide(snapshot, own or record_of(waiting[0]), now=NOW)


def decider() -> Decider:
    policy = samples.settings(mode="auto").decision_policy(ACTION_SPECS)
    return Decider(policy=policy, retired=RetiredKeys(clock=lambda: NOW))


def record_of(finding: Finding) -> Revocation:
    return Revocation.of(finding, now=NOW)


def next_of(batch: Batch) -> PlannedAction:
    action = batch.next_action()
    assert action is not None
    return action


def target_of(batch: Batch) -> str | None:
    action = batch.next_action()
    return action.plan.target if action is not None else None


def leak_of(batch: Batch, finding: Finding) -> Evaluation:
    [leak] = [leak for leak in batch.leaks if leak.finding == finding]
    return leak


def findings(leaks: tuple[Evaluation, ...]) -> list[Finding]:
    return [leak.finding for leak in leaks]


def test_key_is_regenerated_before_a_policy_is_ended() -> None:
    assert target_of(batch_of(POLICY2, KEY1)) == "key1"


def test_action_ends_every_leak_that_its_key_signed() -> None:
    action = next_of(batch_of(POLICY1, SMALL1, POLICY2, KEY1))
    assert (action.leak.finding, findings(action.ends)) == (KEY1, [KEY1, POLICY1, SMALL1])


def test_leak_that_only_asks_and_one_that_is_forged_bring_no_action() -> None:
    assert batch_of(SMALL1, FORGED).next_action() is None


def test_nothing_follows_a_regenerated_key() -> None:
    batch = batch_of(KEY1, POLICY2, KEY2)
    assert batch.executed(next_of(batch)).next_action() is None


def test_what_was_revoked_is_no_longer_in_the_batch() -> None:
    batch = batch_of(KEY1, SMALL1, FORGED)
    assert findings(batch.executed(next_of(batch)).leaks) == [FORGED]


def test_another_policy_follows_one_that_was_ended() -> None:
    batch = batch_of(POLICY1, POLICY2)
    assert [target_of(batch), target_of(batch.executed(next_of(batch)))] == [
        "blob/models/partners",
        "blob/models/suppliers",
    ]


def test_policy_follows_a_key_that_azure_refused_to_regenerate_and_the_other_key_does_not() -> None:
    batch = batch_of(KEY1, KEY2, POLICY2)
    left, refused = batch.refused(next_of(batch))
    assert (findings(refused), target_of(left)) == ([KEY1], "blob/models/suppliers")


def test_leak_that_asks_is_not_refused_with_the_one_that_acts_under_its_key() -> None:
    batch = batch_of(KEY1, SMALL1)
    left, refused = batch.refused(next_of(batch))
    assert (findings(refused), findings(left.leaks)) == ([KEY1], [SMALL1])


def test_what_waits_for_its_action_holds_up_no_other() -> None:
    batch = batch_of(KEY1, SMALL1, KEY2)
    left = batch.without(next_of(batch).ends)
    assert (target_of(left), findings(left.leaks)) == ("key2", [KEY2])


def test_leak_whose_record_does_not_stand_gives_way_to_the_next_under_its_key() -> None:
    batch = batch_of(KEY1, POLICY1, samples.finding(samples.account_sas(key_name="key1", permissions="rw")))
    left = batch.without([next_of(batch).leak])
    assert (target_of(left), next_of(left).leak.finding == KEY1) == ("key1", False)


def test_whether_an_action_is_about_the_leak_that_the_lock_was_taken_for() -> None:
    batch = batch_of(SMALL1, KEY1)
    assert batch.is_about_own(next_of(batch).ends)
    assert not batch_of(FORGED, KEY1).is_about_own(next_of(batch).ends)


# --- what came late


def test_leak_that_came_while_its_key_was_regenerated_ends_with_it() -> None:
    batch = batch_of(KEY1)
    assert findings(batch.covers(next_of(batch), (SMALL1, KEY2), now=NOW)) == [SMALL1]


@pytest.mark.parametrize(("action", "may"), [(ActionKind.ACCOUNT_KEY, True), (ActionKind.DELEGATION_KEY, False)])
def test_user_delegation_sas_that_came_late_has_a_batch_of_its_own(action: ActionKind, may: bool) -> None:
    planned = next_of(batch_of(KEY1))
    plan = replace(planned.plan, action=action, target=DELEGATION_KEYS)
    assert replace(planned, plan=plan).may_cover_late is may


# --- verdicts


def verdict(batch: Batch, finding: Finding, record: Revocation | None = None) -> Revocation | None:
    return batch.verdict(leak_of(batch, finding), record or record_of(finding), now=NOW)


def test_second_key_asks_a_person_once_the_first_was_regenerated() -> None:
    batch = batch_of(KEY1, KEY2)
    asked = verdict(batch.executed(next_of(batch)), KEY2)
    assert asked is not None
    assert (asked.state, "second rotation" in asked.detail) == (State.AWAITING_APPROVAL, True)


def test_second_key_waits_for_its_own_batch_where_the_first_was_refused() -> None:
    batch = batch_of(KEY1, KEY2)
    assert verdict(batch.refused(next_of(batch))[0], KEY2) is None


def test_forged_leak_has_a_verdict_without_an_action() -> None:
    record = verdict(batch_of(KEY1, FORGED), FORGED)
    assert record is not None
    assert (record.state, record.reason) == (State.UNRESOLVED, Reason.NO_KEY_MATCHES)


def test_approved_leak_of_another_session_is_left_to_its_own() -> None:
    approved = replace(record_of(SMALL1), approval=samples.approval("0" * 64))
    assert verdict(batch_of(KEY2, SMALL1), SMALL1, approved) is None


def test_approved_leak_is_decided_in_its_own_session() -> None:
    approved = replace(record_of(SMALL1), approval=samples.approval("0" * 64))
    assert verdict(batch_of(SMALL1, own=approved), SMALL1, approved) is not None


def test_tombstone_of_a_policy_that_is_gone_waits_where_a_key_was_regenerated() -> None:
    batch = batch_of(POLICY1, KEY2, partners=PolicyState.GONE)
    assert verdict(batch.executed(next_of(batch)), POLICY1) is None


def test_tombstone_of_a_policy_that_is_gone_is_left_after_another_policy_was_ended() -> None:
    batch = batch_of(POLICY1, POLICY2, partners=PolicyState.GONE)
    record = verdict(batch.executed(next_of(batch)), POLICY1)
    assert record is not None
    assert (record.reason, record.plan is not None) == (Reason.POLICY_GONE, True)


def test_records_of_an_action_say_what_was_run_and_what_ended_with_it() -> None:
    batch = batch_of(KEY1, SMALL1)
    execution = replace(samples.execution(), target="key1")
    contained = batch.contained(leak_of(batch, KEY1), record_of(KEY1), execution, now=NOW)
    covered = batch.covered(leak_of(batch, SMALL1), record_of(SMALL1), execution, now=NOW)
    blocked = batch.blocked(leak_of(batch, KEY1), record_of(KEY1), Blocked("A lock."), now=NOW)
    assert (contained.state, contained.key_name, contained.execution) == (State.CONTAINED, "key1", execution)
    assert (covered.reason, covered.execution, covered.key_name) == (Reason.COVERED, None, "key1")
    assert (blocked.reason, blocked.detail) == (Reason.BLOCKED, "A lock.")


# --- a dry run


def test_preview_says_that_it_would_act() -> None:
    batch = batch_of(KEY1)
    record = decider().preview(batch.snapshot, record_of(KEY1), now=NOW)
    assert (record.state, record.detail.startswith("Would act without asking: ")) == (State.OBSERVED, True)


@pytest.mark.parametrize(("finding", "state"), [(SMALL1, State.AWAITING_APPROVAL), (FORGED, State.UNRESOLVED)])
def test_preview_says_what_a_leak_would_come_to(finding: Finding, state: State) -> None:
    batch = batch_of(finding)
    assert decider().preview(batch.snapshot, record_of(finding), now=NOW).state is state
