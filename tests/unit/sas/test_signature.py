"""The key that signed a token: every version range by hand, and the signatures of every client."""

from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from azure.core.credentials import AzureNamedKeyCredential
from azure.data.tables import generate_table_sas
from azure.storage.blob import UserDelegationKey, generate_account_sas, generate_blob_sas, generate_container_sas
from azure.storage.fileshare import generate_file_sas, generate_share_sas
from azure.storage.queue import generate_queue_sas
from hypothesis import given
from hypothesis import strategies as st

from shared.sas import Credential, Undecidable, Verification, signature_sha256, verify
from tests.support.strings_to_sign import ACCOUNT, HOST, KEYS, OTHER_KEYS, container_url, only, query, signature

E = "2030-01-01T00:00:00Z"
S = "2020-01-01T00:00:00Z"
A = ACCOUNT

# service host, path, parameters, string-to-sign: spelled out from the REST documentation, each range by its two ends
RANGES = [
    ("blob", "c/b", {"sp": "r", "se": E, "sr": "b"}, f"r\n\n{E}\n/{A}/c/b\n"),
    ("blob", "c/b", {"sv": "2012-02-12", "sp": "r", "se": E, "sr": "b"}, f"r\n\n{E}\n/{A}/c/b\n\n2012-02-12"),
    (
        "blob",
        "c/b",
        {"sv": "2013-08-15", "sp": "r", "se": E, "sr": "b", "rscc": "no-cache"},
        f"r\n\n{E}\n/{A}/c/b\n\n2013-08-15\nno-cache\n\n\n\n",
    ),
    (
        "blob",
        "c/b",
        {"sv": "2014-02-14", "sp": "r", "st": S, "se": E, "sr": "b", "rscd": "inline"},
        f"r\n{S}\n{E}\n/{A}/c/b\n\n2014-02-14\n\ninline\n\n\n",
    ),
    (
        "blob",
        "c/b",
        {"sv": "2015-02-21", "sp": "r", "se": E, "sr": "b", "rsce": "gzip"},
        f"r\n\n{E}\n/blob/{A}/c/b\n\n2015-02-21\n\n\ngzip\n\n",
    ),
    (
        "blob",
        "c/b",
        {"sv": "2015-04-05", "sp": "r", "se": E, "sr": "b", "sip": "1.2.3.4", "spr": "https", "rscl": "de"},
        f"r\n\n{E}\n/blob/{A}/c/b\n\n1.2.3.4\nhttps\n2015-04-05\n\n\n\nde\n",
    ),
    (
        "blob",
        "c/b",
        {"sv": "2018-03-28", "si": "p", "sr": "b", "rsct": "text/html"},
        f"\n\n\n/blob/{A}/c/b\np\n\n\n2018-03-28\n\n\n\n\ntext/html",
    ),
    (
        "blob",
        "c/b",
        {"sv": "2018-11-09", "sp": "r", "se": E, "sr": "b"},
        f"r\n\n{E}\n/blob/{A}/c/b\n\n\n\n2018-11-09\nb\n\n\n\n\n\n",
    ),
    (
        "blob",
        "c/b",
        {"sv": "2020-10-02", "sp": "r", "se": E, "sr": "bs", "snapshot": "2024-05-01T10:11:03.1234567Z"},
        f"r\n\n{E}\n/blob/{A}/c/b\n\n\n\n2020-10-02\nbs\n2024-05-01T10:11:03.1234567Z\n\n\n\n\n",
    ),
    (
        "blob",
        "c/b",
        {"sv": "2020-12-06", "sp": "r", "se": E, "sr": "bv", "ses": "scope", "versionid": "2024-05-01T10:11:03.1Z"},
        f"r\n\n{E}\n/blob/{A}/c/b\n\n\n\n2020-12-06\nbv\n2024-05-01T10:11:03.1Z\nscope\n\n\n\n\n",
    ),
    (
        "dfs",
        "c/a/b/deeper/file",
        {"sv": "2026-10-06", "sp": "r", "se": E, "sr": "d", "sdd": "2"},
        f"r\n\n{E}\n/blob/{A}/c/a/b\n\n\n\n2026-10-06\nd\n\n\n\n\n\n\n",
    ),
    ("blob", "c", {"sv": "2012-02-12", "sp": "l", "se": E, "sr": "c"}, f"l\n\n{E}\n/{A}/c\n\n2012-02-12"),
    (
        "file",
        "s/f",
        {"sv": "2015-02-21", "sp": "r", "se": E, "sr": "f"},
        f"r\n\n{E}\n/file/{A}/s/f\n\n2015-02-21\n\n\n\n\n",
    ),
    (
        "file",
        "s/d/f",
        {"sv": "2015-04-05", "sp": "r", "se": E, "sr": "s", "spr": "https"},
        f"r\n\n{E}\n/file/{A}/s\n\n\nhttps\n2015-04-05\n\n\n\n\n",
    ),
    (
        "file",
        "s/d/f",
        {"sv": "2026-10-06", "sp": "r", "se": E, "sr": "f", "rscd": "inline"},
        f"r\n\n{E}\n/file/{A}/s/d/f\n\n\n\n2026-10-06\n\ninline\n\n\n",
    ),
    ("queue", "q", {"sv": "2012-02-12", "sp": "p", "se": E}, f"p\n\n{E}\n/{A}/q\n\n2012-02-12"),
    ("queue", "q/messages", {"sv": "2015-02-21", "sp": "p", "se": E}, f"p\n\n{E}\n/queue/{A}/q\n\n2015-02-21"),
    (
        "queue",
        "q",
        {"sv": "2026-10-06", "si": "p", "spr": "https,http"},
        f"\n\n\n/queue/{A}/q\np\n\nhttps,http\n2026-10-06",
    ),
    (
        "table",
        "Tab()",
        {"sv": "2014-02-14", "sp": "r", "se": E, "tn": "Tab", "spk": "a", "srk": "b"},
        f"r\n\n{E}\n/{A}/tab\n\n2014-02-14\na\nb\n\n",
    ),
    (
        "table",
        "Tab",
        {"sv": "2015-02-21", "sp": "r", "se": E, "tn": "Tab", "epk": "z"},
        f"r\n\n{E}\n/table/{A}/tab\n\n2015-02-21\n\n\nz\n",
    ),
    (
        "table",
        "Tab(PartitionKey='x',RowKey='y')",
        {"sv": "2019-02-02", "sp": "r", "se": E, "tn": "tab", "sip": "1.2.3.4", "erk": "9"},
        f"r\n\n{E}\n/table/{A}/tab\n\n1.2.3.4\n\n2019-02-02\n\n\n\n9",
    ),
    (
        "blob",
        "c/b",
        {"sv": "2015-04-05", "ss": "bq", "srt": "sco", "sp": "rl", "se": E},
        f"{A}\nrl\nbq\nsco\n\n{E}\n\n\n2015-04-05\n",
    ),
    (
        "queue",
        "",
        {"sv": "2020-10-02", "ss": "q", "srt": "o", "sp": "rl", "st": S, "se": E, "sip": "1.2.3.4", "spr": "https"},
        f"{A}\nrl\nq\no\n{S}\n{E}\n1.2.3.4\nhttps\n2020-10-02\n",
    ),
    (
        "blob",
        "",
        {"sv": "2020-12-06", "ss": "b", "srt": "o", "sp": "rl", "se": E, "ses": "scope"},
        f"{A}\nrl\nb\no\n\n{E}\n\n\n2020-12-06\nscope\n",
    ),
    (
        "file",
        "",
        {"sv": "2026-10-06", "ss": "bqtf", "srt": "o", "sp": "rl", "se": E},
        f"{A}\nrl\nbqtf\no\n\n{E}\n\n\n2026-10-06\n\n",
    ),
]


