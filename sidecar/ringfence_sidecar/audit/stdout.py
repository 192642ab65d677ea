"""Audit lines on standard output, which the kubelet keeps and a log collector takes away."""

import asyncio
import os
import select

_WHOLE = select.PIPE_BUF
"""A pipe that is ready takes this much without blocking."""
_TICK_SECONDS = 0.01


class Stdout:
    """Writes to a file descriptor, and never blocks the event loop: who reads slowly is waited for."""

    name = "stdout"

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._rest = b""

    async def export(self, lines: list[bytes]) -> None:
        """See Exporter. Raises OSError if nobody reads any longer."""
        if not self._rest:
            self._rest = b"".join(line + b"\n" for line in lines)
        # After an error the same lines come again: what was written of them is not written twice.
        while self._rest:
            if not self._poll.poll(0) or not self._write():
                await asyncio.sleep(_TICK_SECONDS)

    async def close(self) -> None:
        """See Exporter."""

    def _write(self) -> bool:
        try:
            self._rest = self._rest[os.write(self._descriptor, self._rest[:_WHOLE]) :]
        except BlockingIOError:
            return False
        return True
