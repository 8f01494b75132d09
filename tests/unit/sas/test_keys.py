"""Raw account keys, by what stands around them."""

import base64
import json
from urllib.parse import quote

import pytest

from shared.sas import Credential, Kind, extract, key_sha256
from tests.support.strings_to_sign import ACCOUNT, HOST, KEYS, only

KEY = base64.b64encode(bytes((i * 37 + 11) % 256 for i in range(64))).decode()
MARKED = f"{KEY[:76]}+ASt{KEY[80:]}"


@pytest.mark.parametrize(
    "text",
    [
        f"DefaultEndpointsProtocol=https;AccountName={ACCOUNT};AccountKey={KEY};EndpointSuffix=core.windows.net",
        f"accountname = {ACCOUNT} ; accountkey = {KEY}",
        f"AccountName={ACCOUNT};AccountKey={KEY[:-2]}",
        f"BlobEndpoint=https://{HOST}/;AccountKey={KEY}",
        f"AccountName={ACCOUNT};BlobEndpoint=https://cdn.contoso.example;AccountKey={KEY}",
        f"DefaultEndpointsProtocol\\u003dhttps;AccountName\\u003d{ACCOUNT};AccountKey\\u003d{KEY}",
        quote(f"DefaultEndpointsProtocol=https;AccountName={ACCOUNT};AccountKey={KEY}", safe=""),
        f"AZURE_STORAGE_ACCOUNT={ACCOUNT}\nAZURE_STORAGE_KEY={KEY}\n",
        f"Service(account_name='{ACCOUNT}', account_key='{KEY}')",
        f'new StorageSharedKeyCredential("{ACCOUNT}", "{KEY}");',
        f'storage_account_name = "{ACCOUNT}"\naccess_key = "{KEY}"\n',
        f'access_key = "{KEY}"\nstorage_account_name = "{ACCOUNT}"\n',
        f"https://{HOST}/ key={quote(KEY, safe='')}",
        f"az storage blob list --account-name {ACCOUNT} --account-key {KEY}",
        f'spark.conf.set("fs.azure.account.key.{HOST}", "{KEY}")',
        f"<name>fs.azure.account.key.{HOST}</name><value>{KEY}</value>",
        f'$context = New-AzStorageContext "{ACCOUNT}" "{KEY}"',
        f"username={ACCOUNT}\npassword={KEY}\n",
        f"[remote]\ntype = azureblob\naccount = {ACCOUNT}\nkey = {KEY}\n",
        f"azurestorageaccountname: {base64.b64encode(ACCOUNT.encode()).decode()}\n"
        f"azurestorageaccountkey: {base64.b64encode(KEY.encode()).decode()}\n",
    ],
)
def test_key_beside_its_account_is_found(text: str) -> None:
    assert only(text) == Credential(Kind.ACCOUNT_KEY, HOST, None, (), None, key_sha256(KEY))


@pytest.mark.parametrize(
    "text",
    [
        *(KEY, f"{KEY}\n", MARKED + " ", f"x: {MARKED}", f"AZURE_STORAGE_KEY={KEY}", f"accountKey: {KEY}"),
        f'[{{"keyName": "key1", "permissions": "FULL", "value": "{KEY}"}}]',
        f'{{"keys":[{{"keyName":"key2","value":"{KEY}","permissions":"FULL"}}]}}',
        f"KeyName  Permissions  Value\nkey1     FULL         {KEY}\n",
        f"key2\n{KEY}\n",
    ],
)
def test_key_that_says_what_it_is_is_found_without_an_account(text: str) -> None:
    assert (only(text).kind, only(text).host) == (Kind.ACCOUNT_KEY, None)


def test_sovereign_connection_string_keeps_its_cloud() -> None:
    text = f"AccountName=acct;AccountKey={KEY};EndpointSuffix=core.chinacloudapi.cn"
    assert only(text).host == "acct.blob.core.chinacloudapi.cn"


def test_suffix_that_is_no_host_is_replaced() -> None:
    assert only(f"AccountName=acct;AccountKey={KEY};EndpointSuffix=_!_").host == "acct.blob.core.windows.net"


def test_each_key_belongs_to_the_account_named_before_it() -> None:
    text = f"account_name: one1\nkey: {KEY}\naccount_name: two2\nkey: {KEYS['key1']}\n"
    assert [found.account for found in extract(text)] == ["one1", "two2"]


def test_key_far_from_any_account_is_no_finding() -> None:
    assert extract(f"account_name: one1 account_name: two2{' ' * 2000}{KEY}") == ()


def test_key_in_a_connection_string_without_an_account_belongs_to_the_one_near() -> None:
    assert only(f"https://{HOST}/x\nAccountKey={KEY}").account == ACCOUNT


def test_two_connection_strings_are_two() -> None:
    text = f"AccountName=one1;AccountKey={KEY};AccountName=two2;AccountKey={KEYS['key1']}"
    assert [found.account for found in extract(text)] == ["one1", "two2"]


