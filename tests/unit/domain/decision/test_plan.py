"""Plans and their digests. `tests/unit/actions/test_registry.py` holds what each action puts into one."""

from dataclasses import replace

import pytest

from shared.actions.registry import ACTION_SPECS
from shared.domain.account import AccountFacts
from shared.domain.decision import plan as plans
from shared.domain.execution import Plan
from shared.domain.target import DELEGATION_KEYS, ActionKind, Lockdown, PolicyTarget
from tests.support import samples
from tests.support.samples import ACCOUNT_ID

POLICY = "blob/models/partners"
TARGETS = [
    (ActionKind.ACCOUNT_KEY, "key2"),
    (ActionKind.STORED_POLICY, POLICY),
    (ActionKind.DELEGATION_KEY, DELEGATION_KEYS),
    (ActionKind.LOCKDOWN, Lockdown.SHARED_KEY.value),
    (ActionKind.LOCKDOWN, Lockdown.NETWORK.value),
]


def planned(
    action: ActionKind = ActionKind.ACCOUNT_KEY,
    target: str = "key2",
    *,
    account: AccountFacts | None = None,
    reason: str = "It leaked.",
) -> Plan:
    return plans.make(account or samples.account(), ACTION_SPECS[action], target, version="a" * 64, reason=reason)


@pytest.mark.parametrize(("action", "target"), TARGETS)
def test_plan_is_for_one_action_on_one_target(action: ActionKind, target: str) -> None:
    plan = planned(action, target)

    assert (plan.action, plan.account_id, plan.target, plan.version) == (action, ACCOUNT_ID, target, "a" * 64)


@pytest.mark.parametrize(("action", "target"), TARGETS)
def test_plan_has_the_steps_and_the_impact_of_its_action(action: ActionKind, target: str) -> None:
    plan, spec = planned(action, target), ACTION_SPECS[action]

    assert plan.steps == spec.steps(samples.account(), target)
    assert plan.impact == spec.impact(samples.account(), target)
    assert plan.reason == "It leaked."


def test_tombstone_is_one_step_and_affects_no_consumer() -> None:
    policy = PolicyTarget.parse(POLICY)

    plan = plans.tombstone(samples.account(), policy, version="a" * 64, reason="It leaked.")

    assert (plan.action, plan.target, plan.version) == (ActionKind.STORED_POLICY, POLICY, "a" * 64)
    assert (plan.impact, plan.reason) == ((), "It leaked.")
    assert plan.digest == planned(ActionKind.STORED_POLICY, POLICY).digest
    assert plan.steps == (
        "Leave a tombstone for the stored access policy 'partners' of container models of robustmodels: the same id "
        "with an end in the past.",
        "File the incident and notify the owners.",
    )


# shared key access that is off already


@pytest.mark.parametrize(
    ("action", "target", "said"),
    [
        (ActionKind.ACCOUNT_KEY, "key2", " is off at the moment: "),
        (ActionKind.STORED_POLICY, POLICY, " is off at the moment: "),
        (ActionKind.LOCKDOWN, "shared_key", " is off already."),
    ],
)
def test_plan_says_that_shared_key_access_is_off(action: ActionKind, target: str, said: str) -> None:
    closed = replace(samples.account(), shared_key_access=False)

    assert f"It leaked. Shared key access to the account{said}" in planned(action, target, account=closed).reason


@pytest.mark.parametrize(
    ("action", "target"), [(ActionKind.DELEGATION_KEY, DELEGATION_KEYS), (ActionKind.LOCKDOWN, "network")]
)
def test_plan_does_not_mention_shared_key_access_where_it_does_not_matter(action: ActionKind, target: str) -> None:
    closed = replace(samples.account(), shared_key_access=False)

    assert planned(action, target, account=closed).reason == "It leaked."


def test_shared_key_access_does_not_change_the_digest() -> None:
    closed = replace(samples.account(), shared_key_access=False)

    assert planned(account=closed).digest == planned().digest


# digest


def test_two_leaks_under_one_key_have_one_digest() -> None:
    """An approval is of what is done, no matter which leak asked for it."""
    assert planned(reason="One.").digest == planned(reason="Another.").digest


def test_digest_ignores_the_case_of_the_arm_id() -> None:
    shouted = replace(samples.account(), id=ACCOUNT_ID.upper())

    assert planned(account=shouted).digest == planned().digest


@pytest.mark.parametrize(
    "changed",
    [
        {"action": "stored_policy"},
        {"account_id": f"{ACCOUNT_ID}2"},
        {"target": "key1"},
        {"version": "1" * 64},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_digest_changes_with_everything_that_a_decision_binds_to(changed: dict[str, str]) -> None:
    bound = {"action": "account_key", "account_id": ACCOUNT_ID, "target": "key2", "version": "0" * 64}

    assert plans.digest(**(bound | changed)) != plans.digest(**bound)


def test_policy_id_cannot_imitate_another_version() -> None:
    bound = {"action": "stored_policy", "account_id": ACCOUNT_ID}

    assert plans.digest(**bound, target="t|0", version="1") != plans.digest(**bound, target="t", version="0|1")
