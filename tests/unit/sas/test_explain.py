"""The explanation for a person and for a program: whole, and without the secret."""

import json

import pytest

from shared.sas import explain, explanation, extract
from tests.support.strings_to_sign import ACCOUNT, KEYS, NOW, container_url, query, signature

TEXTS = {
    "account SAS": query({"sv": "2022-11-02", "ss": "b", "srt": "o", "sp": "r"}, signature("x")),
    "service SAS": container_url(),
    "policy SAS": container_url(si="p"),
    "user delegation SAS": container_url(skoid="o", sktid="t"),
    "account key": f"AccountName={ACCOUNT};AccountKey={KEYS['key1']}",
}


@pytest.mark.parametrize("name", TEXTS)
def test_every_kind_is_explained_without_its_secret(name: str) -> None:
    text = explain(extract(TEXTS[name]), now=NOW)
    secret = TEXTS[name].partition("sig=")[2] or KEYS["key1"]
    assert "severity" in text
    assert "to end it" in text
    assert secret not in text


@pytest.mark.parametrize("name", TEXTS)
def test_program_gets_the_same(name: str) -> None:
    (found,) = json.loads(json.dumps(explanation(extract(TEXTS[name]), now=NOW)))["credentials"]
    assert {"severity", "grants", "reasons", "notes", "action", "fingerprint"} <= found.keys()
    assert (TEXTS[name].partition("sig=")[2] or KEYS["key1"]) not in json.dumps(found)


def test_nothing_found_is_said() -> None:
    assert explain((), now=NOW) == "No Azure Storage credential found.\n"


def test_dates_are_in_the_programs_answer() -> None:
    (found,) = extract(container_url(st="2020-01-01"))
    answer = json.loads(json.dumps(explanation([found], now=NOW)))["credentials"][0]
    assert answer["starts"] == "2020-01-01T00:00:00+00:00"
    assert answer["expires"] == "2030-01-01T00:00:00+00:00"
