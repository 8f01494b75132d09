"""Accounts, containers and paths, as texts mention them.

The forms are those of the settings and calls of public tools, after their documentation and public bug reports.
"""

import base64

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


def in_base64(name: str) -> str:
    return base64.b64encode(name.encode()).decode()


@pytest.mark.parametrize(
    "text",
    [
        f"azurestorageaccountname: {in_base64('contoso01')}\nazurestorageaccountkey: {KEY}",
        f"azurestorageaccountname: {in_base64('contoso01').rstrip('=')}\nazurestorageaccountkey: {KEY}",
        f"STORAGE_ACCOUNT={in_base64('contoso01')}\nSTORAGE_KEY={KEY}",
        f'"accountName": "{in_base64("contoso01")}", "accountKey": "{KEY}"',
        f"AccountName={in_base64('contoso01')};AccountKey={KEY}",
        f"storage_name: {in_base64('contoso01')}\nkey: {KEY}",
    ],
)
def test_name_that_a_scanner_left_in_base64_is_decoded(text: str) -> None:
    """TruffleHog decodes the key of a Kubernetes secret, and not what is shorter than its limit (pkg/decoders)."""
    assert only(text).account == "contoso01"


@pytest.mark.parametrize(
    "name", ["abc", "contoso0", "contoso01", "a2345678901234567890123", "a23456789012345678901234"]
)
def test_name_of_any_length_is_decoded(name: str) -> None:
    assert only(f"account_name: {in_base64(name)}\nkey: {KEY}").account == name


@pytest.mark.parametrize(
    ("written", "account"),
    [
        ("Contoso01", "contoso01"),  # capitalized by a person
        ("ContosoData1", "contosodata1"),  # base64 of no name
        ("Q09OVE9TTzAx", "q09ove9ttzax"),  # base64 of "CONTOSO01", which is no name
        ("abcdefgh", "abcdefgh"),  # base64 has capitals
    ],
)
def test_name_that_encodes_none_is_read_as_it_is(written: str, account: str) -> None:
    assert only(f"account_name: {written}\nkey: {KEY}").account == account


def test_word_that_is_longer_than_a_name_and_encodes_none_is_no_account() -> None:
    assert Places("account_name: abcdefghijklmnopqrstuvwxyz").mentions == ()


@pytest.mark.parametrize(
    "text",
    [
        '"type": "azurerm_storage_account",\n      "instances": [',
        '"type": "azurerm_storage_account",\n      "name": "main",',
        '"type": "azurerm_storage_account", "mode" : "managed"',
        'resource "azurerm_storage_account" "main" {',
        'data "azurerm_storage_account" "main" {',
        "storage_account:\n  sku: Standard_LRS\n",
        'storage_account:\n  "sku": "Standard_LRS"\n',
        "[storage_account]\naccount =\ncontainer = models\n",
        'client = Client(account, timeout=3, key="x")',
        "{ accountName,\n  accountkey: secret }",
    ],
)
def test_label_that_follows_a_label_is_no_account(text: str) -> None:
    """Terraform's state and language, YAML, INI files, keyword arguments, JavaScript's objects."""
    assert [each.account for each in Places(text).mentions] == []


@pytest.mark.parametrize(
    "text",
    [
        'setting("storage_account", "contoso01")',
        'Client(account, "contoso01", key="x")',
        '"account": "contoso01", "key": "x"',
        "account_name:\n  contoso01\n",
        "storage_account:\n  contoso01:\n    key: x",
        'storage_account:\n  contoso01: {key: "x"}',
        'account = "contoso01" : key = "x"',
        "account=contoso01 == other",
        'azurerm_storage_account = "contoso01"',
    ],
)
def test_value_that_follows_a_label_is_an_account(text: str) -> None:
    assert [each.account for each in Places(text).mentions] == ["contoso01"]


def test_key_in_terraforms_state_has_the_account_of_its_endpoint() -> None:
    """The format of a state file is that of `terraform show`: version 4, `resources[].instances[].attributes`."""
    text = (
        '"type": "azurerm_storage_account",\n"name": "main",\n"instances": [{"attributes": {"name": "contoso01",\n'
        f'"primary_access_key": "{KEY}", "primary_blob_host": "contoso01.blob.core.windows.net"}}}}]'
    )
    [leak] = extract_leaks(text)

    assert [each.account for each in (leak.credential, *leak.others)] == ["contoso01"]
