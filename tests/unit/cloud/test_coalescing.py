"""Few calls for many callers: what is asked for at the same time, and what was read lately."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest

from shared.cloud.coalescing import Batched, Snapshot
from shared.errors import Blocked
from tests.support.intake import Clock

MINUTE = timedelta(minutes=1)


class Service:
    """Knows the lengths of words. It answers when `go` is set, and fails with `fails`."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.go = asyncio.Event()
        self.fails: Exception | None = None

    async def lengths(self, words: Sequence[str]) -> Mapping[str, int]:
        self.calls.append(list(words))
        await self.go.wait()
        if self.fails is not None:
            raise self.fails
        return {word: len(word) for word in words if word != "unknown"}


async def test_what_is_asked_for_at_the_same_time_is_one_call() -> None:
    service = Service()
    service.go.set()
    batched = Batched(service.lengths, most=100)

    assert await asyncio.gather(*(batched.get(word) for word in ("a", "bb", "unknown", "a"))) == [1, 2, None, 1]
    assert service.calls == [["a", "bb", "unknown"]]


async def test_what_is_asked_for_during_a_call_is_the_next_one() -> None:
    service = Service()
    batched = Batched(service.lengths, most=100)
    first = asyncio.create_task(batched.get("a"))
    await asyncio.sleep(0)
    others = [asyncio.create_task(batched.get(word)) for word in ("bb", "ccc")]
    await asyncio.sleep(0)
    service.go.set()

    assert await asyncio.gather(first, *others) == [1, 2, 3]
    assert service.calls == [["a"], ["bb", "ccc"]]


async def test_call_has_no_more_keys_than_it_may() -> None:
    service = Service()
    service.go.set()
    batched = Batched(service.lengths, most=2)
    await asyncio.gather(*(batched.get(str(number)) for number in range(5)))

    assert [len(call) for call in service.calls] == [2, 2, 1]


async def test_calls_begin_some_time_apart_and_the_first_one_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    pause = asyncio.sleep

    async def noted(seconds: float) -> None:
        pauses.append(seconds)
        await pause(0)

    monkeypatch.setattr("shared.cloud.coalescing.asyncio.sleep", noted)
    service = Service()
    service.go.set()
    batched = Batched(service.lengths, most=100, every=60)
    await batched.get("a")
    assert pauses == []
    await asyncio.gather(batched.get("bb"), batched.get("ccc"))

    assert service.calls == [["a"], ["bb", "ccc"]]
    assert [59 < seconds <= 60 for seconds in pauses] == [True]


async def test_failure_is_of_all_who_wait_and_of_nobody_after_them() -> None:
    service = Service()
    service.go.set()
    service.fails = Blocked("No right.")
    batched = Batched(service.lengths, most=100)
    failed = await asyncio.gather(*(batched.get(word) for word in ("a", "bb")), return_exceptions=True)
    service.fails = None

    assert failed == [service.fails or failed[0]] * 2
    assert isinstance(failed[0], Blocked)
    assert await batched.get("a") == 1


async def test_caller_that_gives_up_takes_nothing_from_the_others() -> None:
    service = Service()
    batched = Batched(service.lengths, most=100)
    first, second = (asyncio.create_task(batched.get("a")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    service.go.set()

    assert await second == 1


class Shelf:
    """What a snapshot is read from."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.reads = 0
        self.fails: Exception | None = None
        self.snapshot = Snapshot(self.read, fresh_for=MINUTE, clock=self.clock)

    async def read(self) -> int:
        self.reads += 1
        await asyncio.sleep(0)
        if self.fails is not None:
            raise self.fails
        return self.reads


async def test_snapshot_is_read_once_for_all_callers_of_a_minute() -> None:
    shelf = Shelf()
    first = await asyncio.gather(*(shelf.snapshot.get() for _ in range(3)))
    shelf.clock.now += timedelta(seconds=59)

    assert [*first, await shelf.snapshot.get(), shelf.snapshot.fresh] == [1, 1, 1, 1, 1]


async def test_snapshot_is_read_again_after_its_time_or_when_it_is_outdated() -> None:
    shelf = Shelf()
    await shelf.snapshot.get()
    shelf.clock.now += MINUTE
    assert (shelf.snapshot.fresh, await shelf.snapshot.get()) == (None, 2)
    shelf.snapshot.forget()
    assert (shelf.snapshot.fresh, await shelf.snapshot.get()) == (None, 3)


async def test_failure_to_read_is_of_all_who_wait_and_not_remembered() -> None:
    shelf = Shelf()
    shelf.fails = Blocked("No right.")
    failed = await asyncio.gather(*(shelf.snapshot.get() for _ in range(2)), return_exceptions=True)
    shelf.fails = None

    assert (failed[0] is failed[1], isinstance(failed[0], Blocked), shelf.reads) == (True, True, 1)
    assert await shelf.snapshot.get() == 2


async def test_reader_that_gives_up_takes_nothing_from_the_others() -> None:
    shelf = Shelf()
    first, second = (asyncio.create_task(shelf.snapshot.get()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()

    assert await second == 1
    with pytest.raises(asyncio.CancelledError):
        await first
