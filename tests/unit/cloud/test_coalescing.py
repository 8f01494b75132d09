"""Few calls for many callers: what is asked for at the same time, and what was answered or read lately."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest

from shared.cloud.coalescing import Batched, Remembered, Snapshot
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


class Oracle:
    """Answers a question with its length, when `go` is set; fails with `fails`. Short answers serve a minute."""

    def __init__(self, *, most: int = 100) -> None:
        self.clock = Clock()
        self.asked: list[str] = []
        self.go = asyncio.Event()
        self.go.set()
        self.fails: Exception | None = None
        self.remembered = Remembered(
            self.answer, most=most, fresh_for=lambda answer: MINUTE if answer < 5 else 10 * MINUTE, clock=self.clock
        )

    async def answer(self, question: str) -> int:
        self.asked.append(question)
        await self.go.wait()
        if self.fails is not None:
            raise self.fails
        return len(question)


async def test_question_of_many_callers_is_one_call() -> None:
    oracle = Oracle()
    oracle.go.clear()
    callers = [asyncio.create_task(oracle.remembered.get("why")) for _ in range(3)]
    await asyncio.sleep(0)
    oracle.go.set()

    assert [*await asyncio.gather(*callers), await oracle.remembered.get("why")] == [3, 3, 3, 3]
    assert oracle.asked == ["why"]


async def test_answer_serves_as_long_as_it_is_worth() -> None:
    oracle = Oracle()
    questions = ("why", "wherefore")
    for after in (timedelta(0), MINUTE, 9 * MINUTE):
        oracle.clock.now += after
        await asyncio.gather(*map(oracle.remembered.get, questions))

    assert oracle.asked == ["why", "wherefore", "why", "why", "wherefore"]


async def test_many_questions_take_no_more_memory_than_the_latest() -> None:
    oracle = Oracle(most=2)
    for question in ("a", "b", "c", "c", "a"):
        await oracle.remembered.get(question)

    assert oracle.asked == ["a", "b", "c", "a"]


async def test_failure_to_ask_is_of_all_who_wait_and_not_remembered() -> None:
    oracle = Oracle()
    oracle.fails = Blocked("No right.")
    failed = await asyncio.gather(*(oracle.remembered.get("why") for _ in range(2)), return_exceptions=True)
    oracle.fails = None

    assert (failed[0] is failed[1], isinstance(failed[0], Blocked)) == (True, True)
    assert (await oracle.remembered.get("why"), oracle.asked) == (3, ["why", "why"])


async def test_asker_that_gives_up_takes_nothing_from_the_others() -> None:
    oracle = Oracle()
    oracle.go.clear()
    first, second = (asyncio.create_task(oracle.remembered.get("why")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    oracle.go.set()

    assert (await second, oracle.asked) == (3, ["why"])


async def test_asker_that_gives_up_alone_leaves_its_answer_to_the_next() -> None:
    oracle = Oracle()
    oracle.go.clear()
    asker = asyncio.create_task(oracle.remembered.get("why"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asker.cancel()
    await asyncio.gather(asker, return_exceptions=True)
    oracle.go.set()

    assert (await oracle.remembered.get("why"), oracle.asked) == (3, ["why"])
