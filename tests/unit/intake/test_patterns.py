"""The scanners' pattern: what it matches is enough to read the credential, and to name its account."""

import base64
import json
import re
from typing import Any

import pytest

from shared.intake.patterns import KEYWORDS, REGEX
from shared.sas import Kind, extract
from shared.sas.answers import answer
from tests.support import samples
from tests.support.leaking_repository import repository
from tests.support.paths import ROOT

PATTERN = re.compile(REGEX)  # the scanners use RE2, which finds the same, faster
TEXTS = ROOT / "tests" / "unit" / "sas" / "texts"
ROWS = [json.loads(line) for line in (TEXTS / "texts.jsonl").read_text(encoding="utf-8").splitlines()]
ACCOUNTS = json.loads((TEXTS / "accounts.json").read_text(encoding="utf-8"))
FILLER = "".join(f"line {number} with nothing in it\n" for number in range(60))
KEY = samples.KEYS["key1"]
WHOLE = repository()


def matches(text: str) -> list[str]:
    return [match[0] for match in PATTERN.finditer(text)]


def proven(texts: list[str], keys: dict[str, Any]) -> set[tuple[object, ...]]:
    """What is read from `texts`, each alone: kind, account and key."""
    answers: list[Any] = [answer({"text": text, "keys": keys})["credentials"] for text in texts]
    found = [one for answered in answers for one in answered]
    return {(one["credential"], one["account"], one["signed_by"]) for one in found}


@pytest.mark.parametrize("around", ["", FILLER], ids=["alone", "in a file"])
@pytest.mark.parametrize("row", [pytest.param(row, id=row["id"]) for row in ROWS])
def test_what_is_matched_of_a_text_is_read_as_the_whole_text_is(row: dict[str, Any], around: str) -> None:
    keys = {account: ACCOUNTS[account] for account in row["accounts"]}
    text = f"{around}{row['text']}\n{around}"

    assert proven(matches(text), keys) == proven([row["text"]], keys)


@pytest.mark.parametrize("path", WHOLE.files)
def test_every_kind_of_file_gives_its_credentials(path: str) -> None:
    planted = {one.secret_sha256 for one in WHOLE.planted if one.file == path}
    found = {one.signature_sha256 or one.key_sha256 for text in matches(WHOLE.files[path]) for one in extract(text)}

    assert found == planted


@pytest.mark.parametrize("text", [row["text"] for row in ROWS] + list(WHOLE.files.values()))
def test_each_match_has_a_keyword_by_which_scanners_choose_texts(text: str) -> None:
    assert all(any(keyword in match.lower() for keyword in KEYWORDS) for match in matches(text))


@pytest.mark.parametrize(
    "text",
    [
        f"AccountName={samples.ACCOUNT};AccountKey={KEY}",
        f"AccountKey={KEY};AccountName={samples.ACCOUNT}",
        f"account: {samples.ACCOUNT}\n{FILLER[:500]}\nkey: {KEY}",
        f"key: {KEY}\n{FILLER[:150]}\naccount: {samples.ACCOUNT}",
        f'{{"accountName": "{samples.ACCOUNT}", "accountKey": "{KEY}"}}',
    ],
)
def test_key_is_matched_with_an_account_on_either_side(text: str) -> None:
    [match] = matches(f"{FILLER}{text}\n{FILLER}")

    assert [one.account for one in extract(match)] == [samples.ACCOUNT]


@pytest.mark.parametrize("offset", range(3))
@pytest.mark.parametrize("leak", [samples.account_sas(), samples.connection_string()], ids=["SAS", "key"])
def test_credential_in_base64_is_matched_at_each_offset_of_the_encoding(leak: str, offset: int) -> None:
    encoded = base64.b64encode(f"{' ' * offset}{leak}".encode()).decode()
    [match] = matches(f"{FILLER}value: {encoded}\n{FILLER}")

    assert [one.account for one in extract(match)] == [samples.ACCOUNT]


@pytest.mark.parametrize("distance", range(0, 2600, 100))
def test_no_credential_is_cut_by_the_surroundings_of_another(distance: int) -> None:
    between = (FILLER * 2)[:distance]
    urls = [samples.blob_sas(), samples.account_sas(key_name="key1"), samples.account_sas(permissions="r")]
    text = f"\n{between}\n".join([f"{FILLER}a = {urls[0]}", f"b = {urls[1]}", samples.connection_string(), urls[2]])

    expected = proven([text], {samples.ACCOUNT: samples.KEYS})
    assert len(expected) == 4
    assert proven(matches(text), {samples.ACCOUNT: samples.KEYS}) == expected


def test_account_that_stands_between_two_credentials_is_matched_with_the_second() -> None:
    text = f"{samples.blob_sas()}\n{FILLER[:300]}\naccount: {samples.ACCOUNT}\n{FILLER[:300]}\nkey: {KEY}\n"

    found = {(one.kind, one.account) for match in matches(text) for one in extract(match)}
    assert found == {(Kind.SERVICE_SAS, samples.ACCOUNT), (Kind.ACCOUNT_KEY, samples.ACCOUNT)}


def test_thirty_connection_strings_of_one_file_are_matched_each_with_its_account() -> None:
    keys = {f"contoso{number:02}": samples.key(str(number)) for number in range(30)}
    text = "\n".join(f"AccountName={account};AccountKey={key}" for account, key in keys.items())

    found = {(one.account, one.key_sha256) for match in matches(text) for one in extract(match)}
    assert found == {(one.account, one.key_sha256) for one in extract(text)}
    assert len(found) == 30


def test_match_of_a_text_without_lines_is_short() -> None:
    row = '{"id":1,"title":"nothing","tags":["a","b"]},'
    [match] = matches(f'[{row * 200}{{"accountName":"{samples.ACCOUNT}","accountKey":"{KEY}"}},{row * 200}]')

    assert [one.account for one in extract(match)] == [samples.ACCOUNT]
    assert len(match) < 1600


@pytest.mark.parametrize(
    "text",
    [
        f'"azure-storage": {{"integrity": "sha512-{KEY}"}}',
        f"hash: {KEY}",  # nothing says that it is a storage account's
        f"account storage {'A' * 600}=",
        "account\nconst sig = computeTheSignatureOfTheRequestFromItsHeaders(request);",
        "const sig = sign(account, key); // storage",
        "design=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "-----BEGIN CERTIFICATE-----\n" + "MIIDazCCAlOgAwIBAgIUJ/azure\n" * 10,
    ],
)
def test_what_only_resembles_a_credential_is_not_matched(text: str) -> None:
    assert matches(text) == []


def test_pattern_has_what_re2_can_read_and_reports_the_whole_match() -> None:
    counts = [int(count) for count in re.findall(r"\{(?:[0-9]+,)?([0-9]+)\}", REGEX)]

    assert not re.search(r"\(\?[=!<]|\\[1-9]", REGEX)
    assert max(counts) <= 1000
    assert PATTERN.groups == 0
