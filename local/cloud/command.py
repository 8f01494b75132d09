"""`python -m local.cloud up|run|stop`: the local cloud as a command.

`run` runs the cloud in the foreground. `up` starts `run` in the background and returns once all is ready. `stop` ends
it.
"""

import argparse
import asyncio
import errno
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from local.child_processes import ChildError
from local.cloud import environment
from local.cloud.background import Background, Starter
from local.cloud.cloud import running
from local.cloud.place import Place, Ports, Shape
from local.storage.azurite import AzuriteError
from local.storage.backend import StorageBackendError

_STOP_SECONDS = 30
_CLEAN_UP_SECONDS = 5
_POLL_SECONDS = 0.05
_QUIET_LOGGERS = ("azure", "httpx", "httpcore", "msal")  # they log URLs at INFO


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.cloud", description="Sasquash's local cloud")
    parser.add_argument("command", choices=("up", "run", "stop"))
    parser.add_argument("--folder", type=Path, default=Path(".local"), help="folder for pid, logs and env")
    parser.add_argument("--port", type=int, default=7070, help="control port; 0: a free one")
    parser.add_argument("--hosts", type=int, default=1, help="number of function hosts")
    parser.add_argument("--no-app", action="store_true", help="do not run the function app")
    parser.add_argument("--time-factor", type=float, default=1, help="divides schedules and visibility timeouts")
    parser.add_argument("--private", action="store_true", help="a private network: findings arrive by a queue")
    parser.add_argument("--ready-fd", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if not 0 <= options.port <= 65535 or not 1 <= options.hosts <= 16 or options.time_factor < 1:
        parser.error("--port must be from 0 to 65535, --hosts from 1 to 16, --time-factor 1 or more")
    place = Place(options.folder.resolve())
    hosts = 0 if options.no_app else options.hosts
    shape = Shape(options.port, hosts, options.time_factor, options.private)
    if options.command == "stop":
        return stop(place)
    if options.command == "up":
        return up(place, shape)
    return run(place, shape, ready_fd=options.ready_fd)


def up(place: Place, shape: Shape) -> int:
    """Start `run` in the background; return 0 once all is ready. On failure, no process remains."""
    place.make()
    if place.is_running():
        if not place.ports.exists():
            print(f"A local cloud is starting or stopping in {place.folder}. Try again.", file=sys.stderr)
            return 1
        ports = place.read_ports()
        print(f"The local cloud is already running.\n{_where(place, ports)}")
        if not ports.suits(shape):
            runs = ports.shape().words()
            print(f"The options were ignored: it runs with {runs}. To change them, run `make stop` first.")
        return 0
    process = Background(place, shape)
    try:
        error = process.wait_until_ready()
    except KeyboardInterrupt:
        process.end(patience=0)
        return 130
    if error is None:
        print(f"The local cloud is up.\n{_where(place, place.read_ports())}")
        return 0
    process.end(patience=_CLEAN_UP_SECONDS)
    print(f"The local cloud did not start: {error}\nLog: {place.log}", file=sys.stderr)
    return 1


def run(place: Place, shape: Shape, *, ready_fd: int | None) -> int:
    """Run the cloud until SIGINT or SIGTERM."""
    starter = Starter(ready_fd)
    place.make()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for name in _QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    if not place.take():
        starter.notify(f"a local cloud is already running in {place.folder}")
        return 1
    place.forget()
    place.pid.write_text(str(os.getpid()))
    try:
        asyncio.run(_serve(place, shape, starter))
    except (AzuriteError, ChildError, StorageBackendError) as error:
        starter.notify(str(error))
        return 1
    except OSError as error:
        is_taken = error.errno == errno.EADDRINUSE
        starter.notify(f"port {shape.port} is in use; choose another one with PORT=" if is_taken else str(error))
        return 1
    finally:
        place.forget()
    return 0


def stop(place: Place) -> int:
    """Stop the cloud that runs in `place`, and wait until it has ended."""
    if not place.is_running():
        place.forget()  # files of a cloud that crashed
        print("No local cloud is running.")
        return 0
    try:
        pid = int(place.pid.read_text())
    except (FileNotFoundError, ValueError):
        print(f"A local cloud is starting or stopping in {place.folder}. Try again.", file=sys.stderr)
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
            time.sleep(_POLL_SECONDS)  # not a child of this process: there is nothing to wait on
    print(f"The local cloud (pid {pid}) did not stop.", file=sys.stderr)
    return 1


async def _serve(place: Place, shape: Shape, starter: Starter) -> None:
    task = asyncio.current_task()
    assert task is not None
    ending = asyncio.Event()

    def end() -> None:
        if not ending.is_set():  # a second signal must not interrupt the clean-up
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
            private=shape.private,
        ) as cloud:
            environment.write(place.env, cloud.environment)
            ports = Ports(cloud.control_port, cloud.proxy_port, cloud.hosts, shape.time_factor, shape.private)
            place.write_ports(ports)
            print(f"The local cloud is up.\n{_where(place, ports)}", flush=True)
            starter.notify(None)
            await ending.wait()
    except asyncio.CancelledError:
        if not ending.is_set():
            raise


def _where(place: Place, ports: Ports) -> str:
    app = ", ".join(f"{host}/api" for host in ports.hosts) or "none"
    return (
        f"  control port   http://127.0.0.1:{ports.control}\n"
        f"  function app   {app}\n"
        f"  environment    . {place.env}\n"
        f"  logs           {place.folder}"
    )
