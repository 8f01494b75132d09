"""Who decides on a plan."""

from dataclasses import replace
from datetime import UTC, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.actions.registry import ACTION_SPECS
from shared.domain.account import MODE_TAG
from shared.domain.approval import Approval, AtDeadline
from shared.domain.caller import Caller
from shared.domain.decision.approval_policy import Decision, at_deadline, decide, effective_mode
from shared.domain.decision.people import Quorum
from shared.domain.decision.policy import DecisionPolicy, Mode
from shared.domain.decision.rules import Conditions, Rule, RuleOutcome
from shared.domain.decision.snapshot import PastExecution
from shared.domain.execution import Plan
from shared.domain.target import DELEGATION_KEYS, ActionKind
from shared.settings import Settings
from tests.support import samples
from tests.support.samples import NOW

DAY = timedelta(hours=24)
RULES = tuple(Rule(name=f"to-{action}", when=Conditions(), then=action, why="it is so") for action in RuleOutcome)
ACT, ASK, OBSERVE = RULES
DOUBT = "nobody can tell"
PROVEN = Quorum(is_order=False)
KEY2 = samples.plan(target="key2")


def plan_of(action: ActionKind, target: str) -> Plan:
    return Plan(action, samples.ACCOUNT_ID, target, "a" * 64, "It leaked.", (), (), "e" * 64)


POLICY = plan_of(ActionKind.STORED_POLICY, "blob/models/partners")
DELEGATION = plan_of(ActionKind.DELEGATION_KEY, DELEGATION_KEYS)
LOCKDOWN = plan_of(ActionKind.LOCKDOWN, "network")
PLANS = (KEY2, POLICY, DELEGATION, LOCKDOWN)


def policy_of(settings: Settings) -> DecisionPolicy:
    return settings.decision_policy(ACTION_SPECS)


def decided(
    ground: Rule | str = ACT,
    *,
    plan: Plan = KEY2,
    tags: dict[str, str] | None = None,
    executions: tuple[PastExecution, ...] = (),
    approval: Approval | tuple[Approval, ...] | None = None,
    quorum: Quorum = PROVEN,
    settings: Settings | None = None,
) -> Decision:
    given = approval if isinstance(approval, tuple) else () if approval is None else (approval,)
    return decide(
        plan,
        ground,
        tags=tags or {},
        executions=executions,
        approvals=given,
        quorum=quorum,
        policy=policy_of(settings or samples.settings()),
        now=NOW,
    )


# modes


@pytest.mark.parametrize("ground", [*RULES, DOUBT], ids=lambda ground: getattr(ground, "name", ground))
@pytest.mark.parametrize(("mode", "action"), [("observe", RuleOutcome.OBSERVE), ("approve", RuleOutcome.ASK)])
def test_outside_of_auto_nothing_acts_alone(mode: str, action: RuleOutcome, ground: Rule | str) -> None:
    assert decided(ground, settings=samples.settings(mode=mode)).outcome is action


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.then)
def test_in_mode_auto_the_rule_decides(rule: Rule) -> None:
    decision = decided(rule)

    assert decision == Decision(rule.then, f"rule {rule.name}: it is so (mode auto: SASQUASH_MODE)")


@pytest.mark.parametrize("mode", ["approve", "auto"])
def test_what_no_rule_may_decide_asks_and_says_why(mode: str) -> None:
    decision = decided(DOUBT, settings=samples.settings(mode=mode))

    assert decision == Decision(RuleOutcome.ASK, f"nobody can tell (mode {mode}: SASQUASH_MODE)", only_person=True)


@pytest.mark.parametrize("mode", ["observe", "approve"])
def test_decision_names_the_mode(mode: str) -> None:
    assert decided(settings=samples.settings(mode=mode)).why.startswith(f"the mode is {mode} (SASQUASH_MODE)")


