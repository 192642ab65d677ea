"""An event loop in a thread of its own, for programs that have none."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


class Portal:
    """Runs coroutines for other threads, each in the context (of traces, say) of the thread that asks."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        # A daemon: a program that forgets to close must end all the same.
        self._thread = threading.Thread(target=self._loop.run_forever, name="ringfence", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what it returns, raise what it raises; who is interrupted meanwhile (Ctrl-C) ends it.

        Raises RuntimeError before `start` and after `close`: nobody would ever run it.
        """
        if not self._thread.is_alive():
            work.close()
            raise RuntimeError("it is not open: use it within its `with`")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        """Yield what it yields."""
        while (found := self.run(_next(items))) is not None:
            yield found[0]

    def finish(self) -> None:
        """Wait until all that was begun has ended: who was interrupted in `run` has ended it without seeing it end."""
        self.run(_others())

    def close(self) -> None:
        """End the loop and its thread."""
        self.run(self._loop.shutdown_asyncgens())  # of results that were not read to their end
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _others() -> None:
    if others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)


async def _next(items: AsyncIterator[T]) -> tuple[T] | None:
    try:
        return (await anext(items),)
    except StopAsyncIteration:
        return None
