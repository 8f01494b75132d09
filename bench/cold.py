"""From the start of a process to its first revocation, and what it imported until then, against an empty app."""

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
from shared.domain import report as findings
from tests.support.deployment import Deployment, is_closed
from tests.support.leaks import account_sas
from tests.support.samples import ENVIRONMENT

_HOST = "bench.watched_host"
_TIMERS = (
    "sweep",
    "send_digest",
    "collect_dead_letters",
    "look_again",
    "look_at_accounts",
    "drill",
    "copy_history",
    "check_history",
    "prune_records",
)
_EMPTY_APP = '''import azure.functions as func

app = func.FunctionApp()


@app.event_grid_trigger(arg_name="event")
async def on_finding(event: func.EventGridEvent) -> None:
    """Does nothing."""
'''
_TIMEOUT = 30.0
_POLL_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Process:
    """The imported modules and the peak memory of a process at some moment."""

    modules: frozenset[str]
    peak_mb: float


@dataclass(frozen=True, slots=True)
class ColdRevocation:
    """Seconds from the start of the process until its host served, and until regenerateKey was sent.

    `process` is the state of the process when regenerateKey was sent.
    """

    served: float
    sent: float
    process: Process


async def figures(latencies: Latencies, *, runs: int) -> AsyncIterator[Figure]:
    """Yield time and memory of a cold start, each against the empty app."""
    with tempfile.TemporaryDirectory() as folder:
        revocations = await revocations_of_new_processes(Path(folder), latencies, runs=runs)
        served, empty = await _empty_app(Path(folder), runs=runs)
    process, baseline = revocations[0].process, "an empty function app"
    yield Figure(
        "process start to regenerateKey, cold",
        median([each.sent for each in revocations]),
        "s",
        served,
        f"{baseline} serving",
    )
    yield Figure(
        "process start to serving, cold", median([each.served for each in revocations]), "s", served, baseline
    )
    yield Figure(
        "modules imported when regenerateKey is sent", len(process.modules), "modules", len(empty.modules), baseline
    )
    yield Figure(
        "peak memory when regenerateKey is sent",
        median([each.process.peak_mb for each in revocations]),
        "MB",
        empty.peak_mb,
        baseline,
    )
    importing = [median([_import_seconds(name) for _ in range(runs)]) for name in ("function_app", "azure.functions")]
    yield Figure("import of the app", importing[0], "s", importing[1], "import azure.functions")


async def revocations_of_new_processes(folder: Path, latencies: Latencies, *, runs: int) -> list[ColdRevocation]:
    """Start the app anew for each of `runs` revocations. Timers are off, since they import modules of their own."""
    note = folder / "seen.json"
    settings = {"BENCH_SEEN": str(note)} | {f"AzureWebJobs.{name}.Disabled": "true" for name in _TIMERS}
    async with running(folder=folder / "app", hosts=1, host_module=_HOST, settings=settings) as cloud:
        deployment = Deployment(cloud)
        latencies.inject(cloud)
        return [await _cold_revocation(deployment, note) for _ in range(runs)]


async def _cold_revocation(deployment: Deployment, note: Path) -> ColdRevocation:
    account = await deployment.account()
    [reported] = findings.in_text(
        account_sas(account.name, account.keys["key1"]), source="bench", url=None, detected_at=datetime.now(UTC)
    )
    found = reported.finding
    await deployment.cloud.crash_host(0)
    started = datetime.now(UTC)
    await deployment.cloud.start_host(0)
    served = datetime.now(UTC)
    await deployment.publish(
        CloudEvent(source="/bench", type=findings.REPORTED, id=found.fingerprint, data=found.to_data())
    )
    process = await _process_at_regeneration(deployment.cloud, note)
    await deployment.settled(found.fingerprint, until=is_closed)
    regeneration = next(r for r in reversed(deployment.cloud.model.requests) if "regenerateKey" in r.url)
    return ColdRevocation((served - started).total_seconds(), (regeneration.at - started).total_seconds(), process)


async def _process_at_regeneration(cloud: LocalCloud, note: Path) -> Process:
    """Inspect the process while ARM regenerates the key, which takes as long as the injected latency."""
    regeneration = next(fault for fault in cloud.faults.all() if fault.match == "/regenerateKey")
    before = regeneration.hits
    async with asyncio.timeout(_TIMEOUT):
        while regeneration.hits == before:  # noqa: ASYNC110 -- the front has no event for it
            await asyncio.sleep(_POLL_SECONDS)
    return await _inspect(cloud, note)


async def _inspect(cloud: LocalCloud, note: Path) -> Process:
    note.unlink(missing_ok=True)  # noqa: ASYNC240 -- a file of a few kilobytes
    os.kill(cloud.parts.hosts[0].pid or 0, signal.SIGUSR1)
    async with asyncio.timeout(_TIMEOUT):
        while not note.exists():  # noqa: ASYNC110, ASYNC240 -- another process writes it
            await asyncio.sleep(_POLL_SECONDS)
    noted = json.loads(note.read_text())  # noqa: ASYNC240 -- as above
    return Process(frozenset(noted["modules"]), noted["peak_mb"])


async def _empty_app(folder: Path, *, runs: int) -> tuple[float, Process]:
    """Return the seconds until an empty app is served, and the state of its process then."""
    app, note = folder / "empty", folder / "empty.json"
    app.mkdir()
    (app / "function_app.py").write_text(_EMPTY_APP)
    (app / "host.json").write_text((ROOT / "host.json").read_text())
    durations = []
    settings = {"BENCH_SEEN": str(note)}
    async with running(folder=folder / "e", hosts=1, app_folder=app, host_module=_HOST, settings=settings) as cloud:
        for _ in range(runs):
            await cloud.crash_host(0)
            started = time.perf_counter()
            await cloud.start_host(0)
            durations.append(time.perf_counter() - started)
        return median(durations), await _inspect(cloud, note)


def _import_seconds(module: str) -> float:
    """Import a module in a new process; return the seconds that it took."""
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
