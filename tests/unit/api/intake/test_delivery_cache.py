from datetime import timedelta

import pytest

from shared.api.intake.delivery_cache import LARGEST, Deliveries, Response
from tests.support.intake import Clock

BODY = b"{}"
ANSWER = Response(b"answer", 202)


def made() -> tuple[Deliveries, Clock]:
    clock = Clock()
    return Deliveries(clock=clock), clock


def test_repeated_delivery_gets_the_first_response() -> None:
    deliveries, _ = made()
    deliveries.note("github", "d1", BODY, ANSWER)

    assert deliveries.answered("github", "d1", BODY) == ANSWER


def test_delivery_of_another_source_or_without_id_is_new() -> None:
    deliveries, _ = made()
    deliveries.note("github", "d1", BODY, ANSWER)
    deliveries.note("github", None, BODY, ANSWER)

    assert [deliveries.answered("wiz", "d1", BODY), deliveries.answered("github", None, BODY)] == [None, None]


def test_delivery_with_the_id_of_another_is_new() -> None:
    deliveries, _ = made()
    deliveries.note("wiz", "d1", BODY, ANSWER)

    assert deliveries.answered("wiz", "d1", b"[]") is None


def test_delivery_is_new_after_ten_minutes() -> None:
    deliveries, clock = made()
    deliveries.note("github", "d1", BODY, ANSWER)
    clock.now += timedelta(minutes=10)

    assert deliveries.answered("github", "d1", BODY) is None


@pytest.mark.parametrize("length", [1, 100_000, LARGEST // 4 - 1000])
def test_size_of_all_cached_responses_is_limited(length: int) -> None:
    deliveries, _ = made()
    answer = Response(b"x" * length, 202)
    for number in range(min(2 * LARGEST // length, 20_000)):
        deliveries.note("github", str(number), BODY, answer)
    last = str(number)

    assert deliveries.size <= LARGEST
    assert (deliveries.answered("github", "0", BODY), deliveries.answered("github", last, BODY)) == (None, answer)


def test_response_that_would_fill_the_cache_is_not_cached_and_removes_no_other() -> None:
    deliveries, _ = made()
    deliveries.note("github", "d1", BODY, ANSWER)
    deliveries.note("github", "large", BODY, Response(b"x" * (LARGEST // 4), 202))

    assert (deliveries.answered("github", "large", BODY), deliveries.answered("github", "d1", BODY)) == (None, ANSWER)


def test_long_delivery_ids_count() -> None:
    deliveries, _ = made()
    for number in range(300):
        deliveries.note("github", f"{number}{'x' * 100_000}", BODY, ANSWER)

    assert deliveries.size <= LARGEST


def test_old_responses_take_no_memory() -> None:
    deliveries, clock = made()
    deliveries.note("github", "d1", BODY, Response(b"x" * 100_000, 202))
    clock.now += timedelta(minutes=10)
    deliveries.note("github", "d2", BODY, ANSWER)

    assert deliveries.size < 1000
