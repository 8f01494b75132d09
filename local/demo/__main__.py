"""`python -m local.demo`: start a local cloud, run the scenario, and check the outcome.

Exits with 0 only if the leaked token is verified revoked, the incident is filed and the owner is notified.
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

from local.child_processes import end_with_parent, plain_environment
from local.cloud.background import Background
from local.cloud.place import Place, Shape
from shared.redaction import redact

ROOT = Path(__file__).resolve().parent.parent.parent
_MAIL_LINES = 24


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.demo", description="Replay the SAS leak of 2023")
    parser.add_argument("--folder", type=Path, default=ROOT / ".local" / "demo", help="folder for logs and mail")
    folder = parser.parse_args().folder.resolve()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        with _cloud(folder):
            return _run(folder)
    except KeyboardInterrupt:
        print("\nStopped.")
        return 130


@contextmanager
def _cloud(folder: Path) -> Iterator[None]:
    """Run a separate local cloud for the demo, in `folder` and on free ports."""
    place = Place(folder)
    place.make()
    began = time.monotonic()
    _say("Starting the local cloud (Azurite, stand-ins for Azure, the function app) …", end="")
    process = Background(
        place,
        Shape(port=0, hosts=1, time_factor=1),
        environment=plain_environment() | {"PYTHONUNBUFFERED": "1"},
        preexec=end_with_parent(),
    )
    try:
        error = process.wait_until_ready()
        if error is not None:
            _say(f"\n\nThe local cloud did not start: {error}\nLogs: {folder}/cloud.log")
            raise SystemExit(1)
        _say(f" {time.monotonic() - began:.1f} s")
        yield
    finally:
        _ignore_signals()
        process.end(patience=0)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """Stop the demo in order. Further signals are ignored, so that they do not interrupt the clean-up."""
    _ignore_signals()
    raise KeyboardInterrupt


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _run(folder: Path) -> int:
    os.environ.update(_exports(folder / "env"))
    # Imported late: the SDKs read the proxy and the certificates from the environment when they are imported.
    from azure.core.exceptions import AzureError  # noqa: PLC0415

    from local.demo.run import run  # noqa: PLC0415
    from local.demo.watch import DemoError  # noqa: PLC0415

    try:
        run(say=_say, mail_file=folder / "mail.html", mail_lines=_MAIL_LINES)
    except DemoError as error:
        failure = str(error)
    except (AzureError, OSError) as error:
        # A client of the scenario was refused, or the cloud stopped.
        failure = f"{type(error).__name__}: {redact(str(error))}"
    else:
        return 0
    _say(f"\nFAILED  {failure}\nLogs: {folder}/cloud.log, {folder}/host-1.log")
    return 1


def _exports(file: Path) -> dict[str, str]:
    """Return the variables that `file` exports to a shell."""
    lines = file.read_text().splitlines()
    words = (shlex.split(line.removeprefix("export "))[0] for line in lines if line.startswith("export "))
    return dict(word.split("=", 1) for word in words)


def _say(text: str, end: str = "\n") -> None:
    print(text, end=end, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
