"""`python -m local.cloud run` in the background: started, heard from, ended."""

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
    """Whoever started this process in the background and waits for a word, at the other end of a pipe; or nobody."""

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


class Background:
    """One such process, in a session of its own: a Ctrl-C on the terminal reaches only who started it.

    Its output goes to the place's log. `environment` None: that of this process.
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
        """What it said of its start: None if all is well, otherwise what went wrong."""
        with self._answer:
            ready, _, _ = select.select([self._answer], [], [], _UP_SECONDS)
            if not ready:
                return f"it was not ready after {_UP_SECONDS} s"
            text = self._answer.read()
        if not text:
            return "it ended without a word"
        error: str | None = json.loads(text)["error"]
        return error

    def end(self, *, patience: float) -> None:
        """See that it ends: for `patience` seconds on its own, then by signals. No file pretends that it runs."""
        for end, seconds in ((None, patience), (self._process.terminate, _STOP_SECONDS), (self._process.kill, None)):
            if end is not None:
                end()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
                break
        if not self._place.is_running():
            self._place.forget()  # a process that was killed, or never got so far, leaves what was there
