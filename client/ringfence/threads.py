"""Blocking work beside an event loop."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """Return what it returns, in a thread of its own: none waits until another is free.

    Who is cancelled does not wait for it. It goes on to its end, before which the program does not end.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="ringfence")
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, work)
    finally:
        pool.shutdown(wait=False)


async def finished(work: Awaitable[T]) -> T:
    """Return what it returns once it has ended, however often we are cancelled meanwhile; that is raised then."""
    future = asyncio.ensure_future(work)
    interrupted: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            interrupted = error
    if interrupted is not None:
        future.exception()  # or asyncio would complain that nobody looked
        raise interrupted
    return future.result()
