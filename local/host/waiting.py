"""A pause that ends when the host stops."""

import asyncio


async def pause(stopping: asyncio.Event, seconds: float) -> bool:
    """Wait `seconds`. Return True early if `stopping` is set."""
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return False
    return True
