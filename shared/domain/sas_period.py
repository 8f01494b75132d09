"""The longest that a SAS may be valid, as ARM writes it: "DD.HH:MM:SS". Pure.

Source: Microsoft.Storage (azure-rest-api-specs), SasPolicy.sasExpirationPeriod. Azure shows one of less than a day
without days, too.
"""

import re
from datetime import timedelta

_PERIOD = re.compile(r"(?:([0-9]{1,6})\.)?([0-9]{1,2}):([0-9]{2}):([0-9]{2})", re.ASCII)
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)


def parse(text: object) -> timedelta | None:
    """Return the time that ARM's text says; None for other text."""
    match = _PERIOD.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part) for part in match.groups(default="0"))
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def text_of(period: timedelta) -> str:
    """Return a period as ARM reads it: "7.00:00:00"."""
    days, rest = divmod(period, _DAY)
    hours, rest = divmod(rest, _HOUR)
    minutes, rest = divmod(rest, _MINUTE)
    return f"{days}.{hours:02}:{minutes:02}:{rest.seconds:02}"


def spoken(period: timedelta) -> str:
    """Return a period for people: "7 days", "36 hours", or as ARM writes it."""
    for unit, name in ((_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute")):
        number, rest = divmod(period, unit)
        if number and not rest:
            return f"{number} {name}{'s' if number > 1 else ''}"
    return text_of(period)
