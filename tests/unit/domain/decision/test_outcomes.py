"""What a record becomes after its evaluation, and which leaks an execution covers."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.actions.registry import ACTION_SPECS
from shared.domain.approval import Approval, AtDeadline, Rejection
from shared.domain.caller import Caller
from shared.domain.decision import outcomes
from shared.domain.decision.approval_policy import Decision
from shared.domain.decision.attribution import Verdict
from shared.domain.decision.evaluation import Evaluation
from shared.domain.decision.rules import RuleOutcome
from shared.domain.execution import Liveness, Plan
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind
from tests.support import samples
from tests.support.samples import NOW

PLAN = samples.plan(target="key2")
POLICY = replace(PLAN, action=ActionKind.STORED_POLICY, target="blob/models/partners", version="a" * 64)
HOURS = timedelta(hours=4)


def evaluated(
    outcome: RuleOutcome = RuleOutcome.ACT,
    *,
    plan: Plan | None = PLAN,
    action: ActionKind = ActionKind.ACCOUNT_KEY,
    key_name: str | None = "key2",
    reason: Reason | None = None,
) -> Evaluation:
    verdict = Verdict("Why.", action=action, key_name=key_name, key_sha256=PLAN.version, reason=reason)
    return Evaluation(samples.finding(), verdict, plan, Decision(outcome, "because"))


def decided(
    one: Evaluation, *, executed: Plan | None = None, record: Revocation | None = None, **changed: str
) -> Revocation | None:
    policy = samples.settings(**changed).decision_policy(ACTION_SPECS)
    return outcomes.decided(record or samples.revocation(), one, executed=executed, policy=policy, now=NOW)


def test_observed_record_says_what_would_have_been_done() -> None:
    record = decided(evaluated(RuleOutcome.OBSERVE))
    assert record is not None
    assert (record.state, record.detail) == (State.OBSERVED, f"Would have acted: {PLAN.reason}")


def test_approval_is_requested_with_a_deadline_and_without_an_earlier_approval() -> None:
    stale = Approval(Caller("Ada", "1"), NOW, "0" * 64, "")
    record = decided(evaluated(RuleOutcome.ASK), record=samples.revocation(approval=stale))
    assert record is not None
    assert (record.state, record.deadline, record.approval) == (State.AWAITING_APPROVAL, NOW + HOURS, None)


def test_first_of_two_approvals_stays_in_the_record_and_is_named() -> None:
    first = samples.approval(PLAN.digest)
    one = replace(evaluated(RuleOutcome.ASK), decision=Decision(RuleOutcome.ASK, "because", first=first))
    record = decided(one, record=samples.revocation(rejections=(Rejection(samples.PERSON, NOW, "No."),)))
    assert record is not None
    assert (record.first_approval, record.rejections) == (first, ())
    assert record.detail.endswith(f"1 of 2 approvals is there: by {samples.PERSON}.")


def test_first_approval_of_another_plan_is_dropped() -> None:
    record = decided(evaluated(RuleOutcome.ASK), record=samples.revocation(first_approval=samples.approval("0" * 64)))
    assert record is not None
    assert record.first_approval is None


@pytest.mark.parametrize(("setting", "comes"), [("escalate", AtDeadline.ESCALATE), ("revoke", AtDeadline.REVOKE)])
def test_record_says_what_happens_at_its_deadline(setting: str, comes: AtDeadline) -> None:
    record = decided(evaluated(RuleOutcome.ASK), at_deadline=setting)
    assert record is not None
    assert record.at_deadline is comes


def test_second_key_is_escalated_at_its_deadline() -> None:
    record = decided(evaluated(), executed=replace(PLAN, target="key1"), at_deadline="revoke")
    assert record is not None
    assert record.at_deadline is AtDeadline.ESCALATE


def test_leak_to_act_on_waits_for_its_batch_if_nothing_was_executed() -> None:
    assert decided(evaluated()) is None


def test_approval_is_required_if_the_other_key_was_just_rotated() -> None:
    record = decided(evaluated(), executed=replace(PLAN, target="key1"))
    assert record is not None
    assert record.state is State.AWAITING_APPROVAL
    assert "other key" in record.detail


@pytest.mark.parametrize(("plan", "executed"), [(POLICY, PLAN), (PLAN, POLICY), (POLICY, POLICY)])
def test_policy_and_key_do_not_require_approval_for_each_other(plan: Plan, executed: Plan) -> None:
    assert decided(evaluated(plan=plan), executed=executed) is None


def test_reason_ends_the_record_regardless_of_the_plan() -> None:
    record = decided(evaluated(RuleOutcome.ASK, reason=Reason.POLICY_GONE, plan=POLICY))
    assert record is not None
    assert (record.state, record.reason, record.plan) == (State.UNRESOLVED, Reason.POLICY_GONE, None)


def test_policy_that_cannot_be_reached_is_tried_again() -> None:
    record = decided(evaluated(reason=Reason.BLOCKED))
    assert record is not None
    assert (record.state, record.next_attempt) == (State.FAILED, NOW + timedelta(minutes=1))


def test_tombstone_stays_planned() -> None:
    record = decided(evaluated(reason=Reason.POLICY_GONE, plan=POLICY))
    assert record is not None
    assert record.plan == POLICY


def test_record_without_plan_or_reason_is_evaluated_again() -> None:
    assert decided(evaluated(plan=None)) is None


@pytest.mark.parametrize(
    ("one", "plan", "ends"),
    [
        (evaluated(), PLAN, True),
        (evaluated(key_name="key1"), PLAN, False),
        (evaluated(plan=POLICY, action=ActionKind.STORED_POLICY), PLAN, True),
        (evaluated(reason=Reason.POLICY_GONE, plan=None), PLAN, True),
        (evaluated(plan=POLICY, action=ActionKind.STORED_POLICY), POLICY, True),
        (evaluated(plan=replace(POLICY, target="blob/models/other")), POLICY, False),
        (evaluated(plan=POLICY, reason=Reason.POLICY_GONE), POLICY, False),
        (evaluated(), POLICY, False),
        (
            evaluated(action=ActionKind.DELEGATION_KEY, key_name=None),
            replace(PLAN, action=ActionKind.DELEGATION_KEY),
            True,
        ),
        (evaluated(), replace(PLAN, action=ActionKind.DELEGATION_KEY), False),
        (evaluated(), replace(PLAN, action=ActionKind.LOCKDOWN, target="shared_key"), False),
    ],
)
def test_execution_ends_the_leaks_that_its_target_signed_or_governs(one: Evaluation, plan: Plan, ends: bool) -> None:
    assert outcomes.ends_with(one, plan, ACTION_SPECS) is ends


def test_record_holds_the_notes_of_its_execution() -> None:
    execution = replace(samples.execution(confirmed_by="listing"), notes=("The lease was broken.",))
    record = outcomes.of_execution(samples.revocation(), execution, samples.account(), actions=ACTION_SPECS, now=NOW)
    assert (record.state, record.execution) == (State.CONTAINED, execution)
    assert record.detail == (
        "key2 of robustmodels was regenerated. Azure's answer was lost; reading the account back shows that it "
        "happened. The lease was broken."
    )


def test_leak_revoked_by_another_execution_is_covered() -> None:
    record = outcomes.of_covered(
        samples.revocation(), samples.execution(), samples.account(), actions=ACTION_SPECS, now=NOW
    )
    assert (record.state, record.reason) == (State.DISMISSED, Reason.COVERED)
    assert record.detail == "key2 of robustmodels was regenerated, for another leak, which revoked this one, too."


def test_approved_or_asked_leak_has_its_own_batch() -> None:
    approved = samples.revocation(approval=Approval(Caller("Ada", "1"), NOW, "0" * 64, ""))
    asked = samples.revocation(liveness=Liveness(NOW, True, "Lives."))
    assert outcomes.has_its_own_turn(evaluated(), approved)
    assert outcomes.has_its_own_turn(evaluated(action=ActionKind.DELEGATION_KEY, key_name=None), asked)
    assert not outcomes.has_its_own_turn(evaluated(), samples.revocation())
