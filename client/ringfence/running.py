"""A command that runs in an agent, beside an event loop."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from ringfence_kube.command import Command
from ringfence_kube.errors import ClusterError

T = TypeVar("T")


class Running:
    """A command that was begun. `pieces` gives what it writes; at their end, `code` is there."""

    def __init__(self, command: Command, pool: ThreadPoolExecutor) -> None:
        self._command = command
        self._pool = pool

    @property
    def code(self) -> int | None:
        """Its exit code; None until all was read."""
        return self._command.code

    async def write(self, content: bytes) -> None:
        """Give it something to read."""
        await _blocking(self._pool, functools.partial(self._command.write, content))

    async def pieces(self) -> AsyncIterator[tuple[int, bytes]]:
        """Yield STDOUT or STDERR, and what came of it. A piece is read when it is asked for."""
        each = iter(self._command)
        while (found := await _blocking(self._pool, functools.partial(next, each, None))) is not None:
            yield found


@asynccontextmanager
async def running(begin: Callable[[], Command]) -> AsyncIterator[Running]:
    """Begin a command, and end the connection with it at the end."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="ringfence")
    beginning = asyncio.get_running_loop().run_in_executor(pool, begin)
    try:
        command = await asyncio.shield(beginning)
    except asyncio.CancelledError:
        beginning.add_done_callback(_stop)
        raise
    else:
        try:
            yield Running(command, pool)
        finally:
            command.stop()
    finally:
        pool.shutdown(wait=False)


def _stop(begun: "asyncio.Future[Command]") -> None:
    if not begun.cancelled() and not isinstance(begun.exception(), ClusterError):
        begun.result().stop()


async def _blocking(pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(pool, work)
