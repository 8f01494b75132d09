"""The timer listener with a simulated clock: schedules, missed runs, startup, lock, status."""

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
    """A clock that pauses advance, a lock and a status in memory, and the recorded runs."""

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


async def test_timer_runs_on_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await World().run(monkeypatch) == ["10:05", "10:10", "10:15"]


async def test_timer_may_run_on_startup(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await World().run(monkeypatch, run_on_startup=True) == ["10:02", "10:05", "10:10", "10:15"]


async def test_missed_run_is_caught_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    yesterday = START - timedelta(days=1)
    world = World(status=Status(last=None, next=yesterday, updated=yesterday))
    assert (await world.run(monkeypatch))[:2] == ["10:02", "10:05"]
    assert [run["IsPastDue"] for _, run in world.runs[:2]] == [True, False]


async def test_no_run_is_caught_up_if_none_was_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    recent = START - timedelta(minutes=1)
    world = World(status=Status(last=recent, next=START + timedelta(minutes=3), updated=recent))
    assert (await world.run(monkeypatch))[0] == "10:05"


async def test_timer_function_gets_its_last_run(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    await world.run(monkeypatch)
    seen = [run["ScheduleStatus"]["Last"] for _, run in world.runs]
    assert seen[0] is None
    assert seen[1] == world.runs[0][0].isoformat()


async def test_status_has_the_next_run(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    await world.run(monkeypatch)
    assert world.status is not None
    assert world.status.next == datetime(2026, 11, 21, 10, 20, tzinfo=UTC)


async def test_host_without_the_lock_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.locked_until = START + timedelta(minutes=5)
    assert await world.run(monkeypatch) == ["10:10", "10:15"]


async def test_host_that_lost_the_lock_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.lost_at = START + timedelta(minutes=4)
    assert "10:10" not in await world.run(monkeypatch, run_on_startup=True)


async def test_host_that_acquires_the_lock_catches_up_a_missed_run(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.lost_at = START + timedelta(minutes=1)
    assert await world.run(monkeypatch) == ["10:09", "10:10", "10:15"]
    assert [run["IsPastDue"] for _, run in world.runs] == [True, False, False]


async def test_acquiring_the_lock_again_is_not_a_startup(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.lost_at, world.lost_for = START + timedelta(minutes=4), timedelta(minutes=2)
    assert await world.run(monkeypatch, run_on_startup=True) == ["10:02", "10:05", "10:10", "10:15"]


async def test_stopped_host_releases_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    await world.run(monkeypatch)
    assert world.released


def test_dense_schedule_is_not_monitored() -> None:
    assert not is_monitored(ncrontab.parse("*/30 * * * * *"))
    assert is_monitored(ncrontab.parse("0 * * * * *"))