@pytest.mark.parametrize("name", [MODE_TAG, "Sasquash-Mode", "SASQUASH-MODE"])
@pytest.mark.parametrize("value", ["observe", "OBSERVE", " observe\t"])
def test_tag_chooses_a_mode_that_the_settings_allow(name: str, value: str) -> None:
    settings = samples.settings(tag_modes="observe,approve")

    assert effective_mode({name: value}, policy_of(settings)) == (Mode.OBSERVE, "the account's tag sasquash-mode")


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("wanted", list(Mode))
@pytest.mark.parametrize("allowed", ["", "observe", "approve", "auto", "observe,approve,auto"])
def test_tag_counts_only_within_the_allowed_range(mode: Mode, wanted: Mode, allowed: str) -> None:
    settings = samples.settings(mode=mode.value, tag_modes=allowed)

    effective, _ = effective_mode({MODE_TAG: wanted.value}, policy_of(settings))

    assert effective is (wanted if wanted.value in allowed.split(",") else mode)


@given(st.text())
def test_no_tag_value_moves_the_mode_where_the_settings_allow_none(value: str) -> None:
    assert effective_mode({MODE_TAG: value}, policy_of(samples.settings(mode="observe")))[0] is Mode.OBSERVE


@given(st.text(min_size=1).filter(lambda text: text.strip().lower() not in list(Mode)))
def test_tag_value_that_is_no_mode_is_ignored_and_not_repeated(value: str) -> None:
    settings = samples.settings(mode="approve", tag_modes="observe,auto")

    ignored = (
        Mode.APPROVE,
        "SASQUASH_MODE; the account's tag sasquash-mode asks for a mode that SASQUASH_TAG_MODES forbids",
    )
    assert effective_mode({MODE_TAG: value}, policy_of(settings)) == ignored


def test_other_tags_choose_nothing() -> None:
    settings = samples.settings(tag_modes="observe")

    assert effective_mode({"mode": "observe", "sasquash-mode2": "observe"}, policy_of(settings)) == (
        Mode.AUTO,
        "SASQUASH_MODE",
    )


@pytest.mark.parametrize("ground", [*RULES, DOUBT], ids=lambda ground: getattr(ground, "name", ground))
def test_decision_names_the_tag_that_allowed_it(ground: Rule | str) -> None:
    settings = samples.settings(mode="observe", tag_modes="auto")

    assert "the account's tag sasquash-mode" in decided(ground, tags={MODE_TAG: "auto"}, settings=settings).why


def test_decision_names_the_tag_beside_the_limit() -> None:
    settings = samples.settings(mode="observe", tag_modes="auto")

    decision = decided(executions=(rotated("key1", ago=DAY / 2),), tags={MODE_TAG: "auto"}, settings=settings)

    assert decision.outcome is RuleOutcome.ASK
    assert "the account's tag sasquash-mode" in decision.why


@pytest.mark.parametrize("mode", ["observe", "approve", "auto"])
def test_decision_names_a_tag_that_was_ignored(mode: str) -> None:
    decision = decided(tags={MODE_TAG: "anything"}, settings=samples.settings(mode=mode))

    assert "asks for a mode that SASQUASH_TAG_MODES forbids" in decision.why


# approvals


@pytest.mark.parametrize("ground", [*RULES, DOUBT], ids=lambda ground: getattr(ground, "name", ground))
@pytest.mark.parametrize("mode", ["approve", "auto"])
@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.action)
def test_approval_of_exactly_this_plan_acts_and_is_named(plan: Plan, mode: str, ground: Rule | str) -> None:
    executions = (rotated("key1", ago=DAY / 2), *(revoked(ago=DAY / 2) for _ in range(9)))

    decision = decided(
        ground,
        plan=plan,
        executions=executions,
        approval=samples.approval(plan.digest),
        settings=samples.settings(mode=mode),
    )

    assert decision == Decision(RuleOutcome.ACT, f"approved by {samples.PERSON}")


@pytest.mark.parametrize("ground", [*RULES, DOUBT], ids=lambda ground: getattr(ground, "name", ground))
@pytest.mark.parametrize("mode", ["approve", "auto"])
def test_approval_of_another_plan_asks_again_and_says_so(mode: str, ground: Rule | str) -> None:
    decision = decided(ground, approval=samples.approval("0" * 64), settings=samples.settings(mode=mode))

    assert decision.outcome is RuleOutcome.ASK
    assert decision.why.startswith(f"the plan has changed since {samples.PERSON} approved it")