def verified(text: str, keys: dict[str, str] = KEYS) -> Verification:
    return verify(only(text), account=ACCOUNT, keys=keys)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    ("service", "path", "parameters", "text"), RANGES, ids=[f"{row[0]}-{row[2].get('sv')}" for row in RANGES]
)
def test_every_version_range_names_its_key(
    service: str, path: str, parameters: dict[str, str], text: str, key: str
) -> None:
    url = f"https://{A}.{service}.core.windows.net/{path}?{query(parameters, signature(text, KEYS[key]))}"
    assert verified(url) == Verification(key, None)


BLOB = {
    "account_name": A,
    "container_name": "c",
    "account_key": KEYS["key2"],
    "expiry": datetime(2030, 1, 1, tzinfo=UTC),
}
FULL = {"permission": "r", "start": datetime(2020, 1, 1, tzinfo=UTC), "ip": "10.0.0.1-10.0.0.9", "protocol": "https"}
SHARE = {"account_name": A, "share_name": "c", "account_key": KEYS["key2"], "expiry": BLOB["expiry"]}
QUEUE = {"account_name": A, "queue_name": "c", "account_key": KEYS["key2"], "expiry": BLOB["expiry"]}
NAMES = ["b", "a b/c+d/100%.txt", "файл.zip", "per%20cent%2Fenc", "it's (1).jpg", "hash#tag?.log", "tail/"]


