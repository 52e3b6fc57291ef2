"""Waiting for something that may not happen."""

import asyncio


async def wait_at_most(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, for `seconds` at most."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
