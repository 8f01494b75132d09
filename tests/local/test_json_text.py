import pytest

from local.json_text import DEEPEST, InvalidJson, parse


def nested(depth: int) -> bytes:
    return b"[" * depth + b"0" + b"]" * depth


def test_value_is_read() -> None:
    assert parse(b'{"a": [1, 2.5, null, "\\ud83d\\ude00"]}') == {"a": [1, 2.5, None, "\U0001f600"]}


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"\xff", b"NaN", b"[-Infinity]", b"1e999", b"9" * 5000, b'"\\ud800"', b'{"\\udc00": 1}'],
    ids=["empty", "cut", "no UTF-8", "NaN", "infinity", "too large", "too long", "surrogate", "surrogate in a name"],
)
def test_value_that_cannot_be_serialized_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidJson):
        parse(raw)


@pytest.mark.parametrize("depth", [DEEPEST + 1, 5_000, 100_000])
def test_value_nested_too_deeply_is_refused(depth: int) -> None:
    with pytest.raises(InvalidJson, match="nested"):
        parse(nested(depth))


def test_brackets_that_never_close_are_refused() -> None:
    with pytest.raises(InvalidJson):
        parse(b"[" * 100_000)


def test_deepest_nesting_allowed_is_read() -> None:
    assert parse(nested(DEEPEST)) is not None


def test_lone_surrogate_is_accepted_with_any_text() -> None:
    assert parse(b'"\\ud800"', any_text=True) == "\ud800"
