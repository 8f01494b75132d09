"""The timer listener with a clock of its own: schedules, past due, start-up, the lock, the status."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from azure_functions_runtime.bindings.datumdef import Datum

from local.host import ncrontab, timers
from local.host.app_loader import Function, TimerTrigger
from local.host.invocation import Invoker, Outcome
from local.host.timers import Status, TimerListener, is_monitored
from tests.support.patience import PATIENCE

FUNCTION = Function("f", "1", "timer", TimerTrigger("", run_on_startup=False, use_monitor=True))
START = datetime(2026, 11, 21, 10, 2, tzinfo=UTC)
EVERY_FIVE = ncrontab.parse("0 */5 * * * *")


class World:
    """A clock that pauses move on, a lock and a status in memory, and the runs that took place."""

    def __init__(self, *, status: Status | None = None, hours: float = 0.25) -> None:
        self.now = START
        self.end = START + timedelta(hours=hours)
        self.status = status
        self.runs: list[tuple[datetime, dict[str, Any]]] = []
        self.locked_until = START
        self.lost_at: datetime | None = None
        self.lost_for = timedelta(minutes=6)
        self.released = False

    async def pause(self, stopping: asyncio.Event, seconds: float) -> bool:
        self.now += timedelta(seconds=seconds)
        if self.now >= self.end:
            stopping.set()
        return stopping.is_set()

    async def acquire(self) -> bool:
        if self.lost_at is not None and self.lost_at <= self.now < self.lost_at + self.lost_for:
            return False
        return self.now >= self.locked_until

    async def release(self) -> None:
        self.released = True

    async def read(self) -> Status | None:
        return self.status

    async def write(self, status: Status) -> None:
        self.status = status

    async def invoke(
        self, function: Function, payload: Datum, metadata: Mapping[str, Datum] | None = None
    ) -> Outcome:
        self.runs.append((self.now, json.loads(payload.value)))
        return Outcome(succeeded=True)

    async def run(self, monkeypatch: pytest.MonkeyPatch, *, run_on_startup: bool = False) -> list[str]:
        """Let the timer run to the end; return when it ran, as hours and minutes."""
        monkeypatch.setattr(timers, "pause", self.pause)
        listener = TimerListener(
            FUNCTION,
            schedule=EVERY_FIVE,
            run_on_startup=run_on_startup,
            lock=self,
            monitor=self,
            invoker=cast(Invoker, self),
            now=lambda: self.now,
        )
        async with asyncio.timeout(PATIENCE):
            await listener.run(asyncio.Event())
        return [f"{at:%H:%M}" for at, _ in self.runs]


async def test_a_timer_runs_when_its_schedule_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await World().run(monkeypatch) == ["10:05", "10:10", "10:15"]


async def test_a_timer_may_run_on_startup(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await World().run(monkeypatch, run_on_startup=True) == ["10:02", "10:05", "10:10", "10:15"]


async def test_a_missed_run_is_made_up_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    yesterday = START - timedelta(days=1)
    world = World(status=Status(last=None, next=yesterday, updated=yesterday))
    assert (await world.run(monkeypatch))[:2] == ["10:02", "10:05"]
    assert [run["IsPastDue"] for _, run in world.runs[:2]] == [True, False]


async def test_nothing_is_made_up_for_where_nothing_was_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    recent = START - timedelta(minutes=1)
    world = World(status=Status(last=recent, next=START + timedelta(minutes=3), updated=recent))
    assert (await world.run(monkeypatch))[0] == "10:05"


async def test_a_function_sees_when_it_ran_last(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    await world.run(monkeypatch)
    seen = [run["ScheduleStatus"]["Last"] for _, run in world.runs]
    assert seen[0] is None
    assert seen[1] == world.runs[0][0].isoformat()


async def test_the_status_says_when_the_timer_runs_next(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    await world.run(monkeypatch)
    assert world.status is not None
    assert world.status.next == datetime(2026, 11, 21, 10, 20, tzinfo=UTC)


async def test_a_host_without_the_lock_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.locked_until = START + timedelta(minutes=5)
    assert await world.run(monkeypatch) == ["10:10", "10:15"]


async def test_a_host_that_lost_the_lock_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.lost_at = START + timedelta(minutes=4)
    assert "10:10" not in await world.run(monkeypatch, run_on_startup=True)


async def test_next_lock_holder_completes_what_was_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.lost_at = START + timedelta(minutes=1)
    assert await world.run(monkeypatch) == ["10:09", "10:10", "10:15"]
    assert [run["IsPastDue"] for _, run in world.runs] == [True, False, False]


async def test_finding_the_lock_again_is_no_startup(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.lost_at, world.lost_for = START + timedelta(minutes=4), timedelta(minutes=2)
    assert await world.run(monkeypatch, run_on_startup=True) == ["10:02", "10:05", "10:10", "10:15"]


async def test_a_stopped_host_lets_go_of_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    await world.run(monkeypatch)
    assert world.released


def test_a_dense_schedule_is_not_monitored() -> None:
    assert not is_monitored(ncrontab.parse("*/30 * * * * *"))
    assert is_monitored(ncrontab.parse("0 * * * * *"))
