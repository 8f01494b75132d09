"""Accounts, containers and paths, as texts mention them.

The forms are those of the settings and calls of public tools, after their documentation and public bug reports.
"""

import pytest

from shared.sas import extract, extract_leaks
from shared.sas.answers import answer
from shared.sas.places import Places
from tests.support.strings_to_sign import ACCOUNT, HOST, KEYS, container_url, only

URL = container_url()
TOKEN = URL.partition("?")[2]
KEY = KEYS["key1"]


@pytest.mark.parametrize(
    "text",
    [
        f'const account = "{ACCOUNT}";',
        f'account_name: str = "{ACCOUNT}"',
        f'.withAccount("{ACCOUNT}")',
        f"account_name    {ACCOUNT}",
        f"setx AZURE_STORAGE_ACCOUNT {ACCOUNT}",
        f"java -Dazure.storage.account={ACCOUNT}",
        f'<entry key="accountName">{ACCOUNT}</entry>',
        f'[{{"name":"STORAGE_NAME","value":"{ACCOUNT}"}}]',
        f'"account": {{"sensitive": false, "type": "string", "value": "{ACCOUNT}"}}',
        f"- name: STORAGE_ACCOUNT\n  value: {ACCOUNT}",
        f'<Setting name="StorageAccount" value="{ACCOUNT}" />',
        f'STORAGE = "{ACCOUNT}"\nurl = "https://$STORAGE.blob.core.windows.net/models"',
        f'var store = "{ACCOUNT}"; $"https://{{store}}.blob.core.windows.net/models"',
        f"store: {ACCOUNT}\nurl: https://${{var.store}}.blob.core.windows.net/models",
        f"# \u0130, two letters in lower case\nSTORAGE_ACCOUNT: {ACCOUNT}",
    ],
)
def test_account_of_a_token_is_found_by_its_label(text: str) -> None:
    assert only(f"{text}\nsas = '{TOKEN}'").account == ACCOUNT


@pytest.mark.parametrize(
    "text",
    [
        "account = value",
        "account: string",
        "account has many users",
        "import azure.core.pipeline",
        "https://$X.blob.core.windows.net/a",
    ],
)
def test_what_only_looks_like_a_name_is_no_account(text: str) -> None:
    assert only(f"{text}\nsas = '{TOKEN}'").account is None


@pytest.mark.parametrize(
    "text",
    [
        "container_name = models",
        '.containerName("models")',
        '"container": "models"',
        'path: "/models"',
        "container-name: models",
    ],
)
def test_container_that_is_named_beside_a_token_is_its_own(text: str) -> None:
    found = answer({"text": f"account_name: {ACCOUNT}\n{text}\nsas: '{TOKEN}'", "keys": {ACCOUNT: KEYS}})[
        "credentials"
    ]

    assert isinstance(found, list)
    assert [(each["container"], each["signed_by"]) for each in found] == [("models", "key2")]


@pytest.mark.parametrize("text", ["container: string", 'path: "/{container}"', "path: '/\x01'"])
def test_placeholder_is_no_container(text: str) -> None:
    assert only(f"account_name: {ACCOUNT}\n{text}\nsas: '{TOKEN}'").container is None


@pytest.mark.parametrize("path", ["{container}", "%s", "${x}", "<container>", "$CONTAINER"])
def test_token_on_a_placeholder_is_undecided_not_forged(path: str) -> None:
    url = f"https://{HOST}/{path}?{TOKEN.replace('sp=r&', 'sp=rw&')}"
    found = answer({"text": url, "keys": {ACCOUNT: KEYS}})["credentials"]

    assert isinstance(found, list)
    assert [each["signed_by"] for each in found] == ["unknown"]


def test_key_belongs_to_the_account_with_a_label_like_its_own() -> None:
    text = (
        f"SRC_STORAGE_ACCOUNT=one1\nDST_STORAGE_ACCOUNT=two2\nSRC_STORAGE_KEY={KEY}\nDST_STORAGE_KEY={KEYS['key2']}"
    )

    assert [each.account for each in extract(text)] == ["one1", "two2"]


def test_other_accounts_of_the_text_are_other_readings_of_a_key() -> None:
    text = f"STORAGE_ACCOUNT=one1\nIMAGES=https://two2.blob.core.windows.net/img\nSTORAGE_KEY={KEY}"
    [leak] = extract_leaks(text)

    assert [each.account for each in (leak.credential, *leak.others)] == ["one1", "two2"]


def test_other_accounts_of_the_text_are_other_readings_of_a_token() -> None:
    text = f"https://one1.blob.core.windows.net/models\nhttps://two2.blob.core.windows.net\nsas: '{TOKEN}'"
    [leak] = extract_leaks(text)

    assert leak.credential.account is None
    assert {each.account for each in leak.others} == {"one1", "two2"}


def test_custom_domain_of_a_cloud_that_nobody_knows_is_no_account() -> None:
    assert only(f"https://one1.blob.core.contoso.example/x\nsas: '{TOKEN}'").account is None


def test_path_that_is_too_long_to_be_read_whole_is_no_place() -> None:
    """What is cut off is no path that anybody has signed; the account is known all the same."""
    [mention] = Places(f"https://robustmodels.blob.core.windows.net/models/{'x' * 4000}").mentions

    assert (mention.account, mention.path) == ("robustmodels", None)
