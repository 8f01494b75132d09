"""Where a listing goes on: what we wrote is read back, and nothing else is."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import continuation
from shared.errors import InvalidRequest

PLAIN = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=300)
AZURE = {"PartitionKey": "1!4!YWI-", "RowKey": "1!88!YWI3Zjk-"}


def text_of(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).decode().rstrip("=")


@given(PLAIN, st.none() | PLAIN)
def test_what_was_written_is_read_back(partition: str, row: str | None) -> None:
    position = {"PartitionKey": partition, "RowKey": row}
    assert continuation.read(continuation.written(position)) == position


@given(PLAIN, PLAIN)
def test_text_can_stand_in_a_query_as_it_is(partition: str, row: str) -> None:
    text = continuation.written({"PartitionKey": partition, "RowKey": row})
    assert all(character.isalnum() or character in "-_" for character in text)


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        continuation.read(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        continuation.written(AZURE) + "=",
        continuation.written(AZURE) + "A",
        continuation.written(AZURE)[:-1],
        " " + continuation.written(AZURE),
        text_of({"partition": "ab"}),
        text_of({"partition": "ab", "row": 1}),
        text_of({"partition": None, "row": "a"}),
        text_of({"partition": "ab", "row": "a", "more": "x"}),
        text_of({"row": "a", "partition": "ab"}),
        text_of({"partition": "ab\r\nHost: x", "row": "a"}),
        text_of({"partition": "ab", "row": "ä"}),
        text_of(["ab", "a"]),
        text_of({"partition": "a" * 2048, "row": None}),
        "ä" * 8,
    ],
)
def test_what_is_nearly_one_of_ours_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        continuation.read(text)


def test_refusal_repeats_nothing_of_the_text() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        continuation.read("c2VjcmV0")
    assert "c2VjcmV0" not in str(refusal.value)
