"""GET /api/health: whether the app is up and reaches its own storage. Anyone may call it."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal, Protocol

import azure.functions as func
import msgspec

from shared.api.responses import as_json
from shared.errors import SasquashError

_log = logging.getLogger(__name__)

_TIMEOUT = 5.0  # seconds
_KNOWN_FOR = timedelta(seconds=1)


type Unreachable = Literal["ledger unreachable", "queue unreachable"]


class Health(msgspec.Struct, frozen=True):
    """Whether the app works. A separate intake uses its queue, and the responder the table of records."""

    status: Literal["ok", "ledger unreachable", "queue unreachable"]


class OwnStorage(Protocol):
    """What the app can't work without."""

    async def ping(self) -> None:
        """Raise SasquashError when it can't be reached."""


class HealthCheck:
    """Asks the storage once a second at most: anyone may call, and as often as they like."""

    def __init__(self, storage: OwnStorage, *, unreachable: Unreachable, clock: Callable[[], datetime]) -> None:
        """`unreachable` is the status where `storage` can't be reached."""
        self._storage = storage
        self._unreachable: Unreachable = unreachable
        self._clock = clock
        self._asking = asyncio.Lock()
        self._known: tuple[bool, datetime] | None = None  # whether it is reached, and when that was found

    async def answer(self) -> func.HttpResponse:
        """Return 200, or 503 with what can't be reached."""
        async with self._asking:
            if self._known is None or abs(self._clock() - self._known[1]) >= _KNOWN_FOR:
                self._known = await self._is_reached(), self._clock()
            reached, _ = self._known
        return as_json(Health("ok")) if reached else as_json(Health(self._unreachable), status=503)

    async def _is_reached(self) -> bool:
        try:
            async with asyncio.timeout(_TIMEOUT):
                await self._storage.ping()
        except (SasquashError, TimeoutError) as error:
            _log.warning("Health: %s: %s", self._unreachable, error)
            return False
        return True
