"""What people do to the accounts of a run, at random times, and without Sasquash."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.simulation.accounts import KEYS, PlannedAccount
from tests.simulation.leaks import BY_KEY, PlannedLeak, PlannedPolicy

_LONGEST_LAG = 600.0  # seconds that ARM's list of keys may lag behind a rotation by hand
_SOON, _LATER = 90.0, 3 * 3600.0


@dataclass(frozen=True)
class HandRotation:
    """A person regenerates a key. ARM's list shows the old one for `lag` seconds more; its properties do not."""

    account: str
    key_name: str
    at: float
    lag: float


@dataclass(frozen=True)
class PutBack:
    """Once a policy has ended, somebody writes it again, after so many seconds: as it was, or with another end.

    `template`: a template is deployed, as infrastructure-as-code does, which replaces the whole list.
    """

    account: str
    policy: PlannedPolicy
    after: float
    end: str | None
    template: bool


@dataclass(frozen=True)
class Lock:
    """A ReadOnly lock lies on an account for a while."""

    account: str
    start: float
    end: float


type Act = HandRotation | PutBack | Lock


def drawn(rng: random.Random, accounts: Sequence[PlannedAccount], leaks: Sequence[PlannedLeak]) -> Iterator[Act]:
    """Yield rotations and locks: something in each run."""
    kinds = rng.choice(((HandRotation,), (Lock,), (HandRotation, Lock)))
    by_key = [leak for leak in leaks if leak.kind in BY_KEY]
    if HandRotation in kinds and by_key:
        yield _rotation(rng, rng.choice(by_key))
    if Lock in kinds:
        start = rng.choice((0.0, rng.uniform(0.0, _SOON)))
        lasts = rng.choice((rng.uniform(30.0, 300.0), rng.uniform(300.0, _LATER)))
        yield Lock(rng.choice(accounts).name, start, start + lasts)


def put_backs(rng: random.Random, leaks: Sequence[PlannedLeak]) -> Iterator[PutBack]:
    """Yield, in half of the runs, how a policy that has ended comes back."""
    leak = rng.choice([leak for leak in leaks if leak.policy is not None])
    if leak.policy is None or rng.random() < 0.5:
        return
    end = rng.choice((leak.policy.start.expiry, "2027-06-30"))
    end = end if leak.policy.start.expiry else None  # an end in policy and token is refused
    after = rng.choice((rng.uniform(5.0, 300.0), rng.uniform(5.0, _LATER)))
    yield PutBack(leak.account, leak.policy, after, end, template=rng.random() < 0.5)


def _rotation(rng: random.Random, leak: PlannedLeak) -> HandRotation:
    """Return a rotation of the leaked key, or the other: before the leak is reported, soon after, or hours later."""
    names = [leak.key_name or KEYS[0]] * 3 + list(KEYS)
    first = leak.times[0]
    before, soon = max(first - rng.uniform(45.0, 90.0), 0.0), first + rng.uniform(0.0, _SOON)
    at = rng.choice((before, soon, rng.uniform(0.0, _LATER)))
    return HandRotation(leak.account, rng.choice(names), at, rng.choice((0.0, rng.uniform(30.0, _LONGEST_LAG))))