def in_url(name: str) -> str:
    return quote(name)


@pytest.mark.parametrize("name", NAMES)
def test_blob_tokens_of_the_real_client_are_recognized(name: str) -> None:
    token = generate_blob_sas(blob_name=name, **BLOB, **FULL, content_disposition="a; b=ü", encryption_scope="e")
    assert verified(f"https://{HOST}/c/{in_url(name)}?{token}").key == "key2"


@pytest.mark.parametrize("name", NAMES)
def test_file_tokens_of_the_real_client_are_recognized(name: str) -> None:
    token = generate_file_sas(file_path=name.split("/"), **SHARE, **FULL, cache_control="no-cache")
    assert verified(f"https://{A}.file.core.windows.net/c/{in_url(name)}?{token}").key == "key2"


def test_container_tokens_of_the_real_client_are_recognized_on_a_blob() -> None:
    token = generate_container_sas(**BLOB, **FULL)
    assert verified(f"https://{HOST}/c/some/blob?{token}").key == "key2"


def test_policy_tokens_of_the_real_client_are_recognized() -> None:
    token = generate_container_sas(A, "c", account_key=KEYS["key2"], policy_id="prod/ro+é%")
    assert verified(f"https://{HOST}/c?{token}").key == "key2"


def test_snapshot_tokens_of_the_real_client_are_recognized() -> None:
    time = "2024-05-01T10:11:03.1234567Z"
    token = generate_blob_sas(blob_name="b", snapshot=time, **BLOB, **FULL)
    assert verified(f"https://{HOST}/c/b?snapshot={time}&{token}").key == "key2"


def test_version_tokens_of_the_real_client_are_recognized() -> None:
    time = "2024-05-01T10:11:03.1234567Z"
    token = generate_blob_sas(blob_name="b", version_id=time, **BLOB, **FULL)
    assert verified(f"https://{HOST}/c/b?{token}&versionid={time}").key == "key2"


def test_queue_tokens_of_the_real_client_are_recognized() -> None:
    token = generate_queue_sas(**QUEUE, **FULL)
    assert verified(f"https://{A}.queue.core.windows.net/c/messages?{token}").key == "key2"


def test_share_tokens_of_the_real_client_are_recognized_on_a_file() -> None:
    token = generate_share_sas(**SHARE, **FULL)
    assert verified(f"https://{A}.file.core.windows.net/c/d/f?{token}").key == "key2"


def test_table_tokens_of_the_real_client_are_recognized() -> None:
    token = generate_table_sas(
        AzureNamedKeyCredential(A, KEYS["key2"]),
        "Employees",
        permission="r",
        expiry=BLOB["expiry"],
        start_pk="O'Brien+50%",
        end_pk="Ærø",
        protocol="https",
    )
    assert verified(f"https://{A}.table.core.windows.net/Employees()?{token}").key == "key2"


