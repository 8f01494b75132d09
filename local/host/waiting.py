"""Waiting for a moment, unless the host is told to stop first."""

import asyncio


async def pause(stopping: asyncio.Event, seconds: float) -> bool:
    """Wait `seconds`; return early, with True, once `stopping` is set."""
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return False
    return True
