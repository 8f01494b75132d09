from dataclasses import replace

import pytest

from shared.domain.account import KEY_VAULT_TAG, AccountFacts
from shared.domain.decision import plan as plans
from shared.domain.revocation import Plan
from shared.domain.target import DELEGATION_KEYS, ActionKind, Lockdown
from tests.support import samples
from tests.support.samples import ACCOUNT_ID

IMPACT = ("Every client that uses it.",)
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
    gone: bool = False,
) -> Plan:
    return plans.make(
        account or samples.account(),
        action=action,
        target=target,
        version="a" * 64,
        reason=reason,
        impact=IMPACT,
        gone=gone,
    )


@pytest.mark.parametrize(("action", "target"), TARGETS)
def test_a_plan_is_to_pull_one_lever_on_one_target(action: ActionKind, target: str) -> None:
    plan = planned(action, target)

    assert (plan.action, plan.account_id, plan.target, plan.version) == (action, ACCOUNT_ID, target, "a" * 64)


def test_a_plan_says_who_breaks_and_why() -> None:
    plan = planned()

    assert (plan.impact, plan.reason) == (IMPACT, "It leaked.")


# steps


@pytest.mark.parametrize(
    ("action", "target", "step"),
    [
        (ActionKind.ACCOUNT_KEY, "key2", "Regenerate key2 of robustmodels, once; the other key stays as it is."),
        (
            ActionKind.STORED_POLICY,
            POLICY,
            "End the stored access policy 'partners' of container models by a tombstone",
        ),
        (ActionKind.DELEGATION_KEY, DELEGATION_KEYS, "Revoke all user delegation keys of robustmodels, once."),
        (ActionKind.LOCKDOWN, "shared_key", "Switch shared key access to robustmodels off."),
        (ActionKind.LOCKDOWN, "network", "Close robustmodels to public networks"),
    ],
)
def test_the_steps_name_the_lever_and_its_target(action: ActionKind, target: str, step: str) -> None:
    assert any(line.startswith(step) for line in planned(action, target).steps)


@pytest.mark.parametrize(("action", "target"), TARGETS)
def test_every_plan_tells_the_owners(action: ActionKind, target: str) -> None:
    assert "File the incident and tell the owners." in planned(action, target).steps


def test_no_step_names_the_key_that_is_not_touched() -> None:
    assert "key1" not in " ".join(planned().steps)


def test_a_lockdown_notes_the_way_back_before_anything_else() -> None:
    assert planned(ActionKind.LOCKDOWN, "network").steps[0].startswith("Note how robustmodels stands now")


@pytest.mark.parametrize("name", [KEY_VAULT_TAG, "Sasquash-Key-Vault"])
def test_a_tagged_account_has_its_new_key_handed_over(name: str) -> None:
    steps = planned(account=samples.account(tags={name: "https://evil.vault.azure.net/secrets/<b>"})).steps

    assert any(step.startswith("Hand the new key2 over") for step in steps)
    assert "evil" not in " ".join(steps)


def test_an_untagged_account_has_no_key_handed_over() -> None:
    assert not any("Hand" in step for step in planned(account=samples.account(tags={"team": "x"})).steps)


def test_a_policy_is_deleted_where_the_accounts_tag_asks_for_it() -> None:
    account = samples.account(tags={"sasquash-policy-removal": "delete"})

    assert (
        planned(ActionKind.STORED_POLICY, POLICY, account=account)
        .steps[0]
        .startswith("Delete the stored access policy")
    )


def test_for_a_policy_that_is_gone_only_a_tombstone_is_left() -> None:
    assert planned(ActionKind.STORED_POLICY, POLICY, gone=True).steps == (
        "Leave a tombstone for the stored access policy 'partners' of container models of robustmodels: the same id "
        "with an end in the past.",
        "File the incident and tell the owners.",
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
def test_a_plan_says_that_shared_key_access_is_off(action: ActionKind, target: str, said: str) -> None:
    closed = replace(samples.account(), shared_key_access=False)

    assert f"Shared key access to the account{said}" in planned(action, target, account=closed).reason


@pytest.mark.parametrize(
    ("action", "target"), [(ActionKind.DELEGATION_KEY, DELEGATION_KEYS), (ActionKind.LOCKDOWN, "network")]
)
def test_a_plan_that_shared_key_access_does_not_matter_to_does_not_mention_it(
    action: ActionKind, target: str
) -> None:
    closed = replace(samples.account(), shared_key_access=False)

    assert planned(action, target, account=closed).reason == "It leaked."


def test_that_shared_key_access_is_off_makes_no_other_plan() -> None:
    closed = replace(samples.account(), shared_key_access=False)

    assert planned(account=closed).digest == planned().digest


# digest


def test_two_leaks_under_one_key_have_one_digest() -> None:
    """An approval is of what is done, whichever leak asked for it."""
    assert planned(reason="One.").digest == planned(reason="Another.").digest


def test_the_digest_does_not_depend_on_how_arm_spells_the_id() -> None:
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
def test_a_digest_goes_stale_with_each_thing_that_a_decision_binds_to(changed: dict[str, str]) -> None:
    bound = {"action": "account_key", "account_id": ACCOUNT_ID, "target": "key2", "version": "0" * 64}

    assert plans.digest(**(bound | changed)) != plans.digest(**bound)


def test_a_policys_id_cannot_pass_for_another_version() -> None:
    bound = {"action": "stored_policy", "account_id": ACCOUNT_ID}

    assert plans.digest(**bound, target="t|0", version="1") != plans.digest(**bound, target="t", version="0|1")


# lockdown_version


@pytest.mark.parametrize(
    ("kind", "changed", "goes_stale"),
    [
        (Lockdown.SHARED_KEY, {"shared_key_access": False}, True),
        (Lockdown.SHARED_KEY, {"public_network_access": "Disabled"}, False),
        (Lockdown.NETWORK, {"public_network_access": "Disabled"}, True),
        (Lockdown.NETWORK, {"network_rules": '{"defaultAction":"Deny"}'}, True),
        (Lockdown.NETWORK, {"shared_key_access": False}, False),
    ],
)
def test_a_lockdown_goes_stale_with_what_it_locks(
    kind: Lockdown, changed: dict[str, object], goes_stale: bool
) -> None:
    account = samples.account()
    now = plans.lockdown_version(replace(account, **changed), kind)

    assert (now != plans.lockdown_version(account, kind)) is goes_stale
