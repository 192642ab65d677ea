"""Waiting for what happens elsewhere."""

import asyncio
from collections.abc import Callable


async def until(done: Callable[[], bool], *, seconds: float = 10.0) -> None:
    """Return when it is so; fail after so many seconds."""
    async with asyncio.timeout(seconds):
        while not done():  # noqa: ASYNC110 - what is waited for is in another process
            await asyncio.sleep(0.02)
