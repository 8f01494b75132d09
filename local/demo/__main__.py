"""The demo itself: start the cloud, tell the story, watch, and say whether all of it happened.

Exits 0 only if the token is proven dead, the incident filed and the owner told.
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.children import die_with_parent, plain_environment
from shared.redaction import redact

ROOT = Path(__file__).resolve().parent.parent.parent
_START_SECONDS = 120
_STOP_SECONDS = 30
_MAIL_LINES = 24


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.demo", description="The 38 TB leak, replayed")
    parser.add_argument("--folder", type=Path, default=ROOT / ".local" / "demo", help="where logs and the mail go")
    folder = parser.parse_args().folder.resolve()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with _cloud(folder):
            return _tell(folder)
    except KeyboardInterrupt:
        print("\nStopped.")
        return 130


@contextmanager
def _cloud(folder: Path) -> Iterator[None]:
    """A local cloud of the demo's own, in its own folder and on ports of its own."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    began = time.monotonic()
    _say("Starting the local cloud: Azurite, Azure's stand-ins, and the function app …", end="")
    with (folder / "cloud.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "local.cloud", "run", "--folder", str(folder), "--port", "0"],
            cwd=ROOT,
            env=plain_environment() | {"PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the demo alone, which then ends the cloud in order
            preexec_fn=die_with_parent(),  # noqa: PLW1509 -- the demo has no threads at this point
        )
    try:
        _wait_until_up(folder, process)
        _say(f" {time.monotonic() - began:.1f} s")
        yield
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_up(folder: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    # ports.json is the last thing that a starting cloud writes.
    while not (folder / "ports.json").exists():
        if process.poll() is not None or time.monotonic() > deadline:
            tail = (folder / "cloud.log").read_text(errors="replace").splitlines()[-15:]
            _say("\n\nThe local cloud did not start:\n  " + "\n  ".join(tail) + f"\nLogs: {folder}")
            raise SystemExit(1)
        time.sleep(0.05)


def _tell(folder: Path) -> int:
    os.environ.update(_exports(folder / "env"))
    # Only now: what these import reads the proxy and the certificates from the environment, once.
    from azure.core.exceptions import AzureError  # noqa: PLC0415

    from local.demo.run import tell  # noqa: PLC0415
    from local.demo.watch import DemoError  # noqa: PLC0415

    try:
        tell(say=_say, mail_file=folder / "mail.html", mail_lines=_MAIL_LINES)
    except DemoError as error:
        failure = str(error)
    except (AzureError, OSError) as error:
        # A client of the story's was refused, or the cloud went away: its own words say what it was doing.
        failure = f"{type(error).__name__}: {redact(str(error))}"
    else:
        return 0
    _say(f"\nFAILED  {failure}\nLogs: {folder} (cloud.log, host-1.log)")
    return 1


def _exports(file: Path) -> dict[str, str]:
    """The variables that a shell would have after sourcing `file`."""
    lines = file.read_text().splitlines()
    words = (shlex.split(line.removeprefix("export "))[0] for line in lines if line.startswith("export "))
    return dict(word.split("=", 1) for word in words)


def _say(text: str, end: str = "\n") -> None:
    print(text, end=end, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
