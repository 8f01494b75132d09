"""Tokens in URLs, in connection strings, and without either: their hosts and paths."""

import pytest

from shared.sas import Credential, ResourceKind, extract
from tests.support.strings_to_sign import ACCOUNT, HOST, KEYS, container_url, only, query, signature

TOKEN = container_url().partition("?")[2]
QUEUE_TOKEN = query({"sv": "2022-11-02", "sp": "p", "se": "2030-01-01"}, signature("x"))
TABLE_TOKEN = query({"sv": "2019-02-02", "sp": "r", "tn": "Tab"}, signature("x"))
SIG = TOKEN.partition("sig=")[2]
ACCOUNT_TOKEN = query({"sv": "2022-11-02", "ss": "bqtf", "srt": "sco", "sp": "r"}, signature("x"))


def place(credential: Credential) -> tuple[str | None, str | None]:
    return credential.host, credential.path


@pytest.mark.parametrize(
    ("text", "host", "path"),
    [
        (f"https://{HOST}/models?{TOKEN}", HOST, "models"),
        (f"https://{HOST.upper()}:443/models??{TOKEN}", HOST, "models"),
        (f"https://user:pw@{HOST}/?comp=list&{TOKEN}", HOST, None),
        (f"{HOST}/models/a%20b?{TOKEN}", HOST, "models/a b"),
        (f"//{HOST}:443/models?{TOKEN}", HOST, "models"),
        (f"x={HOST}?{TOKEN}", HOST, None),
        (f"https://cdn.contoso.example/models?{TOKEN}", "cdn.contoso.example", "models"),
        (f"http://[::1]:10000/acct/models?{TOKEN}", "::1", "acct/models"),
        (f"https://{{account}}.blob.core.windows.net/models?{TOKEN}", None, None),
        (f"https://other.example/?next=https://{HOST}/models?{TOKEN}", HOST, "models"),
        (f"https://other.example/?token={TOKEN}", None, None),
        (f"https://{HOST}/a%0Ab?{TOKEN}", HOST, None),
        (f"https://{HOST}/it's%20(1).jpg?{TOKEN}", HOST, "it's (1).jpg"),
        (f"f('https://{HOST}/models?{TOKEN}')", HOST, "models"),
        (f"?{TOKEN}", None, None),
        (f"--sas-token='?{TOKEN}'", None, None),
        (f"SAS={TOKEN}", None, None),
        (f"example.org/x?{TOKEN}", None, None),
        (f"https://other.example/?design={TOKEN}", None, None),
        (f"abfss://data@{HOST}/a%20b?{TOKEN}", HOST, "data/a b"),
        (f"x wasbs://data@{HOST}/?{TOKEN}", HOST, "data/"),
        (f"GET /models/a%20b?{TOKEN} HTTP/1.1\r\nHost: {HOST}\r\n", HOST, "models/a b"),
        (f"GET /models?{TOKEN} HTTP/1.1", None, None),
    ],
)
def test_places(text: str, host: str | None, path: str | None) -> None:
    assert place(only(text)) == (host, path)


def test_quoted_table_url_keeps_its_entity() -> None:
    found = only(f"get('https://{ACCOUNT}.table.core.windows.net/Tab(PartitionKey='a',RowKey='b')?{TABLE_TOKEN}')")
    assert found.path == "Tab(PartitionKey='a',RowKey='b')"


def test_url_that_was_closed_by_its_quote_has_no_part_in_the_token_behind() -> None:
    assert place(only(f"f('https://other.example/a','?{TOKEN}')")) == (None, None)


def test_token_that_code_adds_to_a_url_belongs_to_it() -> None:
    assert place(only(f"f('https://{HOST}/models'+'?{TOKEN}')")) == (HOST, "models")


@pytest.mark.parametrize("ending", [".", ",", ")", "')", "';", "!", "]", "}", " x", "|tar", ",5123", "%22", "#frag"])
def test_what_follows_a_token_is_not_part_of_it(ending: str) -> None:
    for last in ("se=2030-01-01T00:00:00Z", "sp=r", "sr=c", "spr=https", "sip=1.2.3.4", "sv=2022-11-02", "si=p1"):
        pairs = [pair for pair in TOKEN.split("&") if not last.startswith(pair.split("=")[0] + "=")]
        text = f"https://{HOST}/models?{'&'.join([*pairs, last])}"
        if ending != "%22":  # an encoded mark is part of a value, but of a signature it can't be
            assert extract(text + ending) == extract(text) != ()
    assert only(container_url() + ending) == only(container_url())


@pytest.mark.parametrize("ending", ["\u201d", "\u00bb.", "\u2026", "\u200b", "\u3002"])
def test_typography_behind_a_value_of_any_form_is_not_part_of_it(ending: str) -> None:
    text = f"https://{HOST}/models?{TOKEN}&rscl=de"
    assert only(text + ending) == only(text)