def test_account_tokens_of_the_real_client_are_recognized() -> None:
    token = generate_account_sas(
        A, KEYS["key2"], "sco", "rwdl", BLOB["expiry"], encryption_scope="e", services="bqtf"
    )
    assert verified(f"https://{A}-secondary.queue.core.windows.net/q?{token}").key == "key2"


def test_blob_of_the_root_container_is_addressed_without_it() -> None:
    token = generate_blob_sas(blob_name="emoji-🚀.json", **(BLOB | {"container_name": "$root"}), permission="r")
    assert verified(f"https://{HOST}/{in_url('emoji-🚀.json')}?{token}").key == "key2"


def test_container_token_on_a_blob_of_the_root_container_covers_the_root_container() -> None:
    token = generate_container_sas(**(BLOB | {"container_name": "$root"}), permission="r")
    assert verified(f"https://{HOST}/index.html?{token}").key == "key2"


@pytest.mark.parametrize("ending", ["", "/"])
def test_directory_token_of_the_root_is_recognized_in_both_spellings(ending: str) -> None:
    text = f"r\n\n{E}\n/blob/{A}/c{ending}\n\n\n\n2022-11-02\nd\n\n\n\n\n\n\n"
    parameters = {"sv": "2022-11-02", "se": E, "sp": "r", "sr": "d", "sdd": "0"}
    assert verified(f"https://{HOST}/c/x?{query(parameters, signature(text))}").key == "key2"


@pytest.mark.parametrize("spelling", ["nix", "Nix"])
def test_table_token_is_recognized_whether_or_not_its_client_lowered_the_name(spelling: str) -> None:
    sig = signature(f"r\n\n{E}\n/table/{A}/{spelling}\n\n\n\n2019-02-02\n\n\n\n")
    token = query({"sv": "2019-02-02", "sp": "r", "se": E, "tn": "Nix"}, sig)
    assert verify(only(f"https://{A}.table.core.windows.net/Nix?{token}"), account=A, keys=KEYS).key == "key2"


@pytest.mark.parametrize("ending", ["", "/"])
def test_directory_token_is_recognized_with_and_without_the_slash_at_the_end(ending: str) -> None:
    sig = signature(f"r\n\n{E}\n/blob/{A}/c12/a/b{ending}\n\n\n\n2022-11-02\nd\n\n\n\n\n\n\n")
    token = query({"sv": "2022-11-02", "sp": "r", "se": E, "sr": "d", "sdd": "2"}, sig)
    assert verify(only(f"https://{A}.dfs.core.windows.net/c12/a/b/d?{token}"), account=A, keys=KEYS).key == "key2"


def test_path_style_url_names_the_account_first() -> None:
    token = generate_container_sas(**BLOB, permission="r")
    assert verified(f"http://10.0.0.4:10000/{A}/c/b?{token}").key == "key2"


def test_token_of_a_newer_version_is_verified() -> None:
    text = f"r\n\n{E}\n/blob/{A}/c\n\n\n\n2031-01-01\nc\n\n\n\n\n\n\n"
    url = f"https://{HOST}/c?{query({'sv': '2031-01-01', 'se': E, 'sp': 'r', 'sr': 'c'}, signature(text))}"
    assert verified(url) == Verification("key2", None)


# What does not verify


def test_keys_of_another_account_do_not_match() -> None:
    assert verified(container_url(), OTHER_KEYS) == Verification(None, None)


def test_another_account_does_not_match() -> None:
    assert verify(only(container_url()), account="another", keys=KEYS) == Verification(None, None)


@given(
    name=st.sampled_from(["se", "sp", "st", "sip", "spr", "si", "ses", "rscc", "rscd", "rsce", "rscl", "rsct"]),
    value=st.text("abcdefghij", min_size=1, max_size=8),
)
def test_changed_or_added_field_does_not_match(name: str, value: str) -> None:
    assert verified(container_url(**{name: value})).key is None


