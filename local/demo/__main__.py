"""The demo itself: start the cloud, tell the story, watch, and say whether all of it happened.

Exits 0 only if the token is proven dead, the incident filed and the owner told.
"""

import argparse
import os
import shlex
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from local.child_processes import die_with_parent, plain_environment
from local.cloud.background import Background
from local.cloud.place import Place, Shape
from shared.redaction import redact

ROOT = Path(__file__).resolve().parent.parent.parent
_MAIL_LINES = 24


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.demo", description="The 38 TB leak, replayed")
    parser.add_argument("--folder", type=Path, default=ROOT / ".local" / "demo", help="where logs and the mail go")
    folder = parser.parse_args().folder.resolve()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        with _cloud(folder):
            return _tell(folder)
    except KeyboardInterrupt:
        print("\nStopped.")
        return 130


@contextmanager
def _cloud(folder: Path) -> Iterator[None]:
    """A local cloud of the demo's own, in its own folder and on ports of its own."""
    place = Place(folder)
    place.make()
    began = time.monotonic()
    _say("Starting the local cloud: Azurite, Azure's stand-ins, and the function app …", end="")
    process = Background(
        place,
        Shape(port=0, hosts=1, time_factor=1),
        environment=plain_environment() | {"PYTHONUNBUFFERED": "1"},
        preexec=die_with_parent(),
    )
    try:
        error = process.wait_until_ready()
        if error is not None:
            _say(f"\n\nThe local cloud did not start: {error}\nLogs: {folder} (cloud.log)")
            raise SystemExit(1)
        _say(f" {time.monotonic() - began:.1f} s")
        yield
    finally:
        _ignore_signals()
        process.end(patience=0)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """End the demo in order, once: a second Ctrl-C must not cut short what the first one began."""
    _ignore_signals()
    raise KeyboardInterrupt


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


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
