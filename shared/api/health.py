"""GET /api/health: is the app up, and can it reach its ledger? Tells nothing that an outsider may not know."""

import asyncio
import json
import logging

import azure.functions as func

from shared.errors import SasquashError
from shared.persistence.revocations import Ledger

_log = logging.getLogger(__name__)

_TIMEOUT = 5.0  # seconds


async def answer(ledger: Ledger) -> func.HttpResponse:
    """Return 200 `{"status": "ok"}`, or 503 with a status that names what can't be reached."""
    try:
        async with asyncio.timeout(_TIMEOUT):
            await ledger.ping()
    except (SasquashError, TimeoutError) as error:
        _log.warning("The ledger can't be reached: %s", error)
        return _json({"status": "ledger unreachable"}, 503)
    return _json({"status": "ok"}, 200)


def _json(body: dict[str, str], status: int) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(body), status_code=status, mimetype="application/json")
