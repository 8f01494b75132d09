from datetime import timedelta

from shared.api.intake.delivery_cache import Deliveries
from tests.support.intake import Clock

BODY = b"{}"


def made() -> tuple[Deliveries[str], Clock]:
    clock = Clock()
    return Deliveries(clock=clock), clock


def test_repeated_delivery_gets_the_first_response() -> None:
    deliveries, _ = made()
    deliveries.note("github", "d1", BODY, "answer")

    assert deliveries.answered("github", "d1", BODY) == "answer"


def test_delivery_of_another_source_or_without_id_is_new() -> None:
    deliveries, _ = made()
    deliveries.note("github", "d1", BODY, "answer")
    deliveries.note("github", None, BODY, "answer")

    assert [deliveries.answered("wiz", "d1", BODY), deliveries.answered("github", None, BODY)] == [None, None]


def test_delivery_with_the_id_of_another_is_new() -> None:
    deliveries, _ = made()
    deliveries.note("wiz", "d1", BODY, "answer")

    assert deliveries.answered("wiz", "d1", b"[]") is None


def test_delivery_is_new_after_ten_minutes() -> None:
    deliveries, clock = made()
    deliveries.note("github", "d1", BODY, "answer")
    clock.now += timedelta(minutes=10)

    assert deliveries.answered("github", "d1", BODY) is None


def test_number_of_cached_deliveries_is_limited() -> None:
    deliveries, _ = made()
    for number in range(2001):
        deliveries.note("github", str(number), BODY, "answer")

    assert (deliveries.answered("github", "0", BODY), deliveries.answered("github", "1", BODY)) == (None, "answer")
