"""A call to ARM that changes something: sent once, answered in time or not at all."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from shared.cloud.errors import from_azure, translate_errors
from shared.errors import SasquashError, TransientFailure


def once(correlation_id: str) -> dict[str, Any]:
    """Return the options of a call that neither a retry nor a redirect may send a second time."""
    return {
        "headers": {"x-ms-correlation-request-id": correlation_id},
        "retry_total": 0,
        "permit_redirects": False,
    }


@asynccontextmanager
async def answered(
    doing: str, *, within: float, meaning: Callable[..., SasquashError] = from_azure
) -> AsyncIterator[None]:
    """Translate errors of the call inside, as `translate_errors` does, and end it after `within` seconds.

    Raises TransientFailure where no answer came: it may have happened.
    """
    with translate_errors(doing, meaning=meaning):
        try:
            async with asyncio.timeout(within):
                yield
        except TimeoutError:
            raise TransientFailure(f"{doing} got no answer within {within:.0f} s.") from None
