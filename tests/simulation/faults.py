"""What goes wrong, and when: decided by a seed, for every remote call of every host.

A host that is killed is never answered again; it is not cancelled, so that none of its `finally` blocks runs.
"""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Fate(StrEnum):
    """What becomes of one remote call."""

    DONE = "done"
    KILLED_BEFORE = "killed before it was sent"
    KILLED_AFTER = "killed once it was carried out"
    REFUSED = "no connection"
    FAILED = "answered 503, not carried out"
    THROTTLED = "answered 429 with Retry-After"
    FAILED_AFTER = "carried out, answered 503"
    RESET = "reset, not carried out"
    RESET_AFTER = "carried out, its answer lost"
    HUNG = "never answered, not carried out"
    HUNG_AFTER = "carried out, never answered"
    LATE = "answer lost, carried out later"
    STALE = "answered as things were a while ago"
    DENIED = "answered 4xx, not carried out"


KILLS = frozenset({Fate.KILLED_BEFORE, Fate.KILLED_AFTER})
ANSWER_LOST = frozenset({Fate.KILLED_AFTER, Fate.FAILED_AFTER, Fate.RESET_AFTER, Fate.HUNG_AFTER, Fate.LATE})
NOT_CARRIED_OUT = frozenset(set(Fate) - ANSWER_LOST - {Fate.DONE, Fate.STALE}) | {Fate.LATE}
_LOSSES = (Fate.KILLED_AFTER, Fate.RESET_AFTER, Fate.HUNG_AFTER)

_ANYWHERE = tuple(fate for fate in Fate if fate not in (Fate.DONE, Fate.STALE, Fate.DENIED))
_LISTING = "/listKeys"
_ACTION = "/regenerateKey"
_POISON = "-poison/messages"
_MOST_KILLS = 4

# A call to ARM that was lost may be carried out this much later. A successor checks three minutes after the lock was
# taken; a list lags a minute behind, and the call is sent 35 s after the lock was taken at the latest. What is later
# than this is the risk that design decision 9 states.
LATEST_ACTION = 80.0
LATEST_WRITE = 30.0
LONGEST_LAG = 60.0


@dataclass
class Lifetime:
    """A host's life. `over` is set when it ends."""

    name: str
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ended(self) -> bool:
        return self.over.is_set()


@dataclass
class Schedule:
    """The fates of one run. `until` is when faults stop, in seconds of the loop's clock.

    Each run has kinds of faults and a frequency of its own: a mixture of everything every time would hide what only
    happens when little else does.
    """

    rng: random.Random
    until: float
    rate: float
    kinds: tuple[Fate, ...]
    lag: bool  # whether ARM's list of keys may lag
    latest_action: float = LATEST_ACTION
    loses_first_action: bool = False
    kills: int = 0
    injected: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, rng: random.Random, *, until: float, latest_action: float = LATEST_ACTION) -> "Schedule":
        """Return a schedule that `rng` decides on."""
        rate = rng.choice((0.0, 0.01, 0.03, 0.06, 0.12))
        kinds = tuple(fate for fate in _ANYWHERE if rng.random() < 0.45) or (Fate.KILLED_AFTER,)
        return cls(rng, until, rate, kinds, lag=rng.random() < 0.5, latest_action=latest_action)

    def fate(self, line: str, *, at: float) -> Fate:
        """Return what becomes of the call "METHOD url" at this moment."""
        if at >= self.until:
            return Fate.DONE
        fate = self._drawn(line)
        if fate in KILLS:
            if self.kills >= _MOST_KILLS:
                return Fate.DONE
            self.kills += 1
        if fate is not Fate.DONE:
            self.injected[fate.name.lower()] += 1
        return fate

    def _drawn(self, line: str) -> Fate:
        if self.loses_first_action and _ACTION in line:
            self.loses_first_action = False
            return self.rng.choice(_LOSSES)
        if self.lag and _LISTING in line and self.rng.random() < 0.3:
            return Fate.STALE
        # The containment action is where a fault hurts most, and the last try of a message.
        rate = min(0.8, self.rate * 5) if _ACTION in line or _POISON in line else self.rate
        return self.rng.choice(self.kinds) if self.rng.random() < rate else Fate.DONE

    def delay(self, line: str) -> float:
        """Return how much later a lost call is carried out, in seconds."""
        return self.rng.uniform(0.5, self.latest_action if _ACTION in line else LATEST_WRITE)

    def lag_seconds(self) -> float:
        """Return how far behind a stale answer is."""
        return self.rng.uniform(1.0, LONGEST_LAG)
