"""Progress of a call: a tool has one result, so what can be told before is that the call goes on, and for how long.

Clients that would give a call up in a minute wait for as long as they hear of it.
https://modelcontextprotocol.io/specification/2025-11-25/basic/utilities/progress
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

Report = Callable[[float, str], Awaitable[None]]
EVERY_SECONDS = 5.0


@contextlib.asynccontextmanager
async def reporting(report: Report | None, what: str) -> AsyncIterator[None]:
    """Report the seconds so far, again and again while the block runs, if the client wants to hear of it."""
    if report is None:
        yield
        return
    over = asyncio.Event()
    telling = asyncio.create_task(_tell(report, what, over))
    try:
        yield
    finally:
        over.set()
        # What is being sent is sent whole, and before the answer.
        await telling


async def _tell(report: Report, what: str, over: asyncio.Event) -> None:
    begun = time.monotonic()
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(EVERY_SECONDS):
                await over.wait()
        if over.is_set():
            return
        seconds = round(time.monotonic() - begun, 3)
        await report(seconds, f"{what}: {seconds:.0f} s so far")
