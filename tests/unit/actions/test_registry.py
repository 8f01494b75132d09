"""The pure half of every action: targets, versions, steps, impact, and what an execution revokes."""

from dataclasses import replace

import pytest

from shared.actions.registry import ACTION_SPECS
from shared.domain.account import KEY_VAULT_TAG, AccountFacts, AccountKey
from shared.domain.decision.snapshot import PastExecution, Snapshot
from shared.domain.target import DELEGATION_KEYS, ActionKind, InvalidTarget, Lockdown
from tests.support import samples
from tests.support.samples import KEYS, NOW

POLICY = "blob/models/partners"
TARGETS = [
    (ActionKind.ACCOUNT_KEY, "key1"),
    (ActionKind.ACCOUNT_KEY, "key2"),
    (ActionKind.STORED_POLICY, POLICY),
    (ActionKind.DELEGATION_KEY, DELEGATION_KEYS),
    (ActionKind.LOCKDOWN, Lockdown.SHARED_KEY.value),
    (ActionKind.LOCKDOWN, Lockdown.NETWORK.value),
    (ActionKind.SAS_EXPIRATION_BLOCK, "7.00:00:00"),
]


def steps(action: ActionKind, target: str, account: AccountFacts | None = None) -> tuple[str, ...]:
    return ACTION_SPECS[action].steps(account or samples.account(), target)


def snapshot(account: AccountFacts | None = None, *executions: PastExecution) -> Snapshot:
    keys = {name: AccountKey(value, NOW) for name, value in KEYS.items()}
    return Snapshot(account or samples.account(), keys, (), executions, NOW)


def test_every_action_has_a_spec() -> None:
    assert {kind: spec.kind for kind, spec in ACTION_SPECS.items()} == {kind: kind for kind in ActionKind}


# targets


@pytest.mark.parametrize(("action", "target"), TARGETS)
def test_valid_target(action: ActionKind, target: str) -> None:
    ACTION_SPECS[action].check_target(target)


@pytest.mark.parametrize(
    ("action", "target"),
    [
        (ActionKind.ACCOUNT_KEY, "kerb1"),
        (ActionKind.ACCOUNT_KEY, "key3"),
        (ActionKind.ACCOUNT_KEY, ""),
        (ActionKind.STORED_POLICY, "key1"),
        (ActionKind.STORED_POLICY, "blob/models"),
        (ActionKind.STORED_POLICY, "multiple/models/partners"),
        (ActionKind.STORED_POLICY, "blob/MODELS/partners"),
        (ActionKind.STORED_POLICY, f"blob/models/{'x' * 65}"),
        (ActionKind.DELEGATION_KEY, "key1"),
        (ActionKind.LOCKDOWN, "everything"),
        (ActionKind.SAS_EXPIRATION_BLOCK, "a week"),
        (ActionKind.SAS_EXPIRATION_BLOCK, "0.00:00:00"),
        (ActionKind.SAS_EXPIRATION_BLOCK, "4000.00:00:00"),
    ],
)
def test_invalid_target_is_refused_and_not_repeated(action: ActionKind, target: str) -> None:
    with pytest.raises(InvalidTarget) as refused:
        ACTION_SPECS[action].check_target(target)
    assert not target or target not in str(refused.value).replace("key1 or key2", "")


# steps


@pytest.mark.parametrize(
    ("action", "target", "step"),
    [
        (ActionKind.ACCOUNT_KEY, "key2", "Regenerate key2 of robustmodels, once; the other key stays as it is."),
        (
            ActionKind.STORED_POLICY,
            POLICY,
            "Replace the stored access policy 'partners' of container models by a tombstone",
        ),
        (ActionKind.DELEGATION_KEY, DELEGATION_KEYS, "Revoke all user delegation keys of robustmodels, once."),
        (ActionKind.LOCKDOWN, "shared_key", "Switch shared key access to robustmodels off."),
        (ActionKind.LOCKDOWN, "network", "Close robustmodels to public networks"),
    ],
)
def test_steps_name_the_change_and_its_target(action: ActionKind, target: str, step: str) -> None:
    assert any(line.startswith(step) for line in steps(action, target))


@pytest.mark.parametrize(("action", "target"), TARGETS)
def test_every_plan_notifies_the_owners(action: ActionKind, target: str) -> None:
    assert "File the incident and notify the owners." in steps(action, target)


def test_no_step_names_the_other_key() -> None:
    assert "key1" not in " ".join(steps(ActionKind.ACCOUNT_KEY, "key2"))


def test_lockdown_records_the_present_settings_first() -> None:
    assert steps(ActionKind.LOCKDOWN, "network")[0].startswith("Record the present access settings of robustmodels")


@pytest.mark.parametrize("name", [KEY_VAULT_TAG, "Sasquash-Key-Vault"])
def test_key_distribution_is_a_step_for_a_tagged_account(name: str) -> None:
    account = samples.account(tags={name: "https://evil.vault.azure.net/secrets/<b>"})
    lines = steps(ActionKind.ACCOUNT_KEY, "key2", account)

    assert any(line.startswith("Write the new key2 to the Key Vault secret") for line in lines)
    assert "evil" not in " ".join(lines)


def test_no_key_distribution_for_an_untagged_account() -> None:
    lines = steps(ActionKind.ACCOUNT_KEY, "key2", samples.account(tags={"team": "x"}))

    assert not any("Key Vault" in line for line in lines)


def test_policy_is_deleted_if_the_tag_asks_for_it() -> None:
    account = samples.account(tags={"sasquash-policy-removal": "delete"})

    assert steps(ActionKind.STORED_POLICY, POLICY, account)[0].startswith("Delete the stored access policy")


# versions


def test_version_of_a_key_is_its_hash() -> None:
    assert ACTION_SPECS[ActionKind.ACCOUNT_KEY].version(snapshot(), "key2") == AccountKey(KEYS["key2"], NOW).sha256


def test_version_of_a_policy_is_that_of_its_reading() -> None:
    reading = samples.reading()
    known = replace(snapshot(), policies={str(reading.target): reading})

    assert ACTION_SPECS[ActionKind.STORED_POLICY].version(known, str(reading.target)) == reading.version


def test_version_of_delegation_keys_changes_with_our_latest_revocation() -> None:
    spec = ACTION_SPECS[ActionKind.DELEGATION_KEY]
    past = PastExecution(ActionKind.DELEGATION_KEY, DELEGATION_KEYS, NOW)

    assert spec.version(snapshot(), DELEGATION_KEYS) != spec.version(snapshot(None, past), DELEGATION_KEYS)


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
def test_version_of_a_lockdown_changes_with_what_it_locks(
    kind: Lockdown, changed: dict[str, object], goes_stale: bool
) -> None:
    account, spec = samples.account(), ACTION_SPECS[ActionKind.LOCKDOWN]
    now = spec.version(snapshot(replace(account, **changed)), kind)

    assert (now != spec.version(snapshot(account), kind)) is goes_stale
