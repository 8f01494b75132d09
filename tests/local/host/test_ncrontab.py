"""NCRONTAB expressions against the examples of "Timer trigger for Azure Functions", and invalid ones."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.host import ncrontab


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("0 */5 * * * *", "2026-11-21T10:02:03", "2026-11-21T10:05:00"),
        ("0 0 * * * *", "2026-11-21T10:00:00", "2026-11-21T11:00:00"),
        ("0 0 */2 * * *", "2026-11-21T23:00:00", "2026-11-22T00:00:00"),
        ("0 0 9-17 * * *", "2026-11-21T17:30:00", "2026-11-22T09:00:00"),
        ("0 30 9 * * *", "2026-11-21T09:29:59.900", "2026-11-21T09:30:00"),
        ("0 30 9 * * 1-5", "2026-11-21T00:00:00", "2026-11-23T09:30:00"),
        ("0 30 9 * Jan Mon", "2026-11-21T00:00:00", "2027-01-04T09:30:00"),
        ("5,8,10 * * * * *", "2026-11-21T10:00:08", "2026-11-21T10:00:10"),
        ("50/5 * * * * *", "2026-11-21T10:00:50", "2026-11-21T10:00:55"),
        ("0 0 0 29 2 *", "2026-11-21T00:00:00", "2028-02-29T00:00:00"),
        ("0 0 0 13 * 5", "2026-11-21T00:00:00", "2027-08-13T00:00:00"),  # both Friday and the 13th
        ("* * * * * *", "2026-12-31T23:59:59.5", "2027-01-01T00:00:00"),
    ],
)
def test_next_occurrence(expression: str, after: str, expected: str) -> None:
    assert ncrontab.parse(expression).next_after(moment(after)) == moment(expected)


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)),  # noqa: DTZ001 - made aware below
    st.sampled_from(["*/7 * * * * *", "13 */11 * * * *", "0 0 3 * * 0", "1 2 3 4 5 *"]),
)
def test_next_occurrence_is_later_and_none_is_left_out(after: datetime, expression: str) -> None:
    schedule = ncrontab.parse(expression)
    start = after.replace(tzinfo=UTC)
    following = schedule.next_after(start)
    assert following > start
    assert schedule.next_after(following - timedelta(seconds=1)) == following
    assert schedule.next_after(start + (following - start) / 2) == following


@pytest.mark.parametrize(
    "expression",
    [
        "0 0 * * *",
        "60 * * * * *",
        "0 0 24 * * *",
        "0 0 0 0 * *",
        "0 0 0 * 13 *",
        "0 0 0 * * 7",
        "*/0 * * * * *",
        "5-1 * * * * *",
        "x * * * * *",
        "0 0 0 31 2 *",
        "0 0 0 * Mon *",
        "",
    ],
)
def test_invalid_schedule_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"fields|is no|never occurs"):
        ncrontab.parse(expression)
