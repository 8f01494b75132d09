"""An event loop whose clock jumps: it never waits, it moves its own time on to the next thing that is due.

Nothing in it has a socket or a thread. What the product would do on a thread is done at once.
"""

import asyncio
import selectors
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


class Standstill(RuntimeError):
    """Nothing is due any more, and what is awaited never comes."""


class _JumpingSelector(selectors.BaseSelector):
    """Instead of waiting for a socket, moves the time on."""

    def __init__(self) -> None:
        self.time = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Standstill("everything waits for something that never comes")
        self.time += max(timeout, 0.0)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        raise NotImplementedError("there are no sockets here")

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        raise NotImplementedError("there are no sockets here")

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {}


class JumpingLoop(asyncio.BaseEventLoop):
    """See the module. `utc_now` is the time of day that goes with its clock."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _JumpingSelector()
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._selector.time

    def utc_now(self) -> datetime:
        return EPOCH + timedelta(seconds=self._selector.time)

    def run_in_executor[*Ts, T](
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is the caller's
            done.set_exception(error)
        return done

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody calls from another thread."""
