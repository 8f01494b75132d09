"""`python -m local.cloud up|run|stop`: the local cloud as a command.

`run` is the cloud, in the foreground. `up` starts `run` in the background and returns once all is ready; `stop`
ends it. A lock on `<folder>/lock`, held by `run` while it lives, says whether a cloud runs there: the kernel gives it
back however `run` ends, so that no stale file can pretend.
"""

import argparse
import asyncio
import errno
import fcntl
import json
import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from local import environment
from local.azurite import AzuriteError
from local.children import ChildError
from local.cloud import ROOT, LocalCloud, running
from local.storage_backend import StorageBackendError

_UP_SECONDS = 150
_STOP_SECONDS = 30
_CLEAN_UP_SECONDS = 5
_POLL_SECONDS = 0.05
_QUIET_LOGGERS = ("azure", "httpx", "httpcore", "msal")  # they log URLs at INFO


@dataclass(frozen=True, slots=True)
class Place:
    """The files of one cloud."""

    folder: Path

    @property
    def lock(self) -> Path:
        return self.folder / "lock"

    @property
    def pid(self) -> Path:
        return self.folder / "pid"

    @property
    def ports(self) -> Path:
        return self.folder / "ports.json"

    @property
    def env(self) -> Path:
        return self.folder / "env"

    @property
    def log(self) -> Path:
        return self.folder / "cloud.log"

    def forget(self) -> None:
        """Remove what only a running cloud may leave lying about."""
        for file in (self.pid, self.ports, self.env):
            file.unlink(missing_ok=True)

    def is_running(self) -> bool:
        if not self.lock.exists():
            return False
        with self.lock.open("r") as lock:
            return not _take(lock.fileno())


@dataclass(frozen=True, slots=True)
class Shape:
    """What kind of cloud: its control port (0: a free one), how many hosts (0: no app), how fast its clocks run."""

    port: int
    hosts: int
    time_factor: float

    def options(self) -> tuple[str, ...]:
        """The same as options of the command."""
        hosts = ("--hosts", str(self.hosts)) if self.hosts else ("--no-app",)
        return ("--port", str(self.port), *hosts, "--time-factor", str(self.time_factor))


class _Starter:
    """Whoever started us in the background and waits for a word, at the other end of a pipe; or nobody."""

    def __init__(self, ready_fd: int | None) -> None:
        self._pipe = os.fdopen(ready_fd, "w") if ready_fd is not None else None

    def tell(self, error: str | None) -> None:
        """Say that all is ready (`error` None), or what went wrong; what goes wrong later is only printed."""
        if error is not None:
            print(f"The local cloud failed: {error}", file=sys.stderr, flush=True)
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            with pipe:
                json.dump({"error": error}, pipe)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.cloud", description="Sasquash's local cloud")
    parser.add_argument("command", choices=("up", "run", "stop"))
    parser.add_argument("--folder", type=Path, default=Path(".local"), help="where pids, logs and env go")
    parser.add_argument("--port", type=int, default=7070, help="of the control port; 0 takes a free one")
    parser.add_argument("--hosts", type=int, default=1, help="how many function hosts")
    parser.add_argument("--no-app", action="store_true", help="the cloud alone, without the function app")
    parser.add_argument("--time-factor", type=float, default=1, help="divides schedules and visibility time-outs")
    parser.add_argument("--ready-fd", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if not 0 <= options.port <= 65535 or not 1 <= options.hosts <= 16 or options.time_factor < 1:
        parser.error("--port must be from 0 to 65535, --hosts from 1 to 16, --time-factor 1 or more")
    place = Place(options.folder.resolve())
    shape = Shape(port=options.port, hosts=0 if options.no_app else options.hosts, time_factor=options.time_factor)
    if options.command == "stop":
        return stop(place)
    if options.command == "up":
        return up(place, shape)
    return run(place, shape, ready_fd=options.ready_fd)


def up(place: Place, shape: Shape) -> int:
    """Start `run` in the background; return 0 when all is ready. On failure nothing is left running."""
    place.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if place.is_running():
        if not place.ports.exists():
            print(f"A local cloud is just starting or stopping in {place.folder}.", file=sys.stderr)
            return 1
        print(f"The local cloud is running already.\n{_where(place)}")
        return 0
    reading, writing = os.pipe()
    with place.log.open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "local.cloud", "run", "--folder", str(place.folder)),
                *(*shape.options(), "--ready-fd", str(writing)),
            ],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=[writing],
            start_new_session=True,
        )
    os.close(writing)
    try:
        with os.fdopen(reading) as answer:
            error = _answer(answer)
    except KeyboardInterrupt:
        _end(process, patience=0)
        return 130
    if error is None:
        print(f"The local cloud is up.\n{_where(place)}")
        return 0
    _end(process, patience=_CLEAN_UP_SECONDS)
    print(f"The local cloud did not start: {error}\nIts log is {place.log}", file=sys.stderr)
    return 1


