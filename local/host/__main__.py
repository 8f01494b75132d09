"""`python -m local.host --app FOLDER --port N`: serve the app until SIGTERM or SIGINT.

Prints `ready http://127.0.0.1:N` to standard output once it serves; everything else goes to standard error.
Exit codes: 0 after a signal; 1 if it cannot start (one line says why) or a listener fails. Its own settings:
LOCAL_SYSTEM_KEY (for Event Grid), LOCAL_FUNCTION_KEY, LOCAL_MASTER_KEY. A key that is not set authorizes nothing.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Generator
from logging.handlers import MemoryHandler
from pathlib import Path
from typing import NoReturn

import uvicorn

from local.host.app_loader import load
from local.host.configuration import AppSettings, HostConfiguration, StartError, read_host_json
from local.host.http import Keys
from local.host.invocation import quiet_runtime
from local.host.kestrel import LARGEST_HEAD
from local.host.service import Host
from local.network.listener import TransportProtocol

_log = logging.getLogger("host")

_GRACE_SECONDS = 10  # for running invocations when the host stops
_QUIET_LOGGERS = ("azure", "uvicorn")  # at INFO they log requests with URLs, and every start and stop


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: those of the host stop more than the server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def main() -> None:
    """Parse the command line, load the app, serve it, and exit."""
    parser = argparse.ArgumentParser(prog="python -m local.host", description="Host a function app on loopback.")
    parser.add_argument("--app", type=Path, required=True, help="folder of function_app.py and host.json")
    parser.add_argument("--port", type=int, default=0, help="0: a free port")
    arguments = parser.parse_args()

    # What functions print goes to the log: standard output has one line, for the parent process.
    answers = sys.stdout
    sys.stdout = sys.stderr
    log = _hold_log()
    quiet_runtime()

    folder = arguments.app.resolve()
    keys = Keys(
        system=os.environ.pop("LOCAL_SYSTEM_KEY", None),
        function=os.environ.pop("LOCAL_FUNCTION_KEY", None),
        master=os.environ.pop("LOCAL_MASTER_KEY", None),
    )

    def ready(url: str) -> None:
        print(f"ready {url}", file=answers, flush=True)
        _release_log(log)

    try:
        configuration = read_host_json(folder)
        code = asyncio.run(
            _serve(configuration=configuration, keys=keys, folder=folder, port=arguments.port, ready=ready)
        )
    except StartError as error:
        print(error, file=sys.stderr)
        code = 1
    _leave(code)


async def _serve(
    *,
    configuration: HostConfiguration,
    keys: Keys,
    folder: Path,
    port: int,
    ready: Callable[[str], None],
) -> int:
    """Load the app and serve it until a signal, or until a listener fails; return the exit code.

    The app is imported on the loop that calls its functions, as in Azure's Functions worker: it may start tasks
    there.
    """
    functions = load(folder)
    host = Host(functions, configuration=configuration, settings=AppSettings(os.environ), keys=keys, folder=folder)
    listening = _listen(port)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    server = _Server(
        uvicorn.Config(
            host.app,
            lifespan="off",
            ws="none",
            http=TransportProtocol,
            h11_max_incomplete_event_size=LARGEST_HEAD,
            server_header=False,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    )
    stopped = asyncio.create_task(stopping.wait())
    work = [asyncio.create_task(coroutine) for coroutine in (server.serve([listening]), *host.listen(stopping))]
    await host.tried_to_start()
    ready(f"http://127.0.0.1:{listening.getsockname()[1]}")

    done, _ = await asyncio.wait({stopped, *work}, return_when=asyncio.FIRST_COMPLETED)
    # A listener that ends before a signal has failed.
    signaled = stopping.is_set()
    broken = [task for task in done if task is not stopped and not (signaled and task.exception() is None)]
    stopping.set()
    server.should_exit = True
    draining = asyncio.create_task(host.drain())
    _, late = await asyncio.wait({*work, draining}, timeout=_GRACE_SECONDS)
    if late:
        _log.warning("Stopped with invocations still running after %d s", _GRACE_SECONDS)
    for task in broken:
        _log.error("The host stops because a listener ended", exc_info=task.exception())
    code = 1 if broken else 0
    if late:
        _leave(code)
    await host.close()
    return code


def _leave(code: int) -> NoReturn:
    """End the process. Not with sys.exit: Python would wait for functions that never return."""
    logging.shutdown()
    os._exit(code)


def _hold_log() -> MemoryHandler:
    """Set up logging, and buffer the log until the host is ready.

    A host that cannot start prints one line, which must not be lost among others.
    """
    writer = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    writer.setFormatter(formatter)
    holder = MemoryHandler(capacity=10_000, flushLevel=sys.maxsize, target=writer, flushOnClose=False)
    logging.basicConfig(level=logging.INFO, handlers=[holder])
    for name in _QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    return holder


def _release_log(holder: MemoryHandler) -> None:
    """Write the buffered log, and log directly from now on."""
    root = logging.getLogger()
    writer = holder.target
    assert writer is not None
    root.addHandler(writer)
    root.removeHandler(holder)
    holder.flush()


def _listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
    except OSError as error:
        raise StartError(f"port {port} cannot be used: {error.strerror}") from None
    listening.listen(1024)
    return listening


if __name__ == "__main__":
    main()
