"""Commands by hand can be pasted into a shell, for any account id that Azure allows and no other."""

import pytest

from shared.actions.registry import ACTION_SPECS
from shared.actions.stored_policy import list_policies_command
from shared.domain.target import ActionKind, PolicyTarget
from shared.domain.text import Code

show_key = ACTION_SPECS[ActionKind.ACCOUNT_KEY].afterwards
renew_key = ACTION_SPECS[ActionKind.ACCOUNT_KEY].by_hand
expire_policy = ACTION_SPECS[ActionKind.STORED_POLICY].by_hand
revoke_delegation_keys = ACTION_SPECS[ActionKind.DELEGATION_KEY].by_hand

_ID = (
    "/subscriptions/3d8f6a52-91c4-4b7e-8f0d-5b2a7c9e1f33/resourceGroups/{group}"
    "/providers/Microsoft.Storage/storageAccounts/robustmodels"
)


def test_show_key_prints_the_one_key() -> None:
    assert show_key(_ID.format(group="research"), "key2") == Code(
        "az storage account keys list --subscription 3d8f6a52-91c4-4b7e-8f0d-5b2a7c9e1f33 "
        "--resource-group research --account-name robustmodels "
        "--query \"[?keyName=='key2'].value\" --output tsv"
    )


def test_renew_key_names_the_one_key() -> None:
    command = renew_key(_ID.format(group="research"), "key1")
    assert command is not None
    assert command.code.startswith("az storage account keys renew ")
    assert "--account-name robustmodels --key key1" in command.code


def test_resource_group_with_parentheses_is_quoted() -> None:
    command = show_key(_ID.format(group="research(eu)"), "key1")
    assert command is not None
    assert "--resource-group 'research(eu)' --account-name" in command.code


def test_resource_group_may_have_any_letters() -> None:
    """Azure: "Naming rules and restrictions for Azure resources", resourceGroups."""
    assert "--resource-group 'prüfung' " in str(renew_key(_ID.format(group="prüfung"), "key1"))


@pytest.mark.parametrize(
    ("account_id", "key_name"),
    [
        (None, "key1"),
        (_ID.format(group="research"), None),
        (_ID.format(group="research"), "kerb1"),
        (_ID.format(group="research"), "key1; rm -rf ~"),
        (_ID.format(group="research;rm"), "key1"),
        (_ID.format(group="research") + "\n", "key1"),
        (_ID.format(group="$(id)"), "key1"),
    ],
)
@pytest.mark.parametrize("command", [show_key, renew_key])
def test_no_command_for_invalid_arguments(command, account_id: str | None, key_name: str | None) -> None:
    assert command(account_id, key_name) is None


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("blob/models/partners", "container policy update"),
        ("queue/jobs/partners", "--queue-name jobs --name partners"),
        ("table/People/partners", "--table-name People --name partners"),
        ("file/share/partners", "--share-name share --name partners"),
        ("blob/$web/a policy", "--container-name '$web' --name 'a policy' --expiry 2000-01-01T00:00:00Z"),
    ],
)
def test_policy_command_names_its_resource(target: str, said: str) -> None:
    command = expire_policy(_ID.format(group="research"), target)
    assert command is not None
    assert said in command.code


@pytest.mark.parametrize(
    ("account_id", "target"),
    [
        (None, "blob/models/partners"),
        (_ID.format(group="research"), None),
        (_ID.format(group="research"), "key1"),
        (_ID.format(group="research"), "blob/models/--name"),
        (_ID.format(group="research"), "blob/models/`id`"),
        (_ID.format(group="research"), "blob/models/\u202epartners"),
    ],
)
def test_no_command_for_a_policy_id_that_is_unsafe_in_a_shell(account_id: str | None, target: str | None) -> None:
    assert expire_policy(account_id, target) is None


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("blob/models/partners", "az storage container policy list "),
        ("blob/models/partners", "--auth-mode key --container-name models"),
        ("queue/jobs/senders", "--queue-name jobs"),
        ("table/People/readers", "--table-name People"),
        ("file/homes/ops", "az storage share policy list "),
    ],
)
def test_list_command_names_the_resource(target: str, said: str) -> None:
    assert said in str(list_policies_command(_ID.format(group="research"), PolicyTarget.parse(target)))


@pytest.mark.parametrize("target", ["queue/jobs/senders", "table/People/readers", "file/homes/ops"])
def test_policy_commands_of_other_services_than_blob_have_no_authentication_mode(target: str) -> None:
    """Azure CLI 2.91: "unrecognized arguments: --auth-mode key"."""
    account = _ID.format(group="research")

    assert "--auth-mode" not in str(expire_policy(account, target) or "--auth-mode")
    assert "--auth-mode" not in str(list_policies_command(account, PolicyTarget.parse(target)) or "--auth-mode")


def test_no_list_command_for_an_invalid_account_id() -> None:
    assert list_policies_command("/subscriptions/x; rm -rf ~", PolicyTarget.parse("blob/models/partners")) is None


def test_delegation_key_command_names_the_account() -> None:
    assert revoke_delegation_keys(_ID.format(group="research"), "all") == Code(
        "az storage account revoke-delegation-keys --subscription 3d8f6a52-91c4-4b7e-8f0d-5b2a7c9e1f33 "
        "--resource-group research --name robustmodels"
    )
    assert revoke_delegation_keys("/subscriptions/x; rm -rf ~", "all") is None
