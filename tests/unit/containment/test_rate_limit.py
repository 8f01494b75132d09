"""How much of one source is dealt with at once, and that sources don't take from each other."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.containment.rate_limit import _MOST_SOURCES, RateLimit
from tests.support.samples import NOW


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> object:
        return self.now


def quotas(an_hour: int) -> tuple[RateLimit, Clock]:
    clock = Clock()
    return RateLimit(an_hour=an_hour, clock=clock), clock  # type: ignore[arg-type]


def test_what_is_within_the_quota_is_dealt_with_at_once() -> None:
    counted, _ = quotas(3)

    assert [counted.over_by("github") for _ in range(3)] == [0.0] * 3


def test_what_is_over_it_waits_the_longer_the_more_there_is() -> None:
    counted, _ = quotas(3600)

    for _ in range(3600):
        counted.over_by("github")

    assert [counted.over_by("github") for _ in range(3)] == [1.0, 2.0, 3.0]


def test_flood_of_one_source_takes_nothing_from_another() -> None:
    counted, _ = quotas(1)

    counted.over_by("github")

    assert (counted.over_by("github") > 0, counted.over_by("wiz")) == (True, 0.0)


def test_quota_comes_back_with_time() -> None:
    counted, clock = quotas(60)
    for _ in range(60):
        counted.over_by("github")
    clock.now += timedelta(minutes=1)

    assert counted.over_by("github") == 0.0


def test_quota_never_grows_beyond_itself() -> None:
    counted, clock = quotas(2)
    counted.over_by("github")
    clock.now += timedelta(days=30)

    assert [counted.over_by("github") > 0 for _ in range(3)] == [False, False, True]


def test_clock_that_goes_back_gives_nothing() -> None:
    counted, clock = quotas(1)
    counted.over_by("github")
    clock.now -= timedelta(hours=5)

    assert counted.over_by("github") > 0


def test_sources_that_are_made_up_are_forgotten_again() -> None:
    counted, _ = quotas(1)
    for number in range(2 * _MOST_SOURCES):
        counted.over_by(f"source {number}")

    assert len(counted._buckets) == _MOST_SOURCES


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 600)), max_size=60))
def test_no_source_gets_more_than_its_quota_within_an_hour(steps: list[tuple[str, int]]) -> None:
    counted, clock = quotas(5)
    passed: dict[str, list[object]] = {}
    for source, seconds in steps:
        clock.now += timedelta(seconds=seconds)
        if counted.over_by(source) == 0.0:
            passed.setdefault(source, []).append(clock.now)
    for times in passed.values():
        for first in times:
            lately = [at for at in times if timedelta(0) <= at - first < timedelta(hours=1)]  # type: ignore[operator]
            assert len(lately) <= 10  # a full bucket, and what flows in meanwhile


# All or nothing


def test_a_report_is_taken_whole_or_not_at_all() -> None:
    counted, _ = quotas(10)

    assert [counted.take("github", amount) for amount in (6, 6, 4)] == [0.0, 720.0, 0.0]


def test_a_refused_report_costs_nothing_however_often_it_is_sent() -> None:
    counted, clock = quotas(10)
    counted.take("github", 10)
    for _ in range(5):
        counted.take("github", 5)
    clock.now += timedelta(minutes=30)

    assert counted.take("github", 5) == 0.0


def test_more_than_an_hours_worth_is_taken_after_an_hour_of_silence() -> None:
    counted, clock = quotas(10)

    assert counted.take("github", 25) == 0.0
    assert counted.take("github", 1) > 3600
    clock.now += timedelta(hours=3)
    assert counted.take("github", 10) == 0.0
