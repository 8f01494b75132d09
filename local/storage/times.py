"""Date and time values of Azure Storage.

Source: "Formatting DateTime values" (learn.microsoft.com/rest/api/storageservices): a date, a time after a literal T
to the minute or second, up to seven decimal digits, and an optional zone, Z or an offset. UTC without a zone.
"""

import re
from datetime import UTC, datetime

_ACCEPTED = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,7})?)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)?)?", re.ASCII
)


def moment(text: str | None) -> datetime | None:
    """Return the time that `text` says, in UTC; None if it is missing or in none of the accepted formats."""
    if text is None or not _ACCEPTED.fullmatch(text):
        return None
    try:
        read = datetime.fromisoformat(text)
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):  # the 31st of February, or a year that UTC has no number for
        return None
