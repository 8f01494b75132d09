"""From a process' start to its first kill, and what it has imported by then, beside an app that does nothing."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from azure.core.messaging import CloudEvent

from bench.figures import Figure, median
from bench.warm import Latencies
from local.cloud.cloud import ROOT, LocalCloud, running
from shared.domain import finding
from tests.support.deployment import Deployment, is_closed
from tests.support.leaks import account_sas
from tests.support.samples import ENVIRONMENT

_HOST = "bench.watched_host"
_TIMERS = ("sweep", "send_digest", "collect_dead_letters", "look_again", "look_at_accounts", "drill")
_EMPTY_APP = '''import azure.functions as func

app = func.FunctionApp()


@app.event_grid_trigger(arg_name="event")
async def on_finding(event: func.EventGridEvent) -> None:
    """Does nothing."""
'''
_LEVER_SECONDS = 30.0
_LOOK_EVERY = 0.005


@dataclass(frozen=True, slots=True)
class Seen:
    """What a process has imported and held at some moment."""

    modules: frozenset[str]
    peak_mb: float


@dataclass(frozen=True, slots=True)
class ColdKill:
    """Seconds from the process' start until its host served, and until the lever was sent; `seen` is then."""

    served: float
    sent: float
    seen: Seen


async def figures(latencies: Latencies, *, runs: int) -> AsyncIterator[Figure]:
    """Yield what a cold start takes and holds, each beside the empty app's."""
    with tempfile.TemporaryDirectory() as folder:
        kills = await kills_of_new_processes(Path(folder), latencies, runs=runs)
        served, empty = await _empty_app(Path(folder), runs=runs)
    seen, beside = kills[0].seen, "an empty function app"
    yield Figure(
        "process start to lever, cold", median([kill.sent for kill in kills]), "s", served, f"{beside} serving"
    )
    yield Figure("process start to serving, cold", median([kill.served for kill in kills]), "s", served, beside)
    yield Figure("modules imported when the lever is sent", len(seen.modules), "modules", len(empty.modules), beside)
    yield Figure(
        "peak memory when the lever is sent", median([k.seen.peak_mb for k in kills]), "MB", empty.peak_mb, beside
    )
    importing = [median([_import_seconds(name) for _ in range(runs)]) for name in ("function_app", "azure.functions")]
    yield Figure("import of the app", importing[0], "s", importing[1], "import azure.functions")


async def kills_of_new_processes(folder: Path, latencies: Latencies, *, runs: int) -> list[ColdKill]:
    """Start the app anew for each of so many kills. The timers are off: what they import is not the kill's."""
    note = folder / "seen.json"
    settings = {"BENCH_SEEN": str(note)} | {f"AzureWebJobs.{name}.Disabled": "true" for name in _TIMERS}
    async with running(folder=folder / "app", hosts=1, host_module=_HOST, settings=settings) as cloud:
        deployment = Deployment(cloud)
        latencies.inject(cloud)
        return [await _cold_kill(deployment, note) for _ in range(runs)]


async def _cold_kill(deployment: Deployment, note: Path) -> ColdKill:
    account = await deployment.account()
    [reported] = finding.in_text(
        account_sas(account.name, account.keys["key1"]), source="bench", url=None, detected_at=datetime.now(UTC)
    )
    found = reported.finding
    await deployment.cloud.kill_host(0)
    started = datetime.now(UTC)
    await deployment.cloud.start_host(0)
    served = datetime.now(UTC)
    await deployment.publish(
        CloudEvent(source="/bench", type=finding.REPORTED, id=found.fingerprint, data=found.to_data())
    )
    seen = await _when_the_lever_is_sent(deployment.cloud, note)
    await deployment.settled(found.fingerprint, until=is_closed)
    action = next(r for r in reversed(deployment.cloud.model.requests) if "regenerateKey" in r.url)
    return ColdKill((served - started).total_seconds(), (action.at - started).total_seconds(), seen)


async def _when_the_lever_is_sent(cloud: LocalCloud, note: Path) -> Seen:
    """Look at the process while ARM is at the regeneration, which the injected latency makes take a while."""
    action = next(fault for fault in cloud.faults.all() if fault.match == "/regenerateKey")
    before = action.hits
    async with asyncio.timeout(_LEVER_SECONDS):
        while action.hits == before:  # noqa: ASYNC110 -- the front has no event for it
            await asyncio.sleep(_LOOK_EVERY)
    return await _look_at(cloud, note)


async def _look_at(cloud: LocalCloud, note: Path) -> Seen:
    note.unlink(missing_ok=True)  # noqa: ASYNC240 -- a file of a few kilobytes
    os.kill(cloud.parts.hosts[0].pid or 0, signal.SIGUSR1)
    async with asyncio.timeout(_LEVER_SECONDS):
        while not note.exists():  # noqa: ASYNC110, ASYNC240 -- another process writes it
            await asyncio.sleep(_LOOK_EVERY)
    noted = json.loads(note.read_text())  # noqa: ASYNC240 -- as above
    return Seen(frozenset(noted["modules"]), noted["peak_mb"])


async def _empty_app(folder: Path, *, runs: int) -> tuple[float, Seen]:
    """Return how long an app that does nothing takes until it is served, and what it has imported by then."""
    app, note = folder / "empty", folder / "empty.json"
    app.mkdir()
    (app / "function_app.py").write_text(_EMPTY_APP)
    (app / "host.json").write_text((ROOT / "host.json").read_text())
    took = []
    settings = {"BENCH_SEEN": str(note)}
    async with running(folder=folder / "e", hosts=1, app_folder=app, host_module=_HOST, settings=settings) as cloud:
        for _ in range(runs):
            await cloud.kill_host(0)
            started = time.perf_counter()
            await cloud.start_host(0)
            took.append(time.perf_counter() - started)
        return median(took), await _look_at(cloud, note)


def _import_seconds(module: str) -> float:
    """Import a module in a process of its own; return how long that took there."""
    code = f"import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"
    environment = {"PATH": os.environ["PATH"], **ENVIRONMENT}
    finished = subprocess.run(  # noqa: S603 -- our own code
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return float(finished.stdout)
