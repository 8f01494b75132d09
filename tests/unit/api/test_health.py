import asyncio
import json

import azure.functions as func
import pytest

from shared.api import health
from shared.errors import Blocked, TransientFailure
from shared.persistence.revocations import Ledger


class Reached(Ledger):
    """A ledger whose table responds, fails or hangs."""

    def __init__(self, outcome: Exception | asyncio.Event | None = None) -> None:
        self._outcome = outcome

    async def ping(self) -> None:
        if isinstance(self._outcome, asyncio.Event):
            await self._outcome.wait()
        elif self._outcome is not None:
            raise self._outcome


async def answer(ledger: Ledger) -> func.HttpResponse:
    return await health.answer(ledger, unreachable="ledger unreachable")


def said(response: func.HttpResponse) -> tuple[int, object]:
    return response.status_code, json.loads(response.get_body())


async def test_reachable_ledger_is_ok() -> None:
    assert said(await answer(Reached())) == (200, {"status": "ok"})


@pytest.mark.parametrize("error", [TransientFailure("table sasquashstate"), Blocked("no right on sasquashstate")])
async def test_unreachable_ledger_is_503_without_details(error: Exception) -> None:
    assert said(await answer(Reached(error))) == (503, {"status": "ledger unreachable"})


async def test_unresponsive_ledger_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_TIMEOUT", 0.01)

    assert said(await answer(Reached(asyncio.Event()))) == (503, {"status": "ledger unreachable"})


async def test_unexpected_error_is_raised() -> None:
    with pytest.raises(KeyError):
        await answer(Reached(KeyError("bug")))


async def test_response_is_json() -> None:
    assert (await answer(Reached())).mimetype == "application/json"
