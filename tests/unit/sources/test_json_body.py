import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidRequest
from shared.sources import json_body
from shared.sources.json_body import TooLarge, UnsupportedMediaType


def read(body: bytes, content_type: str = "application/json") -> dict[str, object]:
    return json_body.read(body, content_type=content_type)


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON ;charset=UTF-8"]
)
def test_json_object_is_read(content_type: str) -> None:
    body = read('{"text": "é\\u0000", "wait": 1.5}'.encode(), content_type)

    assert body == {"text": "é\0", "wait": 1.5}


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/problem+json", "application/jsonp", "text/html; application/json"]
)
def test_other_content_type_is_refused(content_type: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        read(b"{}", content_type)


def test_body_over_the_limit_is_refused() -> None:
    longest = b'{"text": "' + b"a" * (json_body.LONGEST - 12) + b'"}'
    assert len(longest) == json_body.LONGEST
    read(longest)

    with pytest.raises(TooLarge):
        read(longest + b" ")


MALFORMED = {
    "empty": b"",
    "no JSON": b"text=secret",
    "cut off": b'{"text": "secret"',
    "no object": b'["secret"]',
    "a text": b'"secret"',
    "null": b"null",
    "two values": b'{"text": "secret"} {}',
    "a comment": b'{"text": "secret"} // x',
    "a comma too much": b'{"text": "secret",}',
    "a duplicate field": b'{"text": "secret", "text": "secret2"}',
    "a nested duplicate field": b'{"text": {"secret": 1, "secret": 2}}',
    "a duplicate field, escaped": b'{"text": "secret", "te\\u0078t": "secret"}',
    "NaN": b'{"wait": NaN, "text": "secret"}',
    "Infinity": b'{"wait": -Infinity, "text": "secret"}',
    "a huge number": b'{"wait": ' + b"1" * 5000 + b', "text": "secret"}',
    "no UTF-8": b'{"text": "secret\xff"}',
    "UTF-16": '{"text": "secret"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"text": "secret"}',
    "a control character": b'{"text": "secret\n"}',
    "half of a surrogate pair": b'{"text": "secret\\ud800"}',
    "half of a surrogate pair in a name": b'{"secret\\udfff": 1}',
    "deep lists": b"[" * 500_000,
    "deep objects": b'{"secret":' * 100_000,
    "deep and complete": b'{"text": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_body_is_refused_and_not_quoted(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(body)

    assert "secret" not in str(refused.value)
    assert refused.value.__context__ is None or refused.value.__suppress_context__  # a parser's error has the body


@given(st.binary())
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        read(body)
    except InvalidRequest:
        return
    assert isinstance(json.loads(body), dict)


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.text() | st.integers() | st.lists(st.text())))
def test_any_json_object_is_read_unchanged(value: dict[str, object]) -> None:
    assert read(json.dumps(value).encode()) == value
