"""GET /api/health: whether the app is up and reaches its own storage. Anyone may call it."""

import asyncio
import logging
from typing import Literal

import azure.functions as func
import msgspec

from shared.api.responses import as_json
from shared.errors import SasquashError
from shared.persistence.revocations import Ledger

_log = logging.getLogger(__name__)

_TIMEOUT = 5.0  # seconds


class Health(msgspec.Struct, frozen=True):
    """Whether the app works."""

    status: Literal["ok", "ledger unreachable"]


async def answer(ledger: Ledger) -> func.HttpResponse:
    """Return 200, or 503 where the table of records is unreachable."""
    try:
        async with asyncio.timeout(_TIMEOUT):
            await ledger.ping()
    except (SasquashError, TimeoutError) as error:
        _log.warning("The ledger is unreachable: %s", error)
        return as_json(Health("ledger unreachable"), status=503)
    return as_json(Health("ok"))
