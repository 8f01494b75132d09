import pytest

from shared.errors import MalformedEvent
from shared.persistence.queues import Message, backoff, read


def test_the_wait_doubles_up_to_a_quarter_of_an_hour() -> None:
    assert [backoff(attempt) for attempt in (0, 1, 2, 9, 10, 500)] == [1.0, 2.0, 4.0, 512.0, 900.0, 900.0]


def test_the_wait_is_never_shorter_than_the_service_asked_for() -> None:
    assert backoff(0, retry_after=60.0) == 60.0


def test_a_message_without_attempts_is_the_first() -> None:
    assert read('{"fingerprint": "ab"}') == Message("ab", 0)


@pytest.mark.parametrize("text", ["", "[]", '{"fingerprint": 1}', "not json"])
def test_a_foreign_message_is_refused(text: str) -> None:
    with pytest.raises(MalformedEvent):
        read(text)
