"""Where a listing goes on: what we wrote is read back, and nothing else is."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.states import State
from shared.errors import InvalidRequest
from shared.persistence import page_tokens

KEYS = st.from_regex(r"[0-9]{20}~[0-9a-f]{64}", fullmatch=True)
KEY = f"{7:020}~{'a' * 64}"
PLACE = page_tokens.written(KEY, of=None)


def text_of(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).decode().rstrip("=")


@given(KEYS, st.none() | st.sampled_from(State))
def test_what_was_written_is_read_back(key: str, state: State | None) -> None:
    assert page_tokens.read(page_tokens.written(key, of=state), of=state) == key


@given(KEYS, st.none() | st.sampled_from(State))
def test_text_can_stand_in_a_query_as_it_is(key: str, state: State | None) -> None:
    text = page_tokens.written(key, of=state)
    assert all(character.isalnum() or character in "-_" for character in text)


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        page_tokens.read(text, of=None)


def test_place_in_another_listing_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        page_tokens.read(PLACE, of=State.FAILED)


@pytest.mark.parametrize(
    "text",
    [
        "",
        PLACE + "=",
        PLACE + "A",
        PLACE[:-1],
        " " + PLACE,
        text_of({"state": None}),
        text_of({"key": KEY}),
        text_of({"state": None, "key": 1}),
        text_of({"state": "unknown", "key": KEY}),
        text_of({"state": None, "key": "' or PartitionKey gt '"}),
        text_of({"state": None, "key": KEY, "more": "x"}),
        text_of([None, KEY]),
        "A" * 3000,
    ],
)
def test_text_that_is_nearly_one_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        page_tokens.read(text, of=None)
