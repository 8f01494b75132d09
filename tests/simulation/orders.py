"""Actions without a leaked credential: evidence of an alert for both keys of an account, and lockdowns by people."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from shared.domain.alert import AlertEvidence
from shared.domain.finding import Finding
from tests.simulation.accounts import KEYS, PlannedAccount
from tests.simulation.leaks import REPORTED_WITHIN
from tests.simulation.loop import EPOCH


class Approver(StrEnum):
    """Who approves an order: people, or an application."""

    ADA = "ada"
    BOB = "bob"
    APP = "app"


@dataclass(frozen=True)
class PlannedOrder:
    """An order that no person gave: evidence that is published at `at`. `approvers` approve it, one after another."""

    account: str
    key_name: str
    finding: Finding
    at: float
    approvers: tuple[Approver, ...]

    @property
    def people(self) -> int:
        """How many people approve it."""
        return len(set(self.approvers) - {Approver.APP})


@dataclass(frozen=True)
class PlannedLockdown:
    """Ada orders what blocks an account at `at`, and `approvers` approve it.

    `undone_after` that it is undone; None: never. `kind` is the target of a lockdown, or `SAS_PERIOD`.
    """

    account: str
    kind: str  # "shared_key" | "network" | SAS_PERIOD
    at: float
    approvers: tuple[Approver, ...]
    undone_after: float | None


_ADA, _BOB, _APP = Approver.ADA, Approver.BOB, Approver.APP
_APPROVERS = ((), (_ADA,), (_ADA, _ADA), (_ADA, _APP), (_APP, _BOB), (_ADA, _BOB), (_BOB, _BOB, _ADA))


def orders(rng: random.Random, accounts: Sequence[PlannedAccount]) -> Iterator[PlannedOrder]:
    """Yield the orders of a run: none in most, and in some made-up evidence for both keys of an account."""
    account = rng.choice(accounts)
    for key_name in rng.sample(KEYS, rng.choices((0, 1, 2), (6, 3, 2))[0]):
        at = rng.uniform(0.0, REPORTED_WITHIN)
        seen = AlertEvidence(
            account=account.name,
            key=key_name,
            title="Unusual use of a SAS",
            seen_at=EPOCH + timedelta(seconds=at),
            signature_sha256=f"{rng.getrandbits(256):064x}",
        )
        made = Finding.of_evidence(seen, source="defender", url=None, detected_at=seen.seen_at, alert=None)
        yield PlannedOrder(account.name, key_name, made, at, rng.choice(_APPROVERS))


SAS_PERIOD = "7.00:00:00"
"""The target of an order of a SAS expiration policy."""


def lockdowns(rng: random.Random, accounts: Sequence[PlannedAccount]) -> Iterator[PlannedLockdown]:
    """Yield one lockdown, or a SAS expiration policy in its place."""
    account, kind = rng.choice(accounts).name, rng.choice(("shared_key", "network"))
    at = rng.uniform(0.0, REPORTED_WITHIN)
    yield PlannedLockdown(
        account=account,
        kind=SAS_PERIOD if int(at * 1000) % 3 == 0 else kind,
        at=at,
        approvers=rng.choice(((_BOB,), (_BOB,), (_APP, _BOB), (_ADA, _APP), ())),
        undone_after=rng.choice((None, rng.uniform(60.0, 3600.0), rng.uniform(60.0, 3600.0))),
    )
