"""The alerts that reports of one leak name beyond its first sightings, and which alerts were checked already. Pure.

Everybody who can publish a finding can name any alert, by the thousand. So the places are bounded, and so are the
checks of a day. An alert that was checked gives up its place, whatever it proved to be about: those that were made up
keep out no other for good.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.alert import AlertReference

MOST_WAITING = 50  # of 380 characters; a text column of Table Storage holds 32 K for all of this
MOST_LEFT_OUT = 100
CHECKS_A_DAY = 100
"""How many alerts of one record are settled in 24 hours. Further ones wait."""

_MOST_SETTLED = 300
_DAY = timedelta(hours=24)
_ID = 16  # hex digits: nobody can make up an alert that has the id of another


@dataclass(frozen=True, slots=True)
class NamedAlerts:
    """`waiting` are to be checked, oldest first. `settled` and `left_out` are ids: checked, and without a place.

    `checked` alerts were settled since `since`, when the present day of checks began.
    """

    waiting: tuple[AlertReference, ...] = ()
    settled: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    since: datetime | None = None
    checked: int = 0

    def with_alert(self, alert: AlertReference) -> "NamedAlerts":
        """Return them with another alert: it waits, or is left out where there is no place. Idempotent."""
        known = id_of(alert)
        if known in self.settled or alert in self.waiting:
            return self
        if len(self.waiting) < MOST_WAITING:
            others = tuple(one for one in self.left_out if one != known)
            return replace(self, waiting=(*self.waiting, alert), left_out=others)
        if known in self.left_out or len(self.left_out) >= MOST_LEFT_OUT:
            return self
        return replace(self, left_out=(*self.left_out, known))

    def with_settled(self, alerts: Iterable[AlertReference], *, now: datetime) -> "NamedAlerts":
        """Return them without these alerts, which were checked just now. Idempotent."""
        new = tuple(alert for alert in dict.fromkeys(alerts) if id_of(alert) not in self.settled)
        if not new:
            return self
        begins = self._begins(now)
        return replace(
            self,
            waiting=tuple(alert for alert in self.waiting if alert not in new),
            settled=(*self.settled, *map(id_of, new))[-_MOST_SETTLED:],
            since=now if begins else self.since,
            checked=len(new) + (0 if begins else self.checked),
        )

    def has_settled(self, alert: AlertReference) -> bool:
        """Whether an alert needs no more work, as far as that is still known."""
        return id_of(alert) in self.settled

    def checks_left(self, now: datetime) -> int:
        """Return how many alerts may be settled now."""
        return CHECKS_A_DAY if self._begins(now) else max(CHECKS_A_DAY - self.checked, 0)

    def _begins(self, now: datetime) -> bool:
        return self.since is None or now - self.since >= _DAY


def id_of(alert: AlertReference) -> str:
    """Return a short id of an alert."""
    text = f"{alert.source}|{alert.place}|{alert.alert}"
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:_ID]