@pytest.mark.parametrize("name", ["snapshot", "versionid"])
def test_what_follows_the_time_of_a_snapshot_is_not_part_of_it(name: str) -> None:
    resource = {"snapshot": "bs", "versionid": "bv"}[name]
    text = f"{container_url(sr=resource)}&{name}=2024-05-01T10:11:03.1234567Z"
    assert only(f"{text}other: 1") == only(text)


@pytest.mark.parametrize("written", ["$MetricsCapacityBlob", "%24MetricsCapacityBlob"])
def test_table_of_azures_own_keeps_its_dollar(written: str) -> None:
    text = f"https://{ACCOUNT}.table.core.windows.net/{written}()?sv=2019-02-02&sp=r&sig={SIG}&tn={written.lower()}"
    assert only(text).container == "$MetricsCapacityBlob"
    assert only(f"{text}.").parameter("tn") == "$metricscapacityblob"


def test_token_in_a_connection_string_belongs_to_its_endpoint() -> None:
    found = only(f"SharedAccessSignature=?{ACCOUNT_TOKEN};TableEndpoint=https://{ACCOUNT}.table.core.windows.net/;")
    assert place(found) == (f"{ACCOUNT}.table.core.windows.net", None)


def test_table_token_in_a_connection_string_gets_the_tables_endpoint() -> None:
    found = only(f"BlobEndpoint=https://{HOST}/;SharedAccessSignature={TABLE_TOKEN}")
    assert place(found) == (f"{ACCOUNT}.table.core.windows.net", None)


def test_token_in_a_connection_string_without_an_address_is_unattributed() -> None:
    assert place(only(f"SharedAccessSignature={ACCOUNT_TOKEN}")) == (None, None)


def test_path_style_endpoint_keeps_its_account() -> None:
    found = only(f"BlobEndpoint=http://10.0.0.4:10000/acct;SharedAccessSignature={ACCOUNT_TOKEN}")
    assert found.account == "acct"


@pytest.mark.parametrize(
    ("text", "host", "path"),
    [
        (f"az storage blob list --account-name {ACCOUNT} --sas-token '{TOKEN}'", HOST, None),
        (f'New-AzStorageContext -StorageAccountName "{ACCOUNT}" -SasToken "{TOKEN}"', HOST, None),
        (f'url = "https://{HOST}/models/b.bin"\nsas = "?{TOKEN}"', HOST, "models/b.bin"),
        (f'url = "https://{HOST}/models"\nsas = "?{QUEUE_TOKEN}"', f"{ACCOUNT}.queue.core.windows.net", None),
        (f'"https://{HOST}/one" "https://{HOST}/two" "{TOKEN}"', HOST, None),
        (f'conf.set("fs.azure.sas.models.{HOST}", "{TOKEN}")', HOST, "models"),
        (f'conf.set("fs.azure.sas.fixed.token.{HOST}", "{TOKEN}")', HOST, None),
        (f'"wasbs://models@{HOST}/a/b" "{TOKEN}"', HOST, "models/a/b"),
        (f'"https://${ACCOUNT}.blob.core.windows.net/a" "{TOKEN}"', None, None),
        (f'"https://{HOST}/one" "https://other.blob.core.windows.net" "{TOKEN}"', None, None),
        (f'"https://{HOST}/one"{" " * 9000}"{TOKEN}"', None, None),
        (f'account_name: string\nsas = "{TOKEN}"', None, None),
        (f'BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;\nx = "{TOKEN}"', None, None),
    ],
)
def test_unattributed_token_belongs_to_the_only_account_named_nearby(
    text: str, host: str | None, path: str | None
) -> None:
    assert place(only(text)) == (host, path)


def test_time_of_a_snapshot_is_kept_only_where_it_is_signed() -> None:
    url = f"{container_url(sr='bs')}&snapshot=2024-05-01T10:11:03.1Z&versionid=x"
    assert only(url).resource_kind is ResourceKind.BLOB_SNAPSHOT
    assert only(url).parameter("snapshot") == "2024-05-01T10:11:03.1Z"
    assert only(f"{container_url()}&snapshot=2024-05-01T10:11:03.1Z").parameter("snapshot") is None
    assert only(url).parameter("versionid") is None


def test_plus_stays_a_plus() -> None:
    raw = "sp=r&sv=2022-11-02&sr=c&si=a+b&sig=" + signature("x")
    assert only(raw).policy == "a+b"


def test_what_is_repeated_counts_once_as_it_came_first() -> None:
    assert only(f"{container_url()}&sp=rwd").permissions == "r"


def test_key_beside_a_token_does_not_hide_it() -> None:
    text = f"AccountName={ACCOUNT};AccountKey={KEYS['key1']};SharedAccessSignature={ACCOUNT_TOKEN}"
    assert len(extract(text)) == 2
