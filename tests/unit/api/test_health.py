"""GET /api/health: what it says, and how often it asks the storage."""

import asyncio
import json
from collections.abc import Callable
from datetime import datetime, timedelta

import azure.functions as func
import pytest

from shared.api import health
from shared.api.health import HealthCheck
from shared.errors import Blocked, TransientFailure
from tests.support.samples import NOW


class Storage:
    """It responds, fails or hangs, and counts how often it was asked."""

    def __init__(self, outcome: Exception | asyncio.Event | None = None) -> None:
        self.outcome = outcome
        self.asked = 0

    async def ping(self) -> None:
        self.asked += 1
        if isinstance(self.outcome, asyncio.Event):
            await self.outcome.wait()
        elif self.outcome is not None:
            raise self.outcome


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def check_of(storage: Storage, clock: Callable[[], datetime] = lambda: NOW) -> HealthCheck:
    return HealthCheck(storage, unreachable="ledger unreachable", clock=clock)


def said(response: func.HttpResponse) -> tuple[int, object]:
    return response.status_code, json.loads(response.get_body())


async def test_reachable_storage_is_ok() -> None:
    assert said(await check_of(Storage()).answer()) == (200, {"status": "ok"})


@pytest.mark.parametrize("error", [TransientFailure("table sasquashstate"), Blocked("no right on sasquashstate")])
async def test_unreachable_storage_is_503_without_details(error: Exception) -> None:
    assert said(await check_of(Storage(error)).answer()) == (503, {"status": "ledger unreachable"})


async def test_unresponsive_storage_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_TIMEOUT", 0.01)

    assert said(await check_of(Storage(asyncio.Event())).answer()) == (503, {"status": "ledger unreachable"})


async def test_unexpected_error_is_raised() -> None:
    with pytest.raises(KeyError):
        await check_of(Storage(KeyError("bug"))).answer()


async def test_response_is_json() -> None:
    assert (await check_of(Storage()).answer()).mimetype == "application/json"


async def test_storage_is_asked_once_for_all_calls_of_a_second() -> None:
    storage = Storage()
    check = check_of(storage)

    await asyncio.gather(*(check.answer() for _ in range(100)))

    assert storage.asked == 1


@pytest.mark.parametrize("passed", [timedelta(seconds=1), timedelta(seconds=-1)], ids=["later", "clock set back"])
async def test_storage_is_asked_again_after_a_second(passed: timedelta) -> None:
    storage, clock = Storage(), Clock()
    check = check_of(storage, clock)
    await check.answer()
    storage.outcome = TransientFailure("table sasquashstate")
    clock.now += passed

    assert said(await check.answer()) == (503, {"status": "ledger unreachable"})


async def test_unexpected_error_is_not_remembered() -> None:
    storage = Storage(KeyError("bug"))
    check = check_of(storage)
    with pytest.raises(KeyError):
        await check.answer()
    storage.outcome = None

    assert said(await check.answer()) == (200, {"status": "ok"})