@pytest.mark.parametrize(
    "text",
    [
        f'primary_access_key": "{KEY}"',
        f'account_key: str = "{KEY}"',
        f"{KEY}\nazure-storage-account-key has detected secret for file src/app.py.",
        f'[{{"name":"STORAGE_KEY","value":"{KEY}"}}]',
    ],
)
def test_key_with_a_label_of_any_form_is_found(text: str) -> None:
    assert [found.kind for found in extract(text)] == [Kind.ACCOUNT_KEY]


@pytest.mark.parametrize(
    "text",
    [
        f"account: {ACCOUNT}\nhash: {KEY[:-2]}",
        f"account: {ACCOUNT}\nkey: {'x' * 86}==",
        f"hash: {KEY[:-2]}",
        f"account_key: {'Xy' * 43}==",
    ],
)
def test_what_only_has_the_length_of_a_key_is_none(text: str) -> None:
    assert extract(text) == ()


def test_key_without_padding_is_found_behind_its_label() -> None:
    assert only(f"account: {ACCOUNT}\naccount_key: {KEY[:-2]}").key_sha256 == key_sha256(KEY)


@pytest.mark.parametrize(
    "text",
    [
        f"spark.hadoop.fs.azure.account.key.{ACCOUNT}.dfs.core.windows.net {KEY}",
        f"key = {KEY}\naccount = {ACCOUNT}",
        f"STORAGE_B64={base64.b64encode(f'AccountName={ACCOUNT};AccountKey={KEY};'.encode()).decode()}",
    ],
)
def test_account_of_a_key_is_found_in_any_order_and_encoding(text: str) -> None:
    assert only(text).account == ACCOUNT


def literals(first: str, second: str) -> list[str]:
    """A key in two adjacent literals, as languages write it, and as notebooks and JSON hold such code."""
    java = f'String key = "{first}" +\n    "{second}";'
    return [
        java,
        f'String key = "{first}"\n    + "{second}";',
        f"key = ('{first}'\n       '{second}')",
        f"$key = '{first}' .\n    '{second}';",
        f'key = "{first}" & _\n    "{second}"',
        f'key := "{first}" +\r\n\t"{second}"',
        f'key = "{first}" \\\n    "{second}"',
        f'key = b"{first}" b"{second}"',
        json.dumps({"source": java}),
    ]


@pytest.mark.parametrize("at", [1, 10, 42, 43, 44, 45, 60, 85, 86, 87])
@pytest.mark.parametrize("form", range(len(literals("", ""))))
def test_key_in_two_adjacent_literals_is_found(at: int, form: int) -> None:
    text = f"account_name: {ACCOUNT}\n{literals(MARKED[:at], MARKED[at:])[form]}"

    assert only(text) == Credential(Kind.ACCOUNT_KEY, HOST, None, (), None, key_sha256(MARKED))


@pytest.mark.parametrize("at", [1, 20, 44, 70])
def test_connection_string_that_is_cut_inside_of_its_key_is_found(at: int) -> None:
    text = (
        f'"DefaultEndpointsProtocol=https;AccountName={ACCOUNT};AccountKey={MARKED[:at]}" +\n'
        f'    "{MARKED[at:]};EndpointSuffix=core.windows.net"'
    )
    assert only(text) == Credential(Kind.ACCOUNT_KEY, HOST, None, (), None, key_sha256(MARKED))


@pytest.mark.parametrize("cuts", [(43, 60), (10, 20), (5, 50), (20, 30, 80)])
def test_key_in_several_literals_is_found_where_one_of_them_is_long(cuts: tuple[int, ...]) -> None:
    parts = [MARKED[first:last] for first, last in zip((0, *cuts), (*cuts, None), strict=True)]
    text = f"account_name: {ACCOUNT}\nkey = " + " +\n  ".join(f'"{part}"' for part in parts)

    assert only(text).key_sha256 == key_sha256(MARKED)


def test_key_in_literals_that_is_percent_encoded_is_found() -> None:
    encoded = MARKED.replace("+", "%2B").replace("/", "%2F")
    text = f'account_name: {ACCOUNT}\nkey = "{encoded[:50]}" +\n  "{encoded[50:]}"'

    assert only(text).key_sha256 == key_sha256(MARKED)


@pytest.mark.parametrize(
    "text",
    [
        f'keys = ["{MARKED[:43]}", "{MARKED[43:]}"]',
        f'key = "{MARKED[:43]}"; other = "{MARKED[43:]}"',
        f'key = "{MARKED[:43]}" + "{MARKED[44:]}"',
        f'key = "{MARKED[:43]}" + "{MARKED[42:]}"',
        f'key = "{MARKED[:43]}" + second',
    ],
)
def test_literals_that_are_no_key_together_are_no_finding(text: str) -> None:
    assert extract(f"account_name: {ACCOUNT}\n{text}") == ()
