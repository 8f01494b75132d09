"""NCRONTAB: `{second} {minute} {hour} {day} {month} {day of week}`, in UTC.

Source: "Timer trigger for Azure Functions", section "NCRONTAB expressions", and the library atifaziz/NCrontab:
`*`, numbers, ranges, lists and steps; names of months and days; 0 is Sunday; unlike in cron, a day must match
both day fields.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIELDS = (
    ("second", 0, 59, ()),
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 6, _DAYS),
)
_ITEM = re.compile(r"(?:(?P<all>\*)|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d+))?", re.ASCII)
_LONGEST_GAP_DAYS = 40 * 366  # February 29 on a given day of the week recurs within 40 years


@dataclass(frozen=True, slots=True)
class Schedule:
    """A parsed expression."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    days_of_week: frozenset[int]

    def next_after(self, moment: datetime) -> datetime:
        """Return the first occurrence after `moment` (aware). Raises ValueError if there is none."""
        start = moment.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
        for offset in range(_LONGEST_GAP_DAYS):
            date = start.date() + timedelta(days=offset)
            if date.month in self.months and date.day in self.days and date.isoweekday() % 7 in self.days_of_week:
                clock = self._first_time(start.time() if offset == 0 else time())
                if clock is not None:
                    return datetime.combine(date, clock, UTC)
        raise ValueError("the schedule never occurs")

    def _first_time(self, earliest: time) -> time | None:
        candidates = (
            time(hour, minute, second)
            for hour in self.hours
            if hour >= earliest.hour
            for minute in self.minutes
            for second in self.seconds
        )
        return next((candidate for candidate in candidates if candidate >= earliest), None)


def parse(expression: str) -> Schedule:
    """Parse six fields. Raises ValueError with the reason."""
    texts = expression.split()
    if len(texts) != len(_FIELDS):
        raise ValueError(f"an NCRONTAB expression has six fields, '{expression}' has {len(texts)}")
    values = [
        _parse_field(text, name, least, most, names)
        for text, (name, least, most, names) in zip(texts, _FIELDS, strict=True)
    ]
    seconds, minutes, hours, days, months, days_of_week = values
    schedule = Schedule(
        seconds=tuple(sorted(seconds)),
        minutes=tuple(sorted(minutes)),
        hours=tuple(sorted(hours)),
        days=frozenset(days),
        months=frozenset(months),
        days_of_week=frozenset(days_of_week),
    )
    schedule.next_after(datetime(2024, 1, 1, tzinfo=UTC))
    return schedule


def _parse_field(text: str, name: str, least: int, most: int, names: tuple[str, ...]) -> set[int]:
    values: set[int] = set()
    for item in text.split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise ValueError(f"'{item}' is not a valid {name}")
        if match["all"]:
            first, last = least, most
        else:
            first = _number(match["first"], name, least, names)
            # "5/10" means from 5 on, every 10.
            last = _number(match["last"], name, least, names) if match["last"] else most if match["step"] else first
        step = int(match["step"] or 1)
        if not least <= first <= last <= most or step == 0:
            raise ValueError(f"'{item}' is not a valid {name}")
        values.update(range(first, last + 1, step))
    return values


def _number(text: str, name: str, least: int, names: tuple[str, ...]) -> int:
    if text.isdigit():
        return int(text)
    if len(text) >= 3:
        for index, full in enumerate(names):
            if text[:3].upper() == full:
                return index + least
    raise ValueError(f"'{text}' is not a valid {name}")