@pytest.mark.parametrize("ground", [*RULES, DOUBT], ids=lambda ground: getattr(ground, "name", ground))
def test_no_approval_lifts_the_mode_observe(ground: Rule | str) -> None:
    decision = decided(ground, approval=samples.approval(KEY2.digest), settings=samples.settings(mode="observe"))

    assert decision.outcome is RuleOutcome.OBSERVE


# orders


ADA, BOB, EVE = (
    Caller(f"{name}@contoso.com", f"00000000-0000-4000-8000-00000000000{name[0]}", is_person=True)
    for name in ("ada", "bob", "eve")
)
BY_ADA, BY_NOBODY = Quorum(is_order=True, author=ADA.object_id), Quorum(is_order=True)


def yes(*people: Caller, digest: str = KEY2.digest) -> tuple[Approval, ...]:
    return tuple(Approval(person, NOW, digest, "Yes.") for person in people)


@pytest.mark.parametrize("ground", [*RULES, DOUBT], ids=lambda ground: getattr(ground, "name", ground))
@pytest.mark.parametrize(
    ("quorum", "people", "acts"),
    [
        (BY_ADA, (), False),
        (BY_ADA, (ADA,), False),
        (BY_ADA, (BOB,), True),
        (BY_NOBODY, (), False),
        (BY_NOBODY, (BOB,), False),
        (BY_NOBODY, (BOB, BOB), False),
        (BY_NOBODY, (BOB, replace(BOB, name="Robert")), False),
        (BY_NOBODY, (BOB, EVE), True),
        (BY_NOBODY, (BOB, replace(EVE, is_person=False)), False),
        (BY_NOBODY, (replace(BOB, is_person=False), replace(EVE, is_person=False)), False),
    ],
)
def test_order_acts_with_two_people_in_all(
    quorum: Quorum, people: tuple[Caller, ...], acts: bool, ground: Rule | str
) -> None:
    decision = decided(ground, quorum=quorum, approval=yes(*people))

    assert (decision.outcome is RuleOutcome.ACT) is acts
    assert acts or (decision.outcome, decision.only_person) == (RuleOutcome.ASK, True)


def test_order_never_acts_by_a_rule_or_a_deadline() -> None:
    settings = samples.settings(at_deadline="revoke")
    decision = decided(ACT, settings=settings, quorum=BY_NOBODY, approval=Approval(None, NOW, KEY2.digest, ""))

    assert decision.outcome is RuleOutcome.ASK
    assert decision.why == "no leaked credential was proven (mode auto: SASQUASH_MODE)"


def test_first_of_two_approvals_is_kept_while_the_plan_is_the_same() -> None:
    [same], [other] = yes(BOB), yes(BOB, digest="0" * 64)

    assert decided(DOUBT, quorum=BY_NOBODY, approval=same).first == same
    assert decided(DOUBT, quorum=BY_NOBODY, approval=other).first is None


def test_both_approvers_are_named() -> None:
    assert decided(DOUBT, quorum=BY_NOBODY, approval=yes(BOB, EVE)).why == f"approved by {BOB} and {EVE}"


def test_proven_leak_takes_one_approver_as_before() -> None:
    assert decided(DOUBT, approval=yes(replace(BOB, is_person=False))).outcome is RuleOutcome.ACT


# limits that no rule lifts


def rotated(key_name: str, *, ago: timedelta) -> PastExecution:
    return PastExecution(ActionKind.ACCOUNT_KEY, key_name, NOW - ago)


def revoked(*, ago: timedelta) -> PastExecution:
    return PastExecution(ActionKind.DELEGATION_KEY, DELEGATION_KEYS, NOW - ago)


@pytest.mark.parametrize(
    ("ago", "action"),
    [
        (timedelta(0), RuleOutcome.ASK),
        (DAY - timedelta(seconds=1), RuleOutcome.ASK),
        (DAY, RuleOutcome.ACT),
        (timedelta(days=30), RuleOutcome.ACT),
        (timedelta(seconds=-30), RuleOutcome.ASK),  # by a machine whose clock is ahead
    ],
)
def test_second_key_within_a_day_asks(ago: timedelta, action: RuleOutcome) -> None:
    assert decided(executions=(rotated("key1", ago=ago),)).outcome is action


