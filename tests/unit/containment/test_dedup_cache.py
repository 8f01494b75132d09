"""Which report is the same again, and how long it counts as that."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.containment import dedup_cache
from shared.containment.dedup_cache import DedupCache
from shared.domain.finding import Reported
from tests.support import samples
from tests.support.samples import NOW

REPORTED = Reported(samples.finding())
OF_A_BLOB = samples.leak(samples.blob_sas())
OF_ANOTHER_PATH = replace(OF_A_BLOB, path="models/another")
UNTIL = NOW + timedelta(seconds=30)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def noted(reported: Reported = REPORTED) -> tuple[DedupCache, Clock]:
    clock = Clock()
    known = DedupCache(clock=clock)
    known.durable(reported, until=UNTIL)
    return known, clock


def test_what_nobody_reported_is_no_repeat() -> None:
    assert not DedupCache(clock=Clock()).is_one(REPORTED)


def test_the_same_report_is_a_repeat_whenever_it_was_detected() -> None:
    known, _ = noted()

    assert known.is_one(Reported(replace(REPORTED.finding, detected_at=NOW + timedelta(seconds=9))))


@pytest.mark.parametrize(
    "other",
    [
        Reported(replace(REPORTED.finding, source="another")),
        Reported(replace(REPORTED.finding, url="https://example.com/elsewhere")),
        Reported(replace(REPORTED.finding, fingerprint="ab" * 32)),
        Reported(REPORTED.finding, token="sv=2021-12-02"),
        Reported(replace(REPORTED.finding, credential=OF_ANOTHER_PATH)),
        Reported(REPORTED.finding.with_readings([OF_A_BLOB, OF_ANOTHER_PATH])),
    ],
    ids=["source", "place", "leak", "brings the token", "path", "other reading"],
)
def test_a_report_that_says_something_else_is_no_repeat(other: Reported) -> None:
    known, _ = noted()

    assert not known.is_one(other)


@pytest.mark.parametrize(("seconds", "repeat"), [(29.9, True), (30.0, False)])
def test_a_repeat_is_one_until_it_may_change_something(seconds: float, *, repeat: bool) -> None:
    known, clock = noted()
    clock.now += timedelta(seconds=seconds)

    assert known.is_one(REPORTED) is repeat


def test_a_flood_of_different_reports_has_the_oldest_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dedup_cache, "_MOST", 3)
    known, _ = noted()
    others = [Reported(replace(REPORTED.finding, source=str(number))) for number in range(3)]
    for other in others:
        known.durable(other, until=UNTIL)

    assert [known.is_one(each) for each in (REPORTED, *others)] == [False, True, True, True]
