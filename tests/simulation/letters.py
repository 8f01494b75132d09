"""Dead letters: blobs with the events on which Event Grid has given up, by the dozen."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from shared.domain.report import REPORTED
from tests.simulation.leaks import PlannedLeak
from tests.simulation.loop import EPOCH

_BULK = (3, 10, 40)


@dataclass(frozen=True)
class DeadLetter:
    """A blob of the container, written at `at`. `readable`: what it holds is an event of ours."""

    name: str
    content: bytes
    at: float
    readable: bool


def drawn(rng: random.Random, leaks: Sequence[PlannedLeak]) -> Iterator[DeadLetter]:
    """Yield the dead letters of a run: leaks that came in no other way, repeats, and what nobody can read."""
    undelivered = [leak for leak in leaks if leak.undelivered]
    others = [rng.choice(leaks) for _ in range(rng.choice(_BULK))]
    when = rng.uniform(0.0, 300.0)
    for number, leak in enumerate((*undelivered, *others)):
        readable = number < len(undelivered) or rng.random() < 0.8
        event: object = _event(leak, number) if readable else rng.choice(("{", [1], {"specversion": "1.0"}))
        yield DeadLetter(
            name=f"simulated/FINDINGS/2026/11/20/3/{number:04}.json",
            content=json.dumps([event]).encode() if event != "{" else b"[{",
            at=when + rng.uniform(0.0, 120.0),
            readable=readable,
        )


def _event(leak: PlannedLeak, number: int) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"letter-{number}-{leak.finding.fingerprint[:12]}",
        "source": "/scanners/simulated",
        "type": REPORTED,
        "time": EPOCH.isoformat(),
        "data": leak.data,
        "deadletterreason": "MaxDeliveryAttemptsExceeded",
        "deliveryattempts": 30,
        "lastdeliveryoutcome": "TimedOut",
    }