def run(place: Place, shape: Shape, *, ready_fd: int | None) -> int:
    """Be the cloud until SIGINT or SIGTERM."""
    starter = _Starter(ready_fd)
    place.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for name in _QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    # Never closed: the kernel does it when this process has ended, and not a moment before.
    lock = os.open(place.lock, os.O_RDWR | os.O_CREAT, 0o600)
    if not _take(lock):
        starter.tell(f"a local cloud runs in {place.folder} already")
        return 1
    place.forget()
    place.pid.write_text(str(os.getpid()))
    try:
        asyncio.run(_serve(place, shape, starter))
    except (AzuriteError, ChildError, StorageBackendError) as error:
        starter.tell(str(error))
        return 1
    except OSError as error:
        is_taken = error.errno == errno.EADDRINUSE
        starter.tell(f"port {shape.port} is taken; choose another with PORT=" if is_taken else str(error))
        return 1
    finally:
        place.forget()
    return 0


def stop(place: Place) -> int:
    """End the cloud that runs in `place`, and wait for its end."""
    if not place.is_running():
        place.forget()  # what a killed one left
        print("No local cloud is running.")
        return 0
    try:
        pid = int(place.pid.read_text())
    except (FileNotFoundError, ValueError):
        print(f"A local cloud is just starting or stopping in {place.folder}.", file=sys.stderr)
        return 1
    for ending in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(pid, ending)
        until = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < until:
            if not place.is_running():
                place.forget()
                print("The local cloud has stopped.")
                return 0
            time.sleep(_POLL_SECONDS)
    print(f"The local cloud (pid {pid}) does not stop.", file=sys.stderr)
    return 1


async def _serve(place: Place, shape: Shape, starter: _Starter) -> None:
    task = asyncio.current_task()
    assert task is not None
    ending = asyncio.Event()

    def end() -> None:
        if not ending.is_set():  # a second signal must not cut short what the first one began
            ending.set()
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end)
    try:
        async with running(
            folder=place.folder,
            hosts=shape.hosts,
            control_port=shape.port,
            time_factor=shape.time_factor,
        ) as cloud:
            environment.write(place.env, cloud.environment)
            place.ports.write_text(json.dumps(_ports(cloud), indent=2) + "\n")
            print(f"The local cloud is up.\n{_where(place)}", flush=True)
            starter.tell(None)
            await ending.wait()
    except asyncio.CancelledError:
        if not ending.is_set():
            raise


def _ports(cloud: LocalCloud) -> dict[str, Any]:
    return {"control": cloud.control_port, "proxy": cloud.proxy_port, "hosts": list(cloud.hosts)}


def _where(place: Place) -> str:
    ports = json.loads(place.ports.read_text())
    app = ", ".join(f"{host}/api" for host in ports["hosts"]) or "none"
    return (
        f"  control port   http://127.0.0.1:{ports['control']}\n"
        f"  function app   {app}\n"
        f"  environment    . {place.env}\n"
        f"  logs           {place.folder}"
    )


def _answer(answer: IO[str]) -> str | None:
    """What the background process said of its start: None if all is well, otherwise what went wrong."""
    ready, _, _ = select.select([answer], [], [], _UP_SECONDS)
    if not ready:
        return f"it was not ready after {_UP_SECONDS} s"
    text = answer.read()
    if not text:
        return "it ended without a word"
    error: str | None = json.loads(text)["error"]
    return error


def _end(process: subprocess.Popen[bytes], *, patience: float) -> None:
    """See that a background process that did not come up ends: for `patience` seconds on its own, then by signals."""
    for end, seconds in ((None, patience), (process.terminate, _STOP_SECONDS), (process.kill, None)):
        if end is not None:
            end()
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return


def _take(lock: int) -> bool:
    """Whether the lock was free; it is held from now on until the file is closed."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
