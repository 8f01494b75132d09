"""Child processes of the local cloud: with a minimal environment, and none outlives its parent."""

import asyncio
import contextlib
import ctypes
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # prctl(2)
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ")
_READY = re.compile(r"ready (http://127\.0\.0\.1:\d+)\s*$")
_LAST_LINES = 15


class ChildError(RuntimeError):
    """A child did not become ready; the message holds the last lines of its log."""


def plain_environment() -> dict[str, str]:
    """Return the variables that a child inherits: enough to run, without Azure settings or proxies."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


def end_with_parent() -> Callable[[], None] | None:
    """Return a `preexec_fn` that has the kernel end the child when its parent ends, also by SIGKILL.

    Linux only (prctl(2)). None elsewhere: there, a child must notice the end of its standard input.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def arrange() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent ended before the prctl call: no signal would come
            os._exit(1)

    return arrange


class Child:
    """A process that prints `ready http://127.0.0.1:PORT` to standard output. Its other output goes to `log`."""

    def __init__(self, name: str, *, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.address = ""
        self._command = command
        self._environment = environment
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def start(self, *, cwd: Path, seconds: float) -> None:
        """Start it and wait until it is ready. Raises ChildError if it ends before that, or after `seconds`."""
        self._log.write_bytes(b"")
        with self._log.open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                cwd=cwd,
                env=dict(self._environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
                preexec_fn=end_with_parent(),
            )
        self._reader = asyncio.create_task(self._read())
        try:
            async with asyncio.timeout(seconds):
                self.address = await asyncio.shield(self._ready)
        except TimeoutError:
            raise ChildError(f"{self.name} was not ready after {seconds:.0f} s\n{self._tail()}") from None

    async def stop(self, *, seconds: float) -> None:
        """Send SIGTERM, and SIGKILL after `seconds`; a process that is not ready yet gets SIGKILL at once."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            if self.address:
                self._process.terminate()
            else:
                self._process.kill()
        try:
            async with asyncio.timeout(seconds):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        if self._reader is not None:
            await self._reader

    async def crash(self) -> None:
        """End it with SIGKILL, as if its machine had failed."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self.stop(seconds=0)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        with self._log.open("ab", buffering=0) as log:
            async for raw in self._process.stdout:
                match = _READY.match(raw.decode(errors="replace"))
                if match and not self._ready.done():
                    self._ready.set_result(match[1])
                else:
                    log.write(raw)
        code = await self._process.wait()
        if not self._ready.done():
            self._ready.set_exception(ChildError(f"{self.name} ended with exit code {code}\n{self._tail()}"))
            self._ready.exception()  # retrieved, or asyncio warns where `start` was canceled

    def _tail(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        return "\n".join([*lines, f"(log: {self._log})"])