def test_revocation_of_delegation_keys_is_no_second_key() -> None:
    assert decided(executions=(revoked(ago=DAY / 2),)).outcome is RuleOutcome.ACT


def test_rotated_key_is_no_second_key_to_a_revocation_of_delegation_keys() -> None:
    assert decided(plan=DELEGATION, executions=(rotated("key1", ago=DAY / 2),)).outcome is RuleOutcome.ACT


def test_decision_names_the_limit() -> None:
    why = decided(executions=(rotated("key1", ago=timedelta(hours=1)),)).why

    assert why.startswith("the account's other key was rotated within 24 hours")


@pytest.mark.parametrize("plan", [KEY2, DELEGATION], ids=lambda plan: plan.action)
@pytest.mark.parametrize(
    ("limit", "earlier", "action"),
    [
        ("1", 0, RuleOutcome.ACT),
        ("1", 1, RuleOutcome.ASK),
        ("2", 1, RuleOutcome.ACT),
        ("2", 2, RuleOutcome.ASK),
        ("3", 7, RuleOutcome.ASK),
    ],
)
def test_more_rotations_a_day_than_the_settings_let_pass_ask(
    limit: str, earlier: int, action: RuleOutcome, plan: Plan
) -> None:
    executions = tuple(rotated("key2", ago=timedelta(hours=hour)) for hour in range(earlier))

    assert (
        decided(plan=plan, executions=executions, settings=samples.settings(rotations_a_day=limit)).outcome is action
    )


@pytest.mark.parametrize("plan", [KEY2, DELEGATION], ids=lambda plan: plan.action)
def test_rotations_and_revocations_count_together(plan: Plan) -> None:
    executions = (rotated("key2", ago=DAY / 2), revoked(ago=DAY / 3))

    why = decided(plan=plan, executions=executions).why

    assert why.startswith(
        "the account's keys were rotated or revoked 2 times within 24 hours, and SASQUASH_ROTATIONS"
    )


@pytest.mark.parametrize(("ago", "action"), [(DAY - timedelta(seconds=1), RuleOutcome.ASK), (DAY, RuleOutcome.ACT)])
def test_rotation_counts_for_a_day(ago: timedelta, action: RuleOutcome) -> None:
    decision = decided(executions=(rotated("key2", ago=ago),), settings=samples.settings(rotations_a_day="1"))

    assert decision.outcome is action


@pytest.mark.parametrize("action", [ActionKind.STORED_POLICY, ActionKind.LOCKDOWN])
def test_what_cuts_off_few_or_can_be_undone_counts_for_no_limit(action: ActionKind) -> None:
    executions = tuple(PastExecution(action, "any", NOW) for _ in range(9))

    assert decided(executions=executions).outcome is RuleOutcome.ACT


@pytest.mark.parametrize("plan", [POLICY, LOCKDOWN], ids=lambda plan: plan.action)
def test_no_limit_asks_about_what_cuts_off_few_or_can_be_undone(plan: Plan) -> None:
    executions = (rotated("key1", ago=DAY / 2), rotated("key2", ago=DAY / 2), revoked(ago=DAY / 2))

    assert decided(plan=plan, executions=executions).outcome is RuleOutcome.ACT


@pytest.mark.parametrize("mode", ["observe", "approve"])
def test_limit_does_not_make_a_stricter_mode_looser(mode: str) -> None:
    limited = decided(executions=(rotated("key1", ago=DAY / 2),), settings=samples.settings(mode=mode))

    assert limited.outcome == decided(settings=samples.settings(mode=mode)).outcome


def test_limit_is_a_person_s_to_lift_in_mode_approve_too() -> None:
    limited = decided(executions=(rotated("key1", ago=DAY / 2),), settings=samples.settings(mode="approve"))

    assert (limited.outcome, limited.only_person) == (RuleOutcome.ASK, True)


# What becomes of a plan at its deadline


