"""The JSON-lines answer: every field, and who signed."""

from typing import Any

import pytest
from azure.storage.blob import generate_account_sas

from shared.sas.answers import BadRequest, answer
from tests.support.strings_to_sign import ACCOUNT, KEYS, NOW, OTHER_KEYS, container_url, only, query, signature

UNATTRIBUTED_ACCOUNT_SAS = generate_account_sas(ACCOUNT, KEYS["key1"], "sco", "r", NOW)


def first(text: str, keys: object = None) -> dict[str, Any]:
    credentials = answer({"id": 7, "text": text, "keys": keys})["credentials"]
    assert isinstance(credentials, list)
    return dict(credentials[0])


def test_all_fields() -> None:
    assert answer({"id": 7, "text": container_url(), "keys": {ACCOUNT: KEYS}}) == {
        "id": 7,
        "credentials": [
            {
                "credential": "service_sas",
                "service": "blob",
                "account": ACCOUNT,
                "resource_kind": "container",
                "container": "models",
                "path": None,
                "policy": None,
                "permissions": "r",
                "expires": "2030-01-01T00:00:00Z",
                "signed_by": "key2",
                "fingerprint": only(container_url()).fingerprint,
            }
        ],
    }


@pytest.mark.parametrize(
    ("text", "keys", "signed_by"),
    [
        (container_url(), {ACCOUNT: KEYS}, "key2"),
        (container_url(), {ACCOUNT.upper(): KEYS | {"cloud": "public"}}, "key2"),
        (container_url(sp="rw"), {ACCOUNT: KEYS}, "none"),
        (container_url(), {ACCOUNT: OTHER_KEYS}, "none"),
        (container_url(), None, "unknown"),
        (container_url(), {}, "unknown"),
        (container_url(), {"another": KEYS}, "unknown"),
        (container_url(), {ACCOUNT: {}}, "unknown"),
        (container_url().partition("?")[2], {ACCOUNT: KEYS}, "unknown"),
        (container_url(skoid="o", sktid="t"), {ACCOUNT: KEYS}, "delegation"),
        (container_url(skoid="o", sktid="t"), None, "delegation"),
        (UNATTRIBUTED_ACCOUNT_SAS, {"another": OTHER_KEYS, ACCOUNT: KEYS}, "key1"),
        (UNATTRIBUTED_ACCOUNT_SAS, {"another": OTHER_KEYS}, "none"),
        (query({"sv": "2031-01-01", "sp": "r", "tn": "t"}, signature("x")), {ACCOUNT: KEYS}, "unknown"),
    ],
)
def test_who_signed(text: str, keys: object, signed_by: str) -> None:
    assert first(text, keys)["signed_by"] == signed_by


def test_unattributed_token_gets_the_account_that_signed_it() -> None:
    assert first(UNATTRIBUTED_ACCOUNT_SAS, {"another": OTHER_KEYS, ACCOUNT: KEYS})["account"] == ACCOUNT
    assert first(UNATTRIBUTED_ACCOUNT_SAS, {"another": OTHER_KEYS})["account"] is None


def test_end_that_is_missing_is_null() -> None:
    assert first(container_url(se="soon"))["expires"] is None


def test_emulator_is_answered_for_if_its_keys_are_given() -> None:
    text = f"AccountName=devstoreaccount1;AccountKey={KEYS['key1']}"
    assert answer({"text": text})["credentials"] == []
    assert first(text, {"devstoreaccount1": KEYS})["signed_by"] == "key1"


@pytest.mark.parametrize(
    "request_", [None, [], "x", {}, {"text": 7}, {"text": "x", "keys": []}, {"text": "x", "keys": {"a": "key"}}]
)
def test_bad_request_is_refused(request_: object) -> None:
    with pytest.raises(BadRequest):
        answer(request_)


def test_reading_that_a_key_signed_is_the_answer() -> None:
    wrong = container_url().replace("/models", "/elsewhere")
    found = first(f"{wrong}\n{container_url()}", {ACCOUNT: KEYS})

    assert (found["signed_by"], found["container"]) == ("key2", "models")


def test_no_key_signed_only_if_every_reading_is_certain() -> None:
    wrong = container_url().replace("/models", "/elsewhere")
    lost = container_url().replace("/models", "/")

    assert first(f"{wrong}\n{wrong.replace('elsewhere', 'another')}", {ACCOUNT: KEYS})["signed_by"] == "none"
    assert first(f"{wrong}\n{lost}", {ACCOUNT: KEYS})["signed_by"] == "unknown"
