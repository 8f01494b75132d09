import json

import azure.functions as func
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidRequest
from shared.sources import json_body
from shared.sources.json_body import TooLarge, UnsupportedMediaType


def sent(body: bytes, content_type: str = "application/json") -> func.HttpRequest:
    return func.HttpRequest(method="POST", url="https://x/", headers={"Content-Type": content_type}, body=body)


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON ;charset=UTF-8"]
)
def test_a_json_object_is_read(content_type: str) -> None:
    body = json_body.read(sent('{"text": "é\\u0000", "wait": 1.5}'.encode(), content_type))

    assert body == {"text": "é\0", "wait": 1.5}


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/problem+json", "application/jsonp", "text/html; application/json"]
)
def test_what_is_not_said_to_be_json_is_refused(content_type: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        json_body.read(sent(b"{}", content_type))


def test_a_body_may_be_as_long_as_the_limit_and_no_longer() -> None:
    longest = b'{"text": "' + b"a" * (json_body.LONGEST - 12) + b'"}'
    assert len(longest) == json_body.LONGEST
    json_body.read(sent(longest))

    with pytest.raises(TooLarge):
        json_body.read(sent(longest + b" "))


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
    "a field twice": b'{"text": "secret", "text": "secret2"}',
    "a field twice, further in": b'{"text": {"secret": 1, "secret": 2}}',
    "a field twice, in other letters": b'{"text": "secret", "te\\u0078t": "secret"}',
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
def test_what_is_no_plain_json_object_is_refused_and_not_repeated(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        json_body.read(sent(body))

    assert "secret" not in str(refused.value)
    assert refused.value.__context__ is None or refused.value.__suppress_context__  # a parser's error holds the body


@given(st.binary())
def test_no_bytes_are_a_failure_of_ours(body: bytes) -> None:
    try:
        json_body.read(sent(body))
    except InvalidRequest:
        return
    assert isinstance(json.loads(body), dict)


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.text() | st.integers() | st.lists(st.text())))
def test_whatever_json_has_as_an_object_comes_through(value: dict[str, object]) -> None:
    assert json_body.read(sent(json.dumps(value).encode())) == value
