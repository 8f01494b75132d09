"""What beside reports, faults and killed hosts happens in a run. Few at a time, so that a failure is easy to read."""

import random
from enum import StrEnum


class Feature(StrEnum):
    """One subject of a run."""

    POLICIES = "stored access policies"
    DELEGATION = "user delegation SAS"
    LOCKDOWN = "lockdowns"
    VAULT = "key distribution"
    REFUSALS = "refusals"
    PEOPLE = "people"
    CLOCKS = "clocks that differ"
    DEAD_LETTERS = "dead letters"
    POISON = "poison messages"
    OLD_ROWS = "rows of another version"
    HOSTS = "several hosts"
    LARGE = "many accounts and leaks"


_ALONE = 0.4  # of the runs have none
_ONE_IN = 20  # is large
_HOSTS = 0.12  # of the runs have it, beside the others
_SMALL = tuple(feature for feature in Feature if feature not in (Feature.LARGE, Feature.HOSTS))
_WEIGHTS = {Feature.PEOPLE: 2, Feature.REFUSALS: 2, Feature.POLICIES: 2}


def drawn(rng: random.Random, of_hosts: random.Random) -> frozenset[Feature]:
    """Return the features of a run. `of_hosts` draws apart, so that a seed stays what it was."""
    return _drawn(rng) | ({Feature.HOSTS} if of_hosts.random() < _HOSTS else frozenset())


def _drawn(rng: random.Random) -> frozenset[Feature]:
    if rng.randrange(_ONE_IN) == 0:
        return frozenset({Feature.LARGE, *rng.sample(_SMALL, rng.randint(1, 4))})
    if rng.random() < _ALONE:
        return frozenset()
    weights = [_WEIGHTS.get(feature, 1) for feature in _SMALL]
    return frozenset(rng.choices(_SMALL, weights, k=rng.choice((1, 1, 2))))
