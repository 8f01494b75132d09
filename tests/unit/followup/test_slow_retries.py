"""Copies of a message that is tried again every quarter of an hour."""

from datetime import datetime, timedelta

import pytest

from shared.followup.slow_retries import SlowRetries
from shared.persistence.queues import LONGEST_DELAY, Message
from tests.support.samples import NOW

SLOW = Message("ab", attempt=10)  # 2 ** 10 seconds are longer than the longest delay


class Clock:
    now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def retries(clock: Clock) -> SlowRetries:
    return SlowRetries(clock=clock)


def test_second_message_of_a_record_is_a_copy(retries: SlowRetries) -> None:
    assert [retries.is_copy(SLOW), retries.is_copy(SLOW)] == [False, True]


def test_message_of_another_record_is_none(retries: SlowRetries) -> None:
    retries.is_copy(SLOW)
    assert not retries.is_copy(Message("cd", attempt=10))


@pytest.mark.parametrize("message", [Message("ab", attempt=9), Message("ab", attempt=10, swept=True), Message("ab")])
def test_message_that_comes_sooner_or_from_the_sweep_is_none(retries: SlowRetries, message: Message) -> None:
    retries.is_copy(SLOW)
    assert not retries.is_copy(message)


def test_next_attempt_is_none(retries: SlowRetries, clock: Clock) -> None:
    retries.is_copy(SLOW)
    clock.now += timedelta(seconds=LONGEST_DELAY)
    assert not retries.is_copy(Message("ab", attempt=11))


def test_message_that_comes_again_is_none(retries: SlowRetries) -> None:
    retries.is_copy(SLOW)
    retries.forget(SLOW)
    assert not retries.is_copy(SLOW)
