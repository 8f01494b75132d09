"""Commands that can be pasted into a shell, for any account id that Azure allows and no other."""

import pytest

from shared.report.commands import renew_key, show_key

_ID = (
    "/subscriptions/3d8f6a52-91c4-4b7e-8f0d-5b2a7c9e1f33/resourceGroups/{group}"
    "/providers/Microsoft.Storage/storageAccounts/robustmodels"
)


def test_show_key_prints_the_one_key() -> None:
    assert show_key(_ID.format(group="research"), "key2") == (
        "az storage account keys list --subscription 3d8f6a52-91c4-4b7e-8f0d-5b2a7c9e1f33 "
        "--resource-group research --account-name robustmodels "
        "--query \"[?keyName=='key2'].value\" --output tsv"
    )


def test_renew_key_names_the_one_key() -> None:
    command = renew_key(_ID.format(group="research"), "key1")
    assert command is not None
    assert command.startswith("az storage account keys renew ")
    assert "--account-name robustmodels --key key1" in command


def test_a_resource_group_with_parentheses_is_one_word_to_the_shell() -> None:
    command = show_key(_ID.format(group="research(eu)"), "key1")
    assert command is not None
    assert "--resource-group 'research(eu)' --account-name" in command


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
def test_there_is_no_command_for_anything_else(command, account_id: str | None, key_name: str | None) -> None:
    assert command(account_id, key_name) is None
