"""A host process and an Azurite process, for the tests of the host."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.paths import ROOT
from tests.support.patience import PATIENCE

APP = ROOT / "tests/local/host/app"
AZURITE = ROOT / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

SYSTEM_KEY = "a-system-key"
FUNCTION_KEY = "a-function-key"
MASTER_KEY = "a-master-key"


@dataclass
class HostProcess:
    """A running `python -m local.host`. `log` is its standard error so far."""

    process: asyncio.subprocess.Process
    url: str
    log_file: Path

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    async def stop(self) -> int:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await self.process.wait()


async def spawn(app: Path, log_file: Path, settings: Mapping[str, str]) -> tuple[asyncio.subprocess.Process, str]:
    """Start a host; return it with the first line of its standard output, empty if it ended instead."""
    environment = {"PATH": os.environ["PATH"], "LOCAL_SYSTEM_KEY": SYSTEM_KEY} | dict(settings)
    with log_file.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "local.host",
            "--app",
            str(app),
            "--port",
            "0",
            cwd=ROOT,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode().strip()
    if not line:
        await process.wait()
    return process, line


@contextlib.asynccontextmanager
async def running_host(app: Path, log_file: Path, settings: Mapping[str, str]) -> AsyncGenerator[HostProcess]:
    process, line = await spawn(app, log_file, settings)
    host = HostProcess(process, line.removeprefix("ready "), log_file)
    assert line.startswith("ready http://127.0.0.1:"), host.log
    try:
        yield host
    finally:
        await host.stop()


@contextlib.asynccontextmanager
async def running_core_tools(app: Path, log_file: Path, settings: Mapping[str, str]) -> AsyncGenerator[HostProcess]:
    """Run a copy of the app on the Functions host itself, which Azure Functions Core Tools (`func`) bring."""
    copy = log_file.parent / "core-tools-app"
    shutil.copytree(app, copy)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "FUNCTIONS_WORKER_RUNTIME": "python"} | dict(settings)
    with log_file.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            "func", "start", "--port", str(port), cwd=copy, env=environment, stdout=log, stderr=log
        )
    host = HostProcess(process, f"http://127.0.0.1:{port}", log_file)
    try:
        async with asyncio.timeout(PATIENCE), httpx.AsyncClient(base_url=host.url, trust_env=False) as client:
            while not await _answers(client):
                assert process.returncode is None, host.log
                await asyncio.sleep(0.2)
        yield host
    finally:
        await host.stop()


async def _answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/api/text")).status_code == 200
    except httpx.TransportError:
        return False


@contextlib.asynccontextmanager
async def running_azurite() -> AsyncGenerator[str]:
    """Run Azurite in memory on free ports; the value is a connection string."""
    process = await asyncio.create_subprocess_exec(
        "node",
        str(AZURITE),
        "--inMemoryPersistence",
        "--silent",
        "--skipApiVersionCheck",
        "--disableTelemetry",
        *(f"--{service}Port=0" for service in ("blob", "queue", "table")),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        found: dict[str, str] = {}
        while len(found) < 3:
            line = (await process.stdout.readline()).decode()
            assert line, "Azurite ended"
            if "successfully listening at " in line:
                service = line.split()[1].lower()
                found[service] = line.split("listening at ")[1].strip()
        yield (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
            f"BlobEndpoint={found['blob']}/{ACCOUNT};QueueEndpoint={found['queue']}/{ACCOUNT};"
        )
    finally:
        process.kill()
        await process.wait()
