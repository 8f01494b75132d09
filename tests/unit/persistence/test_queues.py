"""Messages of the queues: either form is read, and anything else is refused."""

import base64
from datetime import UTC, datetime
from unittest.mock import AsyncMock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.alert import AlertReference, AlertSource
from shared.errors import MalformedEvent
from shared.persistence import alert_queue
from shared.persistence.alert_queue import AlertMessage
from shared.persistence.queues import Message, PoisonQueues, backoff, encode, read

JSON = b'{"fingerprint": "ab", "attempt": 3}'
ALERT = AlertMessage(AlertReference(AlertSource.GITHUB, "contoso/x", "7"), datetime(2026, 11, 21, tzinfo=UTC), 2, "é")


def test_the_wait_doubles_up_to_a_quarter_of_an_hour() -> None:
    assert [backoff(attempt) for attempt in (0, 1, 2, 9, 10, 500)] == [1.0, 2.0, 4.0, 512.0, 900.0, 900.0]


def test_the_wait_is_never_shorter_than_the_service_asked_for() -> None:
    assert backoff(0, retry_after=60.0) == 60.0


def test_a_message_without_attempts_is_the_first() -> None:
    assert read(b'{"fingerprint": "ab"}') == Message("ab", 0)


@pytest.mark.parametrize(
    "stored",
    [JSON, b" \n" + JSON, base64.b64encode(JSON), base64.encodebytes(JSON), base64.b64encode(b"\n" + JSON)],
    ids=["JSON", "JSON after spaces", "base64", "base64 in lines", "base64 of JSON after spaces"],
)
def test_a_message_is_read_as_json_and_as_base64(stored: bytes) -> None:
    """azure-functions-host 4.1037 with `messageEncoding: none`, tried: a function gets what is stored."""
    assert read(stored) == Message("ab", 3)


@pytest.mark.parametrize("message", [Message("ab" * 32, 4, swept=True)])
def test_a_message_that_was_written_is_read(message: Message) -> None:
    assert read(encode(message).encode()) == message


def test_an_alert_that_was_written_is_read() -> None:
    assert alert_queue.read(encode(ALERT).encode()) == ALERT


def test_the_host_s_own_setting_would_read_what_is_written() -> None:
    """With `base64`, the default of the Storage extension, too: a host of an older version may run beside."""
    assert base64.b64decode(encode(Message("ab")), validate=True).startswith(b'{"fingerprint":"ab"')


@pytest.mark.parametrize(
    "stored",
    [
        *(b"", b"[]", b'{"fingerprint": 1}', b"not json", b"null", b"1234", b"{" * 100_000),
        *(b'{"fingerprint": ""}', b'{"fingerprint": "ab/../cd"}'),
        base64.b64encode(b"\xff\xfe"),
        base64.b64encode(b'{"fingerprint": "\xff"}'),  # msgspec raises UnicodeDecodeError for text, not DecodeError
    ],
)
def test_a_foreign_message_is_refused(stored: bytes) -> None:
    with pytest.raises(MalformedEvent):
        read(stored)


@pytest.mark.parametrize("stored", [b"none of ours & <odd>", base64.b64encode(JSON)])
async def test_a_poison_message_is_put_back_as_it_was_stored(stored: bytes) -> None:
    queue = AsyncMock()
    queues = {"contain-poison": queue}

    await PoisonQueues(queues.__getitem__).put_back("contain", stored)

    queue.send_message.assert_awaited_once_with(stored.decode(), visibility_timeout=900)


@given(st.binary(max_size=60) | st.binary(max_size=60).map(base64.b64encode))
def test_any_bytes_are_a_message_or_refused(stored: bytes) -> None:
    for reader in (read, alert_queue.read):
        with pytest.raises(MalformedEvent):
            reader(stored)
