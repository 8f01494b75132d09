"""What a new process prepares in the background, before its first revocation: imports, tokens, the inventory.

The only thing that importing the app starts. The Functions worker imports it on the event loop that will call the
functions, so what is connected there serves them. Nothing waits for it; where it fails, the first revocation does it.
"""

import asyncio
import importlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta

from shared.cloud.accounts import Accounts
from shared.errors import SasquashError
from shared.persistence.revocations import Ledger

_log = logging.getLogger(__name__)

# What the first remote call would import otherwise. On a thread: leaks may be reported meanwhile.
_CREDENTIAL = "azure.identity.aio"
_PATIENCE = 30.0  # seconds
_INVENTORY_EVERY = timedelta(hours=6)  # where nothing is revoked, and it is valid for a day


class WarmUp:
    """Warms one process up, and keeps its inventory of accounts fresh."""

    def __init__(self, *, ledger: Ledger, accounts: Accounts) -> None:
        self._ledger = ledger
        self._accounts = accounts

    async def run(self) -> None:
        """Get ready; then take an inventory every few hours, for as long as the process lives."""
        await self._logged(self._get_ready)
        while True:
            await asyncio.sleep(_INVENTORY_EVERY.total_seconds())
            await self._logged(self._accounts.take_inventory)

    async def _get_ready(self) -> None:
        async with asyncio.timeout(_PATIENCE):
            await asyncio.to_thread(importlib.import_module, _CREDENTIAL)
            await asyncio.gather(self._ledger.ping(), self._accounts.take_inventory())

    @staticmethod
    async def _logged(step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except (SasquashError, TimeoutError) as error:
            _log.warning("Warm-up incomplete; the next request is slower: %s", str(error) or "it took too long.")
        except Exception:  # noqa: BLE001 -- nothing awaits this task, so nothing else would log it
            _log.exception("Warm-up incomplete; the next request is slower.")


def begin(run: Callable[[], Coroutine[None, None, None]]) -> asyncio.Task[None] | None:
    """Begin on the loop that will call the functions; None where none will: a test or a tool imports the app.

    The caller keeps the task, or it may be collected before it has ended (asyncio: "Coroutines and tasks").
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    return loop.create_task(run())
