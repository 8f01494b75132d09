"""The limits of a report: its bytes, its items, its JSON values, and how many reports are parsed at the same time.

An item costs far more than its bytes: `{},` is three of them. So the values are counted before anything is parsed,
and the items before the first one is read. Parsing competes with revocations for the interpreter where one app does
both, so there are few parsers. A file of the user's own has no such limits: `python -m shared.intake` reads it.
"""

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from shared.errors import TransientFailure
from shared.sources.json_body import TooLarge
from shared.sources.parsing import TooManyItems

LONGEST = 4 * 1024 * 1024  # bytes
MOST_ITEMS = 10_000
MOST_VALUES = 300_000  # objects and lists, 30 for each item; SARIF needs a dozen

PARSERS = 1  # of long reports, at the same time
SHORT_PARSERS = 2  # beside it: a webhook that names an alert does not wait for a long report
SHORT = 64 * 1024  # bytes
MOST_WAITING = 8  # reports that wait for a parser, or are with one

_RETRY_AFTER = 10.0  # seconds
_SWITCH_AFTER = 0.0005  # seconds; Python's own is ten times as long (sys.setswitchinterval)
_SPLIT = "Split it, or use the command `python -m shared.intake` (docs/sources.md)."


def check_length(body: bytes) -> None:
    """Raise TooLarge for a body over the limit."""
    if len(body) > LONGEST:
        raise TooLarge(f"The body is over {LONGEST} bytes. {_SPLIT}")


def check_values(body: bytes) -> None:
    """Raise TooManyItems for a body with more objects and lists than any report of its length has.

    Brackets in texts are counted, too: a report has a tenth of the limit at most.
    """
    if body.count(b"{") + body.count(b"[") > MOST_VALUES:
        raise TooManyItems(f"The report has over {MOST_VALUES} objects and lists. {_SPLIT}")


class Parsers:
    """Threads that parse reports: a fixed number, whatever becomes of the requests."""

    def __init__(self) -> None:
        # Of the whole process: a parser gives way sooner to a revocation on the event loop.
        sys.setswitchinterval(_SWITCH_AFTER)
        self._long = _Queue(PARSERS)
        self._short = _Queue(SHORT_PARSERS)

    async def run[T](self, body: bytes, parse: Callable[[], T]) -> T:
        """Return what `parse` returns for `body`. Raises TransientFailure where too many reports wait."""
        queue = self._short if len(body) <= SHORT else self._long
        return await queue.run(parse)


class _Queue:
    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="parser")
        self._waiting = 0

    async def run[T](self, parse: Callable[[], T]) -> T:
        if self._waiting >= MOST_WAITING:
            raise TransientFailure(
                "The intake is parsing as many reports as it can, and nothing of this one was read. Send it again "
                "later.",
                retry_after=_RETRY_AFTER,
                sent=False,
            )
        self._waiting += 1
        parsed = self._threads.submit(parse)
        loop = asyncio.get_running_loop()
        # When the thread is done with it, not when the request is: a request that is gone holds its parser still.
        parsed.add_done_callback(lambda _: loop.call_soon_threadsafe(self._leave))
        return await asyncio.wrap_future(parsed)

    def _leave(self) -> None:
        self._waiting -= 1
