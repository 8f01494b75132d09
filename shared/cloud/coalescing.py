"""Answers many callers by few remote calls: questions at the same time are one call, and an answer serves a while.

What is asked about may be made up by a stranger, thousands of names at once. Each caller may be cancelled on its own:
the call that it shares goes on for the others.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from cachetools import TLRUCache


class Batched[K: Hashable, V]:
    """Asks about all keys that are wanted by now in one call, while no other is under way.

    Two calls begin at least `every` seconds apart. `ask` returns the values of the keys that have one. What it raises
    is raised to all who wait for that call.
    """

    def __init__(
        self, ask: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]], *, most: int, every: float = 0.0
    ) -> None:
        self._ask = ask
        self._most = most
        self._every = every
        self._next_at = 0.0  # on the clock of the event loop
        self._wanted: dict[K, asyncio.Future[V | None]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def get(self, key: K) -> V | None:
        """Return the value of a key, None where it has none."""
        if key not in self._wanted:
            self._wanted[key] = asyncio.get_running_loop().create_future()
        answer = self._wanted[key]
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_all())
        return await asyncio.shield(answer)

    async def _ask_all(self) -> None:
        batch: dict[K, asyncio.Future[V | None]] = {}
        try:
            while self._wanted:
                await self._pause()
                batch = {key: self._wanted.pop(key) for key in list(self._wanted)[: self._most]}
                await self._ask_about(batch)
        except asyncio.CancelledError:  # the loop ends
            for answer in (*batch.values(), *self._wanted.values()):
                answer.cancel()
            self._wanted.clear()
            raise

    async def _pause(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._next_at:
            await asyncio.sleep(self._next_at - now)
        self._next_at = max(now, self._next_at) + self._every

    async def _ask_about(self, batch: Mapping[K, asyncio.Future[V | None]]) -> None:
        try:
            found = await self._ask(list(batch))
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 -- it is of those who wait
            for answer in batch.values():
                answer.set_exception(error)
                _noted(answer)
        else:
            for key, answer in batch.items():
                answer.set_result(found.get(key))


class Snapshot[V]:
    """A value that is read as a whole, by one call at a time, and serves all callers for a while."""

    def __init__(
        self, read: Callable[[], Awaitable[V]], *, fresh_for: timedelta, clock: Callable[[], datetime]
    ) -> None:
        self._read = read
        self._fresh_for = fresh_for
        self._clock = clock
        self._reading: asyncio.Future[V] | None = None
        self._value: tuple[V, datetime] | None = None

    @property
    def fresh(self) -> V | None:
        """The value, if it was read lately."""
        if self._value is None or self._value[1] + self._fresh_for <= self._clock():
            self._value = None  # it may be large
            return None
        return self._value[0]

    async def get(self) -> V:
        """Return the value, read now or lately. Raises what reading it raises."""
        value = self.fresh
        if value is not None:
            return value
        if self._reading is None or self._reading.done():
            self._reading = asyncio.ensure_future(self._taken())
            self._reading.add_done_callback(_noted)
        return await asyncio.shield(self._reading)

    async def _taken(self) -> V:
        begun = self._clock()
        value = await self._read()
        self._value = (value, begun)  # what came after it began may be missing in it
        return value

    def forget(self) -> None:
        """Read it again the next time: something in it is known to be outdated."""
        self._value = None


class Remembered[K: Hashable, V]:
    """Asks about a key by one call at a time, and gives its answer to all callers for a while.

    `fresh_for` says how long an answer serves. Of more than `most` keys, the least recently used is forgotten. What
    `ask` raises is raised to all who wait for that call, and is not remembered.
    """

    def __init__(
        self,
        ask: Callable[[K], Awaitable[V]],
        *,
        most: int,
        fresh_for: Callable[[V], timedelta],
        clock: Callable[[], datetime],
    ) -> None:
        self._ask = ask
        self._answers = TLRUCache[K, V](
            most,
            ttu=lambda _key, answer, now: now + fresh_for(answer).total_seconds(),
            timer=lambda: clock().timestamp(),
        )
        self._asking: dict[K, asyncio.Future[V]] = {}

    async def get(self, key: K) -> V:
        """Return the answer about a key, asked now or lately. Raises what asking raises."""
        try:
            return self._answers[key]
        except KeyError:
            asking = self._asking.get(key)
        if asking is None or asking.done():
            asking = asyncio.ensure_future(self._asked(key))
            self._asking[key] = asking
            asking.add_done_callback(lambda done: self._end(key, done))
        return await asyncio.shield(asking)

    def knows(self, key: K) -> bool:
        """Whether `get` has an answer about a key, or waits for one: it makes no call."""
        asking = self._asking.get(key)
        return key in self._answers or (asking is not None and not asking.done())

    async def _asked(self, key: K) -> V:
        answer = await self._ask(key)
        self._answers[key] = answer
        return answer

    def _end(self, key: K, done: asyncio.Future[V]) -> None:
        _noted(done)
        if self._asking.get(key) is done:  # else somebody has asked again
            del self._asking[key]


def _noted(answer: asyncio.Future[Any]) -> None:
    """Mark a failure as seen: all who waited for it may be cancelled by now."""
    if not answer.cancelled():
        answer.exception()
