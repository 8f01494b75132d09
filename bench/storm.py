"""Ten thousand reports of a hundred tokens under ten keys: the cost, and whether it grows with the reports.

The product runs in one process without sockets, against the simulated services and with a simulated clock. So there
are two kinds of seconds: those of the clock, which include the latencies of services, and those of this machine's
processor, which include the simulated services.
"""

import asyncio
import logging
import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

from bench.figures import Figure
from bench.memory import peak_mb
from bench.warm import Latencies
from local.memory.exchange import Answer, Request, Service
from shared.domain.finding import Finding
from shared.domain.report import REPORTED, in_text
from tests.simulation.accounts import PlannedAccount, new_key
from tests.simulation.faults import Fate, Schedule
from tests.simulation.hosts import Tokens, load_app
from tests.simulation.loop import EPOCH, JumpingLoop
from tests.simulation.run import bury
from tests.simulation.scenario import Scenario
from tests.simulation.world import World, simulated_time

_SEED = 38
WITHIN = 60.0  # simulated seconds in which the reports are published
_KINDS = {
    "/regenerateKey": "ARM regenerateKey",
    "/listKeys": "ARM listKeys",
    "Microsoft.ResourceGraph": "Resource Graph",
    "management.azure.com": "ARM other",
    ".table.": "Table",
    ".queue.": "Queue",
    "graph.microsoft.com": "Graph",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """A storm: `reports` reports of `tokens` different tokens, under one key of each of `accounts` accounts."""

    reports: int
    tokens: int
    accounts: int

    def __str__(self) -> str:
        return f"{self.reports} reports of {self.tokens} tokens on {self.accounts} accounts"


@dataclass(frozen=True, slots=True)
class Storm:
    """The result of a storm. `revoked` are simulated seconds, ascending; `processor` are seconds of this machine."""

    revoked: tuple[float, ...]
    calls: Counter[str]
    processor: float
    peak_mb: float


def figures(shapes: tuple[Shape, ...], latencies: Latencies) -> Iterator[Figure]:
    """Yield the figures of each storm; remote calls against those of the previous storm of the same tokens."""
    calls: dict[tuple[int, int], Mapping[str, int]] = {}
    for shape in shapes:
        result = storm(shape, latencies)
        before = calls.get((shape.tokens, shape.accounts), {})
        yield Figure(f"rotations, {shape}", len(result.revoked), "rotations", shape.accounts, "leaked keys")
        for kind in dict.fromkeys(_KINDS.values()):
            base = before.get(kind)
            yield Figure(f"{kind} calls, {shape}", result.calls[kind], "calls", base, "fewer reports" if base else "")
        yield Figure(f"reports processed, {shape}", shape.reports / result.processor, "reports/s")
        yield Figure(
            f"first report to last revocation, {shape}", result.revoked[-1], "s", WITHIN, "reports published within"
        )
        yield Figure(f"peak memory with the simulated services, {shape}", result.peak_mb, "MB")
        calls[shape.tokens, shape.accounts] = result.calls


def storm(shape: Shape, latencies: Latencies) -> Storm:
    """Run a storm in a new process, so that memory is measured separately."""
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_storm, shape, latencies).result()


def _storm(shape: Shape, latencies: Latencies) -> Storm:
    """Run a storm against one function host. The process cannot be reused afterwards."""
    logging.disable(logging.CRITICAL)
    tokens, functions = Tokens(), load_app()
    loop = JumpingLoop()
    asyncio.set_event_loop(loop)
    started = time.process_time()
    try:
        with simulated_time(loop):
            world = loop.run_until_complete(_run(shape, latencies, tokens, functions))
    finally:
        bury(loop)
        asyncio.set_event_loop(None)
        logging.disable(logging.NOTSET)
    return Storm(
        revoked=tuple(sorted(_seconds(at) for a in world.cloud.accounts.values() for _, at in a.rotations)),
        calls=Counter(_kind(call.line) for call in world.network.calls),
        processor=time.process_time() - started,
        peak_mb=peak_mb(),
    )


async def _run(
    shape: Shape, latencies: Latencies, tokens: Tokens, functions: dict[str, Callable[[Any], Any]]
) -> World:
    rng = random.Random(_SEED)  # noqa: S311 -- the same storm each time
    scenario = _scenario(shape, rng)
    schedule = Schedule(rng, until=0.0, rate=0.0, kinds=(Fate.RESET,), lag=False)
    world = World(_SEED, scenario, schedule, tokens=tokens, functions=functions)
    services = {host: _with_latency(latencies, service) for host, service in world.network.services.items()}
    world.network = replace(world.network, services=services, accounts={})
    world.start_host()  # after the network is replaced, since the host uses the network as it is now
    findings = [_finding(scenario.accounts[number % shape.accounts], number) for number in range(shape.tokens)]
    for number in range(shape.reports):
        found = findings[number % shape.tokens]
        world.publish(
            {
                "specversion": "1.0",
                "id": f"storm-{number}",
                "source": "/scanners/storm",
                "type": REPORTED,
                "data": found.to_data(),
            }
        )
        await asyncio.sleep(WITHIN / shape.reports)
    await world.until_at_rest()
    return world


def _scenario(shape: Shape, rng: random.Random) -> Scenario:
    accounts = tuple(
        PlannedAccount(f"storm{number}", "model-owner@contoso.com", {"key1": new_key(rng), "key2": new_key(rng)}, 0.0)
        for number in range(shape.accounts)
    )
    return Scenario(accounts=accounts, settings={"mode": "auto"})


def _finding(account: PlannedAccount, number: int) -> Finding:
    token = generate_account_sas(
        account.name,
        account.keys["key1"],
        ResourceTypes(service=True, container=True, object=True),
        AccountSasPermissions(write=True),
        EPOCH.replace(year=2051, second=number % 60, minute=number // 60 % 60, hour=number // 3600 % 24),
    )
    [reported] = in_text(
        f"https://{account.name}.blob.core.windows.net/?{token}", source="storm", url=None, detected_at=EPOCH
    )
    return reported.finding


def _with_latency(latencies: Latencies, service: Service) -> Service:
    """Return the service with Azure's latency, in simulated time."""

    async def answer(request: Request) -> Answer:
        await asyncio.sleep(latencies.seconds(request.line))
        return await service(request)

    return answer


def _seconds(moment: datetime) -> float:
    return (moment - EPOCH).total_seconds()


def _kind(line: str) -> str:
    return next((kind for part, kind in _KINDS.items() if part in line), "other")
