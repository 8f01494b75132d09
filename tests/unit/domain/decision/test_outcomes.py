"""What a record becomes once its leak was weighed, and what ends with what."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.caller import Caller
from shared.domain.decision import outcomes
from shared.domain.decision.approval_policy import Decision
from shared.domain.decision.attribution import Verdict
from shared.domain.decision.evaluation import Evaluation
from shared.domain.decision.rules import RuleOutcome
from shared.domain.revocation import Approval, AtDeadline, Liveness, Plan, Reason, Revocation, State
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
    settings = samples.settings(**changed)
    return outcomes.decided(record or samples.revocation(), one, executed=executed, settings=settings, now=NOW)


def test_what_is_only_observed_says_what_would_have_been_done() -> None:
    record = decided(evaluated(RuleOutcome.OBSERVE))
    assert record is not None
    assert (record.state, record.detail) == (State.OBSERVED, f"Would have acted: {PLAN.reason}")


def test_what_is_asked_waits_with_a_deadline_and_without_an_approval_of_before() -> None:
    stale = Approval(Caller("Ada", "1"), NOW, "0" * 64, "")
    record = decided(evaluated(RuleOutcome.ASK), record=samples.revocation(approval=stale))
    assert record is not None
    assert (record.state, record.deadline, record.approval) == (State.AWAITING_APPROVAL, NOW + HOURS, None)


@pytest.mark.parametrize(("setting", "comes"), [("escalate", AtDeadline.ESCALATE), ("revoke", AtDeadline.REVOKE)])
def test_what_is_asked_says_what_comes_at_its_deadline(setting: str, comes: AtDeadline) -> None:
    record = decided(evaluated(RuleOutcome.ASK), at_deadline=setting)
    assert record is not None
    assert record.at_deadline is comes


def test_second_key_is_a_person_s_to_decide_at_its_deadline_too() -> None:
    record = decided(evaluated(), executed=replace(PLAN, target="key1"), at_deadline="revoke")
    assert record is not None
    assert record.at_deadline is AtDeadline.ESCALATE


def test_what_acts_has_its_own_turn_when_nothing_was_pulled() -> None:
    assert decided(evaluated()) is None


def test_what_acts_asks_when_the_account_s_other_key_was_just_rotated() -> None:
    record = decided(evaluated(), executed=replace(PLAN, target="key1"))
    assert record is not None
    assert record.state is State.AWAITING_APPROVAL
    assert "other key" in record.detail


@pytest.mark.parametrize(("plan", "executed"), [(POLICY, PLAN), (PLAN, POLICY), (POLICY, POLICY)])
def test_a_policy_never_makes_a_key_wait_nor_a_key_a_policy(plan: Plan, executed: Plan) -> None:
    assert decided(evaluated(plan=plan), executed=executed) is None


def test_a_reason_ends_the_record_whatever_was_planned() -> None:
    record = decided(evaluated(RuleOutcome.ASK, reason=Reason.POLICY_GONE, plan=POLICY))
    assert record is not None
    assert (record.state, record.reason, record.plan) == (State.UNRESOLVED, Reason.POLICY_GONE, None)


def test_the_tombstone_that_may_be_left_stays_planned() -> None:
    record = decided(evaluated(reason=Reason.POLICY_GONE, plan=POLICY))
    assert record is not None
    assert record.plan == POLICY


def test_without_a_plan_or_a_reason_it_is_looked_at_again() -> None:
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
def test_what_ends_with_a_pull_is_what_hangs_on_it(one: Evaluation, plan: Plan, ends: bool) -> None:
    assert outcomes.ends_with(one, plan) is ends


def test_a_pull_is_told_with_its_notes() -> None:
    execution = replace(samples.execution(confirmed_by="listing"), notes=("The lease was broken.",))
    record = outcomes.of_execution(samples.revocation(), execution, samples.account(), now=NOW)
    assert (record.state, record.execution) == (State.CONTAINED, execution)
    assert record.detail == (
        "key2 of robustmodels was regenerated. Its answer was lost; what is there now shows that it happened. "
        "The lease was broken."
    )


def test_what_ended_with_another_leak_is_covered() -> None:
    record = outcomes.of_covered(samples.revocation(), samples.execution(), samples.account(), now=NOW)
    assert (record.state, record.reason) == (State.DISMISSED, Reason.COVERED)
    assert record.detail == "key2 of robustmodels was regenerated, for another leak. This one ended with it."


def test_who_knows_more_has_a_turn_of_its_own() -> None:
    approved = samples.revocation(approval=Approval(Caller("Ada", "1"), NOW, "0" * 64, ""))
    asked = samples.revocation(liveness=Liveness(NOW, True, "Lives."))
    assert outcomes.has_its_own_turn(evaluated(), approved)
    assert outcomes.has_its_own_turn(evaluated(action=ActionKind.DELEGATION_KEY, key_name=None), asked)
    assert not outcomes.has_its_own_turn(evaluated(), samples.revocation())
