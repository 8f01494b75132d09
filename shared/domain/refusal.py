"""An action that Azure refused: why, since when, and when it is tried again. Pure.

Most refusals pass: a role that was granted spreads for minutes, another operation on the account ends, an expired
token is renewed. So the first one notifies people at once, and the record is tried again after 1, 5, 15 and 60
minutes, then daily (docs/decisions/0052-a-refusal-is-tried-again.md).
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate

DAILY = timedelta(days=1)
_STEPS = tuple(accumulate(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60)))  # since the first refusal
_MOST_CAUSES = 8


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why Azure refuses, in words that stay the same from one attempt to the next (`errors.Blocked.cause`).

    `since` is when the first refusal for a new cause came. `next_at` is when it is tried again, None for never.
    `earlier` are the ids of the causes before this one.
    """

    cause: str
    since: datetime
    next_at: datetime | None
    earlier: tuple[str, ...] = ()

    @property
    def cause_id(self) -> str:
        """The cause as 12 hex digits of its SHA-256, for what people were notified of."""
        return hashlib.sha256(self.cause.encode()).hexdigest()[:12]


def refused_again(before: Refusal | None, cause: str, *, is_lasting: bool, now: datetime) -> Refusal:
    """Return the refusal after another one. A cause that is new starts the minutes again, `is_lasting` skips them.

    They are counted from the first refusal, so that reports of the leak, which try it too, do not prolong them.
    """
    first = Refusal(cause, now, None)
    causes = (*before.earlier, before.cause_id) if before is not None else ()
    is_known = first.cause_id in causes or len(causes) >= _MOST_CAUSES
    since = before.since if before is not None and is_known else now
    left = (since + step for step in _STEPS if since + step > now and not is_lasting)
    earlier = tuple(dict.fromkeys(one for one in causes if one != first.cause_id))[-_MOST_CAUSES:]
    return Refusal(cause, since, next(left, now + DAILY), earlier)