DEADLINE = Approval(None, samples.NOW, samples.plan().digest, "")
REVOKES = samples.settings(at_deadline="revoke")


def test_deadline_stands_in_for_a_person_in_mode_approve() -> None:
    decision = decided(settings=samples.settings(mode="approve", at_deadline="revoke"), approval=DEADLINE)

    assert (decision.outcome, "nobody" in decision.why) == (RuleOutcome.ACT, True)


def test_deadline_stands_in_for_nobody_once_the_setting_says_that_plans_are_escalated() -> None:
    decision = decided(settings=samples.settings(mode="approve", at_deadline="escalate"), approval=DEADLINE)

    assert decision.outcome is RuleOutcome.ASK


@pytest.mark.parametrize("mode", ["approve", "auto"])
def test_deadline_lifts_no_limit(mode: str) -> None:
    executions = (rotated("key1", ago=DAY / 2),)

    settings = samples.settings(mode=mode, at_deadline="revoke")
    decision = decided(settings=settings, approval=DEADLINE, executions=executions)

    assert (decision.outcome, decision.only_person) == (RuleOutcome.ASK, True)


def test_deadline_does_not_lift_the_mode_observe() -> None:
    decision = decided(settings=samples.settings(mode="observe", at_deadline="revoke"), approval=DEADLINE)

    assert decision.outcome is RuleOutcome.OBSERVE


def test_deadline_decides_nothing_that_no_rule_may_decide() -> None:
    assert decided(DOUBT, settings=REVOKES, approval=DEADLINE).outcome is RuleOutcome.ASK


def test_deadline_of_another_plan_is_void() -> None:
    decision = decided(settings=REVOKES, approval=replace(DEADLINE, digest="0" * 64))

    assert (decision.outcome, decision.only_person) == (RuleOutcome.ASK, True)


@pytest.mark.parametrize("setting", list(AtDeadline))
@pytest.mark.parametrize("action", list(ActionKind))
@pytest.mark.parametrize("proven", [False, True])
@pytest.mark.parametrize("only_person", [False, True])
def test_only_the_smallest_action_on_a_verified_leak_runs_at_a_deadline(
    setting: AtDeadline, action: ActionKind, *, proven: bool, only_person: bool
) -> None:
    decision = Decision(RuleOutcome.ASK, "because", only_person=only_person)
    settings = samples.settings(at_deadline=setting.value)

    comes = at_deadline(replace(samples.plan(), action=action), decision, proven=proven, policy=policy_of(settings))

    may = proven and not only_person and action in (ActionKind.ACCOUNT_KEY, ActionKind.STORED_POLICY)
    assert comes is (setting if may else AtDeadline.ESCALATE)


@given(
    mode=st.sampled_from(["observe", "approve", "auto"]),
    tag=st.one_of(st.none(), st.sampled_from(["observe", "approve", "auto", "AUTO ", ""])),
    allowed=st.sampled_from(["", "observe", "approve,auto", "observe,approve,auto"]),
    executions=st.lists(
        st.builds(
            PastExecution,
            st.just(ActionKind.ACCOUNT_KEY),
            st.sampled_from(["key1", "key2"]),
            st.datetimes(NOW.replace(tzinfo=None) - 2 * DAY, NOW.replace(tzinfo=None), timezones=st.just(UTC)),
        ),
        max_size=4,
    ),
    ground=st.sampled_from([*RULES, DOUBT]),
)
def test_acting_alone_needs_mode_auto_a_rule_and_no_limit(
    mode: str, tag: str | None, allowed: str, executions: list[PastExecution], ground: Rule | str
) -> None:
    settings = samples.settings(mode=mode, tag_modes=allowed)
    tags = {} if tag is None else {MODE_TAG: tag}

    decision = decided(ground, tags=tags, executions=tuple(executions), settings=settings)

    lately = [execution.target for execution in executions if NOW - execution.at < DAY]
    auto = effective_mode(tags, policy_of(settings))[0] is Mode.AUTO
    free = "key1" not in lately and len(lately) < settings.rotations_a_day
    assert (decision.outcome is RuleOutcome.ACT) == (auto and free and ground is ACT)
