"""Runs `python -m local.cloud run` in the background: starts it, waits until it is ready, stops it."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from local.cloud.place import Place, Shape

_ROOT = Path(__file__).resolve().parents[2]
_UP_SECONDS = 150
_STOP_SECONDS = 30


class Starter:
    """The process that started this one in the background, if any: it reads the result of the start from a pipe."""

    def __init__(self, ready_fd: int | None) -> None:
        self._pipe = os.fdopen(ready_fd, "w") if ready_fd is not None else None

    def notify(self, error: str | None) -> None:
        """Report that all is ready (`error` None) or what failed. Failures after that are only printed."""
        if error is not None:
            print(f"The local cloud failed: {error}", file=sys.stderr, flush=True)
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            with pipe:
                json.dump({"error": error}, pipe)


class Background:
    """One such process, in its own session, so that Ctrl-C on the terminal reaches only its starter.

    Its output goes to the log of `place`. `environment` None: the environment of this process.
    """

    def __init__(
        self,
        place: Place,
        shape: Shape,
        *,
        environment: Mapping[str, str] | None = None,
        preexec: Callable[[], None] | None = None,
    ) -> None:
        self._place = place
        reading, writing = os.pipe()
        self._answer: IO[str] = os.fdopen(reading)
        try:
            with place.log.open("wb") as log:
                self._process = subprocess.Popen(
                    [
                        *(sys.executable, "-m", "local.cloud", "run", "--folder", str(place.folder)),
                        *(*shape.options(), "--ready-fd", str(writing)),
                    ],
                    cwd=_ROOT,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=[writing],
                    start_new_session=True,
                    preexec_fn=preexec,  # noqa: PLW1509 -- given only by a starter without threads
                )
        finally:
            os.close(writing)

    def wait_until_ready(self) -> str | None:
        """Wait for the result of the start: None for success, otherwise what failed."""
        with self._answer:
            ready, _, _ = select.select([self._answer], [], [], _UP_SECONDS)
            if not ready:
                return f"it was not ready after {_UP_SECONDS} s"
            text = self._answer.read()
        if not text:
            return "it ended without an error message"
        error: str | None = json.loads(text)["error"]
        return error

    def end(self, *, patience: float) -> None:
        """End it: wait `patience` seconds, then send signals. Afterwards no file says that it runs."""
        for end, seconds in ((None, patience), (self._process.terminate, _STOP_SECONDS), (self._process.kill, None)):
            if end is not None:
                end()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
                break
        if not self._place.is_running():
            self._place.forget()  # a process that crashed or failed early did not remove its files
