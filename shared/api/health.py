"""GET /api/health: whether the app is up and reaches its own storage. Anyone may call it."""

import asyncio
import logging
from typing import Literal, Protocol

import azure.functions as func
import msgspec

from shared.api.responses import as_json
from shared.errors import SasquashError

_log = logging.getLogger(__name__)

_TIMEOUT = 5.0  # seconds


type Unreachable = Literal["ledger unreachable", "queue unreachable"]


class Health(msgspec.Struct, frozen=True):
    """Whether the app works. A separate intake uses its queue, and the responder the table of records."""

    status: Literal["ok", "ledger unreachable", "queue unreachable"]


class OwnStorage(Protocol):
    """What the app can't work without."""

    async def ping(self) -> None:
        """Raise SasquashError when it can't be reached."""


async def answer(storage: OwnStorage, *, unreachable: Unreachable) -> func.HttpResponse:
    """Return 200, or 503 with the status `unreachable` where `storage` can't be reached."""
    try:
        async with asyncio.timeout(_TIMEOUT):
            await storage.ping()
    except (SasquashError, TimeoutError) as error:
        _log.warning("Health: %s: %s", unreachable, error)
        return as_json(Health(unreachable), status=503)
    return as_json(Health("ok"))