@given(position=st.integers(0, 42), bit=st.integers(0, 5))
def test_changed_signature_does_not_match(position: int, bit: int) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    text = f"r\n\n{E}\n/blob/{A}/models\n\n\n\n2022-11-02\nc\n\n\n\n\n\n\n"
    sig = signature(text)
    flipped = alphabet[alphabet.index(sig[position]) ^ (1 << bit)]
    changed = f"{sig[:position]}{flipped}{sig[position + 1 :]}"
    credential = replace(only(container_url()), signature_sha256=signature_sha256(changed))
    assert verify(credential, account=ACCOUNT, keys=KEYS) == Verification(None, None)


@pytest.mark.parametrize("path", ["other", "model", "Models/x", "models2/b"])
def test_another_resource_does_not_match(path: str) -> None:
    assert verified(container_url().replace("/models?", f"/{path}?")).key is None


def test_malformed_keys_match_nothing() -> None:
    assert verified(container_url(), {"odd": "not base64!", "": "", "é": "é", **KEYS}).key == "key2"


# What can't be decided


def test_user_delegation_token_is_not_decidable_from_keys() -> None:
    key = UserDelegationKey()
    key.signed_oid = key.signed_tid = "00000000-0000-0000-0000-000000000000"
    key.signed_start, key.signed_expiry = S, E
    key.signed_service, key.signed_version, key.value = "b", "2022-11-02", KEYS["key1"]
    key.signed_delegated_user_tid = None
    token = generate_container_sas(A, "c", user_delegation_key=key, permission="r", expiry=BLOB["expiry"])
    assert verified(f"https://{HOST}/c?{token}") == Verification(None, Undecidable.DELEGATION)


def test_service_token_without_its_host_is_unattributed() -> None:
    assert verified(container_url().partition("?")[2]).undecidable is Undecidable.LOOSE


def test_token_whose_url_ends_before_the_container_has_lost_its_path() -> None:
    assert verified(container_url().replace("/models?", "/?")).undecidable is Undecidable.PATH_LOST


def test_file_token_on_its_share_has_lost_its_path() -> None:
    token = generate_file_sas(file_path=["f"], **SHARE, permission="r")
    assert verified(f"https://{A}.file.core.windows.net/c?{token}").undecidable is Undecidable.PATH_LOST


def test_blob_token_on_its_container_may_have_lost_its_path() -> None:
    token = generate_blob_sas(blob_name="b", **(BLOB | {"container_name": "models"}), permission="r")
    assert verified(f"https://{HOST}/models?{token}").undecidable is Undecidable.PATH_LOST


def test_directory_token_above_its_directory_has_lost_its_path() -> None:
    parameters = {"sv": "2022-11-02", "se": E, "sp": "r", "sr": "d", "sdd": "3"}
    url = f"https://{HOST}/c/one?{query(parameters, signature('x'))}"
    assert verified(url).undecidable is Undecidable.PATH_LOST


def test_snapshot_token_without_its_time_has_lost_its_path() -> None:
    token = generate_blob_sas(blob_name="b", snapshot="2024-05-01T10:11:03.1234567Z", **BLOB, **FULL)
    assert verified(f"https://{HOST}/c/b?{token}").undecidable is Undecidable.PATH_LOST


def test_newer_token_without_a_matching_key_is_of_an_unknown_version() -> None:
    assert verified(container_url(sv="2031-01-01")).undecidable is Undecidable.UNKNOWN_VERSION


# Keys


def raw_key(key: str) -> Credential:
    return only(f"AccountName={ACCOUNT};AccountKey={key}")


def test_leaked_key_is_recognized() -> None:
    assert verify(raw_key(KEYS["key1"]), account=ACCOUNT, keys=KEYS) == Verification("key1", None)


def test_key_of_another_account_matches_nothing() -> None:
    assert verify(raw_key(OTHER_KEYS["key1"]), account=ACCOUNT, keys=KEYS) == Verification(None, None)
