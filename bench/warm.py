"""From an event to a revoked token, warm: a running app, with Azure's latencies injected at the local cloud's front.

Measured from the arrival of the event at the topic to that of `regenerateKey` at ARM. The lower bound is the sum of
the latencies on the shortest safe chain: the account is looked up while the record is written, the account is locked,
its keys are listed. A known account is locked while the record is written.
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
from shared.domain import report as findings
from shared.domain.states import State
from tests.support.deployment import Deployment, is_closed
from tests.support.leaks import account_sas

_WARM_UP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Latencies:
    """Latency of each service in milliseconds, about as in Azure."""

    arm: int = 80
    regenerate: int = 600
    table: int = 10
    graph: int = 150

    @property
    def unknown_minimum(self) -> float:
        """Least seconds until regenerateKey is sent for an unknown account: look up, lock, list."""
        return (self.arm + self.table + self.arm) / 1000

    @property
    def known_minimum(self) -> float:
        """The same for a known account: lock while the record is written, list."""
        return (self.table + self.arm) / 1000

    @property
    def by_part(self) -> tuple[tuple[str, int], ...]:
        """Latencies by a part of the request line; the first match applies."""
        return (
            ("/regenerateKey", self.regenerate),
            ("management.azure.com", self.arm),
            (".table.core.windows.net", self.table),
            (".queue.core.windows.net", self.table),
            ("graph.microsoft.com", self.graph),
        )

    def seconds(self, line: str) -> float:
        """Return the latency of the request "METHOD url" in seconds."""
        return next((delay for part, delay in self.by_part if part in line), 0) / 1000

    def inject(self, cloud: LocalCloud) -> None:
        """Inject the latencies into every service of a local cloud."""
        cloud.model.regenerate_seconds = 0
        for part, delay in self.by_part:
            cloud.faults.add(Fault(part, Effect.NONE, times=None, delay_ms=delay))


@dataclass(frozen=True, slots=True)
class Revocation:
    """Times of one revocation in seconds from the event. `rounds`: sequential calls before regenerateKey."""

    sent: float
    verified: float
    notified: float
    rounds: int


async def figures(latencies: Latencies, *, runs: int) -> AsyncIterator[Figure]:
    """Yield medians of `runs` revocations: of unknown accounts, of known ones, and of new processes."""
    with tempfile.TemporaryDirectory() as folder:
        async with running(folder=Path(folder), hosts=1) as cloud:
            deployment = Deployment(cloud)
            accounts = [await deployment.account() for _ in range(runs)]
            await restart_and_warm_up(cloud)
            await revoke(deployment, await deployment.account())  # the first one makes connections
            latencies.inject(cloud)
            known = [await revoke(deployment, account) for account in accounts]
            unknown = [await revoke(deployment, await deployment.account()) for _ in range(runs)]
            first = [await _first_revocation(deployment) for _ in range(runs)]
    for line in _lines("unknown account", unknown, latencies.unknown_minimum):
        yield line
    for line in _lines("known account", known, latencies.known_minimum):
        yield line
    sent = median([each.sent for each in first])
    yield Figure(
        "event to regenerateKey, first of a warmed-up process", sent, "s", latencies.known_minimum, "sum of latencies"
    )


async def restart_and_warm_up(cloud: LocalCloud) -> None:
    """Restart the host and wait until it has listed the accounts, the last step of its warm-up."""
    await cloud.crash_host(0)
    before = len(_inventories(cloud))
    await cloud.start_host(0)
    async with asyncio.timeout(_WARM_UP_SECONDS):
        while len(_inventories(cloud)) == before:  # noqa: ASYNC110 -- another process takes it
            await asyncio.sleep(0.05)


def _inventories(cloud: LocalCloud) -> list[RecordedRequest]:
    return [request for request in cloud.model.requests if "Microsoft.ResourceGraph" in request.url]


async def _first_revocation(deployment: Deployment) -> Revocation:
    account = await deployment.account()
    await restart_and_warm_up(deployment.cloud)
    return await revoke(deployment, account)


def _lines(which: str, revocations: Sequence[Revocation], minimum: float) -> Iterator[Figure]:
    yield Figure(
        f"event to regenerateKey, {which}",
        median([each.sent for each in revocations]),
        "s",
        minimum,
        "sum of latencies",
    )
    yield Figure(f"rounds before regenerateKey, {which}", median([each.rounds for each in revocations]), "rounds")
    yield Figure(f"event to verification, {which}", median([each.verified for each in revocations]), "s")
    yield Figure(f"event to mail, {which}", median([each.notified for each in revocations]), "s")


async def revoke(deployment: Deployment, account: Account) -> Revocation:
    """Leak a token of the account, and wait until it is revoked and everybody notified."""
    first = deployment.cloud.model.requests[-1].sequence if deployment.cloud.model.requests else 0
    leak = account_sas(account.name, account.keys["key1"])
    [reported] = findings.in_text(leak, source="bench", url=None, detected_at=datetime.now(UTC))
    found = reported.finding
    await deployment.publish(
        CloudEvent(source="/bench", type=findings.REPORTED, id=found.fingerprint, data=found.to_data())
    )
    record = await deployment.settled(found.fingerprint, until=is_closed)
    requests = [request for request in deployment.cloud.model.requests if request.sequence > first]
    start = next(r.at for r in requests if "eventgrid.azure.net" in r.url)
    regeneration = next(r for r in requests if "regenerateKey" in r.url)
    mail = next(r for r in requests if "/sendMail" in r.url)
    verified = next(change.at for change in record.changes if change.state is State.PROVEN)
    return Revocation(
        sent=(regeneration.at - start).total_seconds(),
        verified=(verified - start).total_seconds(),
        notified=(mail.at - start).total_seconds(),
        rounds=_rounds([r for r in requests if start < r.at and _end(r) < regeneration.at and _is_from_the_app(r)]),
    )


def _is_from_the_app(request: RecordedRequest) -> bool:
    """Return whether the app made the request. Its host polls queues and stores timers with the same identity."""
    by_host = "/azure-webjobs-hosts/" in request.url or (request.method == "GET" and "/messages?" in request.url)
    return request.identity == "responder" and not by_host


def _end(request: RecordedRequest) -> datetime:
    return request.at + timedelta(milliseconds=request.duration_ms)


def _rounds(requests: Sequence[RecordedRequest]) -> int:
    """Return the number of sequential requests: the longest chain in which each starts after the previous ended."""
    rounds, ended = 0, datetime.min.replace(tzinfo=UTC)
    for request in sorted(requests, key=_end):
        if request.at >= ended:
            rounds += 1
            ended = _end(request)
    return rounds
