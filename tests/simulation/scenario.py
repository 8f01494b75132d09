"""What happens in one run, decided by a seed: accounts, leaks, who reports them how often, what people do."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from local.tenant import identities
from local.tenant.model import KEY_VAULT, TENANT_ID
from tests.simulation import acts, leaks, letters, old_rows, orders, refusals, wrong_hosts
from tests.simulation.accounts import KEYS, PlannedAccount, PlannedSecret, account
from tests.simulation.acts import Act, Lock, PutBack
from tests.simulation.features import Feature, drawn
from tests.simulation.leaks import PlannedLeak
from tests.simulation.letters import DeadLetter
from tests.simulation.old_rows import Form, OldRow
from tests.simulation.orders import PlannedLockdown, PlannedOrder
from tests.simulation.refusals import Place, Refusal

_LARGEST_OFFSET = 3.0  # seconds that a host's clock may be off


class Decision(StrEnum):
    """What people do about a plan that waits."""

    NOTHING = "nothing"
    APPROVE = "approve"
    REJECT = "reject"
    BOTH = "both"  # two people at once


@dataclass(frozen=True)
class Poison:
    """The function `queue` fails on each message about this leak until `until`, in seconds, whatever it does."""

    queue: str
    fingerprint: str
    until: float


@dataclass(frozen=True)
class Scenario:
    """One run. `settings` are the app's, without prefix; `graph_down_until` is until when Graph answers nothing.

    `offsets` are of the hosts' clocks, in seconds, one host after another.
    """

    accounts: tuple[PlannedAccount, ...]
    settings: dict[str, str]
    features: frozenset[Feature] = frozenset()
    leaks: tuple[PlannedLeak, ...] = ()
    orders: tuple[PlannedOrder, ...] = ()
    lockdowns: tuple[PlannedLockdown, ...] = ()
    acts: tuple[Act, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    letters: tuple[DeadLetter, ...] = ()
    rows: tuple[OldRow, ...] = ()
    poison: tuple[Poison, ...] = ()
    offsets: tuple[float, ...] = (0.0,)
    decision: Decision = Decision.NOTHING
    decided_at: float = 0.0
    faults_until: float = 0.0
    graph_down_until: float = 0.0
    hosts: int = 0

    @property
    def days(self) -> int:
        """How many days go by before it is judged: what is checked once a day has to be checked."""
        slow = bool(self.refusals) or any(isinstance(act, Lock | PutBack) for act in self.acts)
        return 2 if slow or any(planned.locked_until for planned in self.accounts) else 0

    @property
    def trouble_until(self) -> float:
        """When the last fault is over."""
        return max((self.faults_until, self.graph_down_until, *(one.end for one in self.refusals)))

    def refuses(self, *places: Place) -> bool:
        """Whether calls to one of these places are refused for a while."""
        return any(one.place in places for one in self.refusals)

    @property
    def holds_foreign_rows(self) -> bool:
        """Whether a row is there that nobody can read."""
        return any(row.form is Form.FOREIGN for row in self.rows)


def plan(seed: int, features: frozenset[Feature] | None = None) -> Scenario:
    """Return the scenario of a seed; of these features where they are given."""
    rng, extra = random.Random(seed), random.Random(f"{seed}/features")
    new_key_of = random.Random(f"{seed}/keys")
    features = drawn(extra, random.Random(f"{seed}/hosts")) if features is None else features
    large = Feature.LARGE in features
    many = rng.randint(3, 5) if large else rng.choice((1, 1, 1, 1, 1, 2))
    accounts = tuple(account(rng, new_key_of, number) for number in range(many))
    made = tuple(_leaks(rng, extra, new_key_of, accounts, features))
    if Feature.VAULT in features:
        accounts = tuple(_with_secret(extra, planned) for planned in accounts)
    if Feature.POLICIES in features:
        accounts = tuple(_with_removal(extra, planned) for planned in accounts)
    down = rng.random() < 0.05 and not features
    return Scenario(
        features=features,
        accounts=accounts,
        leaks=made,
        orders=tuple(orders.orders(random.Random(f"{seed}/orders"), accounts)),
        lockdowns=tuple(orders.lockdowns(extra, accounts)) if Feature.LOCKDOWN in features else (),
        acts=tuple(_acts(extra, accounts, made, features)),
        refusals=tuple(refusals.drawn(extra)) if Feature.REFUSALS in features else (),
        letters=tuple(letters.drawn(extra, made)) if Feature.DEAD_LETTERS in features else (),
        rows=tuple(old_rows.drawn(extra, made)) if Feature.OLD_ROWS in features else (),
        poison=tuple(_poison(extra, made)) if Feature.POISON in features else (),
        offsets=_offsets(extra) if Feature.CLOCKS in features else (0.0,),
        settings={
            "mode": rng.choices(("auto", "approve"), (9, 1))[0],
            "approval_hours": "1",
            "at_deadline": rng.choice(("escalate", "revoke")),
            "rotations_a_day": "2",
        },
        decision=rng.choice(tuple(Decision)),
        decided_at=rng.uniform(150.0, 700.0),
        faults_until=rng.choice((150.0, 300.0, 600.0)),
        graph_down_until=7200.0 if down else 0.0,
        hosts=rng.choice((1, 2, 2, 2)),
    )


def _leaks(
    rng: random.Random,
    extra: random.Random,
    new_key_of: random.Random,
    accounts: Sequence[PlannedAccount],
    features: frozenset[Feature],
) -> Iterator[PlannedLeak]:
    count = rng.randint(12, 30) if Feature.LARGE in features else rng.choice((1, 1, 1, 1, 2, 3))
    made = [leaks.leak(rng, new_key_of, rng.choice(accounts), number) for number in range(count)]
    special: list[PlannedLeak] = []
    if Feature.POLICIES in features:
        special += _policy_leaks(extra, accounts, count)
    if Feature.DELEGATION in features:
        issuer = identities.directory()["developer"].object_id
        several = range(extra.choice((1, 1, 2)))
        special += (leaks.of_delegation(extra, extra.choice(accounts), issuer, TENANT_ID, one) for one in several)
    if special:
        made = [*special, *(made if len(made) > 3 else made[: extra.choice((0, 0, 1))])]
    if Feature.VAULT in features:  # something that rotates a key
        made.append(leaks.leak(extra, new_key_of, accounts[0], count, leaks.Kind.ACCOUNT_SAS))
    for one in made:
        lost = Feature.DEAD_LETTERS in features and extra.random() < 0.5
        placed = wrong_hosts.paired(one, accounts) if Feature.HOSTS in features else one
        yield replace(placed, undelivered=True) if lost else placed


def _acts(
    rng: random.Random, accounts: Sequence[PlannedAccount], made: Sequence[PlannedLeak], features: frozenset[Feature]
) -> Iterator[Act]:
    if Feature.PEOPLE in features:
        yield from acts.drawn(rng, accounts, made)
    if Feature.POLICIES in features:
        yield from acts.put_backs(rng, made)


def _policy_leaks(rng: random.Random, accounts: Sequence[PlannedAccount], count: int) -> Iterator[PlannedLeak]:
    planned = rng.choice(accounts)
    first = leaks.of_policy(rng, planned, 0, shared=None)
    yield first
    if rng.random() < 0.3:  # another leak under the same policy, signed by the other key
        yield leaks.of_policy(rng, planned, 1 if first.key_name == KEYS[0] else 2, shared=first.policy)
    for number in range(3, 3 + rng.choice((0, 0, 1, 2)) + count // 8):
        yield leaks.of_policy(rng, rng.choice(accounts), number, shared=None)


def _with_secret(rng: random.Random, planned: PlannedAccount) -> PlannedAccount:
    secret = PlannedSecret(f"{planned.name}-storage", rng.choices(KEYS, (3, 1))[0], rng.random() < 0.4)
    tags = {"sasquash-key-vault": f"https://{KEY_VAULT}.vault.azure.net/secrets/{secret.name}"}
    if secret.as_connection_string:
        tags["sasquash-key-vault-format"] = "connection-string"
    return replace(planned, tags=planned.tags | tags, secret=secret)


def _with_removal(rng: random.Random, planned: PlannedAccount) -> PlannedAccount:
    how = rng.choice((None, None, "delete", "tombstone"))
    return replace(planned, tags=planned.tags | {"sasquash-policy-removal": how}) if how else planned


def _poison(rng: random.Random, made: Sequence[PlannedLeak]) -> Iterator[Poison]:
    leak = rng.choice(made)
    yield Poison(rng.choice(("contain", "follow_up")), leak.finding.fingerprint, rng.uniform(200.0, 1200.0))


def _offsets(rng: random.Random) -> tuple[float, ...]:
    return tuple(rng.uniform(-_LARGEST_OFFSET, _LARGEST_OFFSET) for _ in range(7))
