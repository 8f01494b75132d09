"""A process gets ready in the background, and nothing that goes wrong there is in anybody's way."""

import asyncio
import importlib
import logging
import sys

import pytest

from shared.errors import TransientFailure
from shared.operations import warmup
from shared.operations.warmup import WarmUp


class Services:
    """A ledger and accounts that note what they are asked."""

    def __init__(self, *, failing: bool = False) -> None:
        self.pings = 0
        self.inventories = 0
        self.failing = failing
        self.twice = asyncio.Event()

    async def ping(self) -> None:
        self.pings += 1
        if self.failing:
            raise TransientFailure("Reading record 000000000000 failed: no answer (TimeoutError).")

    async def take_inventory(self) -> None:
        self.inventories += 1
        if self.inventories == 2:
            self.twice.set()


async def warmed_up(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Warm up, with hours that are over at once, until an inventory was taken twice; nothing ends it before."""
    monkeypatch.setattr(warmup, "_INVENTORY_EVERY", warmup._INVENTORY_EVERY * 0)
    task = warmup.begin(WarmUp(ledger=services, accounts=services).run)  # type: ignore[arg-type]
    assert task is not None
    async with asyncio.timeout(30):
        await services.twice.wait()
    assert not task.done()
    task.cancel()


async def test_ledger_is_reached_and_an_inventory_taken_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    services = Services()
    await warmed_up(services, monkeypatch)
    assert services.pings == 1


async def test_unreachable_service_is_logged_and_tried_on_demand(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    services = Services(failing=True)
    with caplog.at_level(logging.WARNING, logger="shared.operations.warmup"):
        await warmed_up(services, monkeypatch)
    assert "Warm-up incomplete; the next request is slower: Reading record" in caplog.text


async def test_inventory_with_an_unexpected_error_is_logged_and_retried(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Surprising(Services):
        async def take_inventory(self) -> None:
            await super().take_inventory()
            raise KeyError("data")

    services = Surprising()
    with caplog.at_level(logging.ERROR, logger="shared.operations.warmup"):
        await warmed_up(services, monkeypatch)
    assert "KeyError: 'data'" in caplog.text


async def test_what_takes_too_long_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Hanging(Services):
        async def ping(self) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr(warmup, "_PATIENCE", 0.05)
    services = Hanging()
    with caplog.at_level(logging.WARNING, logger="shared.operations.warmup"):
        await warmed_up(services, monkeypatch)
    assert "it took too long" in caplog.text


async def test_modules_of_the_first_call_are_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    imported: list[str] = []
    monkeypatch.setattr(importlib, "import_module", imported.append)
    services = Services()
    await warmed_up(services, monkeypatch)
    assert imported == ["azure.identity.aio"]


def test_nothing_begins_where_no_loop_runs() -> None:
    async def never() -> None:
        sys.exit("it began")

    assert warmup.begin(never) is None
