"""What the letters of a permission mean."""

import pytest

from shared.sas import is_writable
from shared.sas.permissions import verbs
from tests.support.strings_to_sign import ACCOUNT, KEYS, container_url, only, query, signature


def with_permissions(letters: str) -> str:
    return container_url(sp=letters)


@pytest.mark.parametrize("letters", ["r", "l", "rl", "f", "e", "rlfe"])
def test_reading_changes_nothing(letters: str) -> None:
    assert not is_writable(only(with_permissions(letters)))


@pytest.mark.parametrize("letters", [*"wdacuxypmoit", "rw", "z"])
def test_everything_else_may_change_something(letters: str) -> None:
    assert is_writable(only(with_permissions(letters)))


def test_what_a_policy_grants_is_taken_to_be_everything() -> None:
    assert is_writable(only(query({"sv": "2022-11-02", "sr": "c", "si": "p"}, signature("x"))))


def test_key_may_change_everything() -> None:
    assert is_writable(only(f"AccountName={ACCOUNT};AccountKey={KEYS['key1']}"))


@pytest.mark.parametrize(
    ("letters", "words"),
    [
        ("rl", ["read", "list"]),
        ("lwacu", ["write", "list"]),
        ("p", ["change the access rights of"]),
        ("rz", ["read", "do more with"]),
    ],
)
def test_letters_in_words(letters: str, words: list[str]) -> None:
    assert verbs(only(with_permissions(letters))) == words


def test_queues_p_is_processing() -> None:
    url = f"https://{ACCOUNT}.queue.core.windows.net/q?{query({'sv': '2022-11-02', 'sp': 'p'}, signature('x'))}"
    assert verbs(only(url)) == ["process"]
