"""Azurite, Microsoft's storage emulator, as a child process: blob, queue and table, in memory, on loopback.

Keys are passed through standard input only, so that no command line or environment contains them, and a regenerated
key is refused as soon as `use_keys` returns (see azurite_preload.js).
"""

import asyncio
import contextlib
import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from local.child_processes import end_with_parent, plain_environment
from local.network.certificates import Certificates
from local.tenant.model import Account

_ROOT = Path(__file__).resolve().parents[2]
_MAIN = _ROOT / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
_PRELOAD = Path(__file__).with_name("azurite_preload.js")
_LISTENING = re.compile(r"Azurite (Blob|Queue|Table) service is successfully listening at https://127\.0\.0\.1:(\d+)")
_START_SECONDS = 60
_ANSWER_SECONDS = 10
SERVICES = ("blob", "queue", "table")


class AzuriteError(RuntimeError):
    """Azurite did not start or does not respond. The message names its log."""


class Azurite:
    """One Azurite process. `start` returns when all three services listen."""

    def __init__(self, *, folder: Path, certificates: Certificates) -> None:
        self._folder = folder
        self._log = folder / "azurite.log"
        self._certificates = certificates
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._ports: dict[str, int] = {}
        self._listening = asyncio.Event()
        self._ended = asyncio.Event()
        self._sequence = 0
        self._acknowledged = asyncio.Condition()
        self._last_acknowledged = 0

    async def start(self) -> None:
        """Start the process. Raises AzuriteError if it is not installed or does not start within 60 s."""
        node = shutil.which("node")
        if node is None or not _MAIN.exists():
            raise AzuriteError("Azurite needs Node 20 and `make setup`: node or node_modules/azurite is missing")
        self._process = await asyncio.create_subprocess_exec(
            node,
            *("--require", str(_PRELOAD), str(_MAIN)),
            *(argument for service in SERVICES for argument in (f"--{service}Port", "0")),
            # Longer than the client keeps idle connections, so that Azurite never closes one that is in use.
            *(argument for service in SERVICES for argument in (f"--{service}KeepAliveTimeout", "600")),
            *("--silent", "--skipApiVersionCheck", "--disableTelemetry", "--inMemoryPersistence"),
            *("--oauth", "basic"),
            *("--cert", str(self._certificates.azurite_certificate)),
            *("--key", str(self._certificates.azurite_key)),
            cwd=self._folder,
            env=plain_environment(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C on the terminal reaches the parent, which stops its children in order
            preexec_fn=end_with_parent(),
        )
        self._reader = asyncio.create_task(self._read())
        if not await self._wait_for(self._listening, _START_SECONDS):
            await self.stop()
            raise AzuriteError(f"Azurite did not start. Log: {self._log}")

    async def stop(self) -> None:
        """Send SIGKILL: all data is in memory, and on SIGTERM Azurite would drain connections for a minute."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        if self._reader is not None:
            await self._reader

    @property
    def is_running(self) -> bool:
        return self._process is not None and not self._ended.is_set()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def address(self, service: str) -> str:
        """Return the base address of a service, "https://127.0.0.1:port"."""
        return f"https://127.0.0.1:{self._ports[service]}"

    async def use_keys(self, accounts: Iterable[Account]) -> None:
        """Make Azurite accept exactly the keys of these accounts. Raises AzuriteError if it does not respond."""
        if self._process is None or self._process.stdin is None:
            raise AzuriteError("Azurite is not running")
        self._sequence += 1
        sequence = self._sequence
        value = ";".join(f"{a.name}:{a.keys['key1']}:{a.keys['key2']}" for a in accounts)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                self._process.stdin.write(json.dumps({"sequence": sequence, "accounts": value}).encode() + b"\n")
                await self._process.stdin.drain()
                async with self._acknowledged:
                    await self._acknowledged.wait_for(
                        lambda: self._last_acknowledged >= sequence or self._ended.is_set()
                    )
        except (TimeoutError, ConnectionError):
            raise AzuriteError(f"Azurite does not accept keys. Log: {self._log}") from None
        if self._last_acknowledged < sequence:
            raise AzuriteError(f"Azurite has ended. Log: {self._log}")

    async def _read(self) -> None:
        """Read its standard output: ports and acknowledgments; everything else goes to the log."""
        assert self._process is not None
        assert self._process.stdout is not None
        with self._log.open("wb", buffering=0) as log:
            async for raw in self._process.stdout:
                line = raw.decode(errors="replace").strip()
                if match := _LISTENING.search(line):
                    self._ports[match[1].lower()] = int(match[2])
                    if len(self._ports) == len(SERVICES):
                        self._listening.set()
                if line.startswith("keys "):
                    async with self._acknowledged:
                        self._last_acknowledged = int(line.removeprefix("keys "))
                        self._acknowledged.notify_all()
                else:
                    log.write(raw)
        self._ended.set()
        async with self._acknowledged:
            self._acknowledged.notify_all()

    async def _wait_for(self, event: asyncio.Event, seconds: float) -> bool:
        """Return whether `event` is set within `seconds` and before the process ends."""
        waits = [asyncio.create_task(event.wait()), asyncio.create_task(self._ended.wait())]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return event.is_set()
