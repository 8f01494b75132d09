"""From an event to a dead token, warm: a running app, and Azure's latencies injected at the local cloud's front.

What counts is between the arrival of the event on the topic and that of `regenerateKey` at ARM. The floor is the sum
of the latencies on the shortest safe chain: the account is looked up while the finding is written down, the account
is locked, its keys are listed. One that is known is locked while the finding is written down.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from azure.core.messaging import CloudEvent

from bench.figures import Figure, median
from local.cloud.cloud import LocalCloud, running
from local.network.faults import Effect, Fault
from local.tenant.model import Account, RecordedRequest
from shared.domain import finding
from shared.domain.revocation import State
from tests.support.deployment import Deployment, is_closed
from tests.support.leaks import account_sas

_WARM_UP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Latencies:
    """Milliseconds that each service takes, as Azure's take about."""

    arm: int = 80
    regenerate: int = 600
    table: int = 10
    graph: int = 150

    @property
    def unknown_floor(self) -> float:
        """Seconds until the lever is sent at the earliest, of an account that is not known: look up, lock, list."""
        return (self.arm + self.table + self.arm) / 1000

    @property
    def known_floor(self) -> float:
        """The same of an account that is known: lock it while the finding is written down, list."""
        return (self.table + self.arm) / 1000

    @property
    def by_part(self) -> tuple[tuple[str, int], ...]:
        """How long a request takes whose line contains this part; the first that fits counts."""
        return (
            ("/regenerateKey", self.regenerate),
            ("management.azure.com", self.arm),
            (".table.core.windows.net", self.table),
            (".queue.core.windows.net", self.table),
            ("graph.microsoft.com", self.graph),
        )

    def seconds(self, line: str) -> float:
        """Return how long the request "METHOD url" takes."""
        return next((delay for part, delay in self.by_part if part in line), 0) / 1000

    def inject(self, cloud: LocalCloud) -> None:
        """Have every service of a local cloud take so long."""
        cloud.model.regenerate_seconds = 0
        for part, delay in self.by_part:
            cloud.faults.add(Fault(part, Effect.NONE, times=None, delay_ms=delay))


@dataclass(frozen=True, slots=True)
class Kill:
    """What one kill took, in seconds from the event; `rounds` are calls one after the other before the lever."""

    sent: float
    proven: float
    notified: float
    rounds: int


async def figures(latencies: Latencies, *, runs: int) -> AsyncIterator[Figure]:
    """Yield medians of so many kills: of accounts that are not known, of known ones, and of new processes."""
    with tempfile.TemporaryDirectory() as folder:
        async with running(folder=Path(folder), hosts=1) as cloud:
            deployment = Deployment(cloud)
            accounts = [await deployment.account() for _ in range(runs)]
            await warmed_up_anew(cloud)
            await _kill(deployment, await deployment.account())  # the first one makes connections
            latencies.inject(cloud)
            known = [await _kill(deployment, account) for account in accounts]
            unknown = [await _kill(deployment, await deployment.account()) for _ in range(runs)]
            first = [await _first_kill(deployment) for _ in range(runs)]
    for line in _lines("account not known", unknown, latencies.unknown_floor):
        yield line
    for line in _lines("account known", known, latencies.known_floor):
        yield line
    sent = median([kill.sent for kill in first])
    yield Figure("event to lever, first of a warmed-up process", sent, "s", latencies.known_floor, "sum of latencies")


async def warmed_up_anew(cloud: LocalCloud) -> None:
    """Start the host anew and wait until it has taken an inventory, which is the last that it does to warm up."""
    await cloud.kill_host(0)
    before = len(_inventories(cloud))
    await cloud.start_host(0)
    async with asyncio.timeout(_WARM_UP_SECONDS):
        while len(_inventories(cloud)) == before:  # noqa: ASYNC110 -- another process takes it
            await asyncio.sleep(0.05)


def _inventories(cloud: LocalCloud) -> list[RecordedRequest]:
    return [request for request in cloud.model.requests if "Microsoft.ResourceGraph" in request.url]


async def _first_kill(deployment: Deployment) -> Kill:
    account = await deployment.account()
    await warmed_up_anew(deployment.cloud)
    return await _kill(deployment, account)


def _lines(which: str, kills: Sequence[Kill], floor: float) -> Iterator[Figure]:
    yield Figure(f"event to lever, {which}", median([kill.sent for kill in kills]), "s", floor, "sum of latencies")
    yield Figure(f"rounds before the lever, {which}", median([kill.rounds for kill in kills]), "rounds")
    yield Figure(f"event to proof, {which}", median([kill.proven for kill in kills]), "s")
    yield Figure(f"event to mail, {which}", median([kill.notified for kill in kills]), "s")


async def _kill(deployment: Deployment, account: Account) -> Kill:
    first = deployment.cloud.model.requests[-1].sequence if deployment.cloud.model.requests else 0
    leak = account_sas(account.name, account.keys["key1"])
    [reported] = finding.in_text(leak, source="bench", url=None, detected_at=datetime.now(UTC))
    found = reported.finding
    await deployment.publish(
        CloudEvent(source="/bench", type=finding.REPORTED, id=found.fingerprint, data=found.to_data())
    )
    record = await deployment.settled(found.fingerprint, until=is_closed)
    requests = [request for request in deployment.cloud.model.requests if request.sequence > first]
    start = next(r.at for r in requests if "eventgrid.azure.net" in r.url)
    action = next(r for r in requests if "regenerateKey" in r.url)
    mail = next(r for r in requests if "/sendMail" in r.url)
    proven = next(change.at for change in record.changes if change.state is State.PROVEN)
    return Kill(
        sent=(action.at - start).total_seconds(),
        proven=(proven - start).total_seconds(),
        notified=(mail.at - start).total_seconds(),
        rounds=_rounds([r for r in requests if start < r.at and _end(r) < action.at and _is_the_app_s(r)]),
    )


def _is_the_app_s(request: RecordedRequest) -> bool:
    """Whether the app asked: its host polls queues and keeps its timers with the same identity."""
    by_host = "/azure-webjobs-hosts/" in request.url or (request.method == "GET" and "/messages?" in request.url)
    return request.identity == "responder" and not by_host


def _end(request: RecordedRequest) -> datetime:
    return request.at + timedelta(milliseconds=request.duration_ms)


def _rounds(requests: Sequence[RecordedRequest]) -> int:
    """How many had to come one after the other: the longest chain of which none began before the last ended."""
    rounds, ended = 0, datetime.min.replace(tzinfo=UTC)
    for request in sorted(requests, key=_end):
        if request.at >= ended:
            rounds += 1
            ended = _end(request)
    return rounds
