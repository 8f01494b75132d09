"""A call to ARM that changes something: sent once, answered in time or not at all."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from azure.core.exceptions import AzureError

from shared.errors import SasquashError, TransientFailure, from_azure


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
    """Turn what goes wrong with the call inside into our errors. `within` is in seconds.

    `doing` and `meaning` are as in `errors.from_azure`; `errors.from_account` is for a call about an account itself.
    Raises TransientFailure where no answer came: it may have happened.
    """
    try:
        async with asyncio.timeout(within):
            yield
    except AzureError as error:
        raise meaning(error, doing=doing) from error
    except TimeoutError:
        raise TransientFailure(f"{doing} got no answer within {within:.0f} s.") from None
