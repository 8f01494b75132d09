"""How many reports are parsed at the same time, and how many wait."""

import asyncio
import threading

import pytest

from shared.api.intake.limits import MOST_WAITING, PARSERS, SHORT, SHORT_PARSERS, Parsers
from shared.errors import TransientFailure

LONG = b"x" * (SHORT + 1)


class Work:
    """Parsing that takes until `go` is set, and counts how much of it is under way."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun = threading.Semaphore(0)
        self.most = self._now = 0
        self._lock = threading.Lock()

    def __call__(self) -> str:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        self.begun.release()
        self.go.wait()
        with self._lock:
            self._now -= 1
        return "parsed"


async def begun(work: Work, number: int) -> None:
    for _ in range(number):
        await asyncio.to_thread(work.begun.acquire)


@pytest.mark.parametrize(("body", "parsers"), [(LONG, PARSERS), (b"short", SHORT_PARSERS)])
async def test_only_a_few_reports_are_parsed_at_the_same_time(body: bytes, parsers: int) -> None:
    pool, work = Parsers(), Work()
    running = [asyncio.create_task(pool.run(body, work)) for _ in range(MOST_WAITING)]
    await begun(work, parsers)
    work.go.set()

    assert await asyncio.gather(*running) == ["parsed"] * MOST_WAITING
    assert work.most == parsers


async def test_report_beyond_those_that_may_wait_is_to_be_sent_again() -> None:
    pool, work = Parsers(), Work()
    running = [asyncio.create_task(pool.run(LONG, work)) for _ in range(MOST_WAITING)]
    await begun(work, PARSERS)
    with pytest.raises(TransientFailure) as refused:
        await pool.run(LONG, work)
    work.go.set()
    await asyncio.gather(*running)

    assert (refused.value.retry_after, refused.value.sent) == (10.0, False)
    assert await pool.run(LONG, work) == "parsed"


async def test_webhook_that_names_an_alert_does_not_wait_for_long_reports() -> None:
    pool, work = Parsers(), Work()
    running = [asyncio.create_task(pool.run(LONG, work)) for _ in range(MOST_WAITING)]
    await begun(work, PARSERS)

    assert await pool.run(b"short", lambda: "read") == "read"
    work.go.set()
    await asyncio.gather(*running)


async def test_request_that_is_gone_frees_no_parser_before_its_report_is_parsed() -> None:
    pool, work = Parsers(), Work()
    running = [asyncio.create_task(pool.run(LONG, work)) for _ in range(MOST_WAITING)]
    await begun(work, PARSERS)
    running[0].cancel()
    await asyncio.gather(running[0], return_exceptions=True)
    with pytest.raises(TransientFailure):
        await pool.run(LONG, work)
    work.go.set()
    await asyncio.gather(*running[1:])

    assert work.most == PARSERS


async def test_failure_of_the_parser_is_the_requests() -> None:
    def fail() -> str:
        raise ValueError("no JSON")

    pool = Parsers()
    with pytest.raises(ValueError, match="no JSON"):
        await pool.run(LONG, fail)
    assert await pool.run(LONG, lambda: "parsed") == "parsed"
