"""The shared corpus of tokens that Microsoft's client libraries made, where it is at hand: storage verifies each."""

import contextlib
import json
from typing import Any
from urllib.parse import quote

import pytest

from local.storage.errors import Refusal
from local.storage.sas.signing import signing_key
from local.storage.sas.token import Kind, Token, read
from local.tenant.model import Account
from tests.support.paths import ROOT
from tests.support.sas_requests import sas_request

CORPUS = ROOT.parent / "shared" / "corpus"
ROWS_FILE = CORPUS / "sas_sample.jsonl"
KINDS = {
    "account_sas": Kind.ACCOUNT,
    "service_sas": Kind.SERVICE,
    "policy_sas": Kind.SERVICE,
    "user_delegation_sas": Kind.DELEGATION,
}
ROWS: list[dict[str, Any]] = (
    [
        row
        for row in map(json.loads, ROWS_FILE.read_text(encoding="utf-8").splitlines())
        if row["expected"]["credential"] in KINDS
    ]
    if ROWS_FILE.exists()
    else []
)


def signed(row: dict[str, Any]) -> bool:
    """Return whether a key of its account signed the row's token, and all that was signed is in the row."""
    is_version = row["expected"]["resource_kind"] == "blob_version"
    return row["expected"]["signed_by"] in ("key1", "key2") and not (
        is_version and "versionid=" not in row["token_url_or_query"]
    )


def each(rows: list[dict[str, Any]]) -> pytest.MarkDecorator:
    absent = pytest.mark.skip(reason="the corpus is not beside the repository")
    found = [pytest.param(row, id=row["id"]) for row in rows]
    return pytest.mark.parametrize("row", found or [pytest.param({}, marks=absent, id="no corpus at hand")])


def account_of(row: dict[str, Any]) -> Account:
    keys = json.loads((CORPUS / "accounts_sample.json").read_text(encoding="utf-8"))["accounts"]
    name = row["expected"]["account"]
    return Account(name, "corpus", keys={key: keys[name][key] for key in ("key1", "key2")})


def read_row(row: dict[str, Any]) -> Token:
    """Return the token of a row, sent for what it opens: the object of the URL, or another one of the container."""
    expected = row["expected"]
    service = "blob" if expected["service"] == "multiple" else expected["service"]
    inside = row["url_path"] or expected["path"] or ("any.txt" if service in ("blob", "file") else "")
    path = "/".join(filter(None, (expected["container"], inside)))
    query = row["token_url_or_query"].rpartition("?")[2]
    return read(sas_request(f"https://host/{quote(path)}?{query}", account=expected["account"], service=service))


@each(ROWS)
def test_token_of_a_client_library_is_read_as_its_kind(row: dict[str, Any]) -> None:
    assert read_row(row).kind is KINDS[row["expected"]["credential"]]


@each([row for row in ROWS if signed(row)])
def test_account_key_that_signed_a_token_is_found(row: dict[str, Any]) -> None:
    assert signing_key(read_row(row), account_of(row)) == row["expected"]["signed_by"]


@each([row for row in ROWS if row["negative"] is not None])
def test_altered_token_and_token_of_another_key_are_not_accepted(row: dict[str, Any]) -> None:
    with contextlib.suppress(Refusal):  # what it says can't be read any more
        assert signing_key(read_row(row), account_of(row)) is None
