"""The meter: `python -m ringfence_gateway.meter NAME SOCKET`; orders come in, what it counts goes out."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import uvloop

from ringfence_gateway.meter.book import Book
from ringfence_gateway.meter.orders import Orders
from ringfence_gateway.meter.relay import Relay

EVERY_SECONDS = 0.25
LONGEST_LINE = 4 << 20
MOST_IN_LINE = 500
"""Agents in one line: all that there is of one is 2 KiB, and whoever reads takes 4 MiB at most."""


class Meter:
    """The relay, and the two pipes."""

    def __init__(self, name: str) -> None:
        self._relay = Relay(Book(name))
        self._is_whole = True

    async def run(self, path: str) -> None:
        """Serve until standard input ends: whoever gave orders is gone, and nothing is to be open without them."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108 - of a file in memory, once
        reader = asyncio.StreamReader(limit=LONGEST_LINE)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        await self._relay.listen(path)
        telling = loop.create_task(self._tell())
        try:
            while line := await reader.readline():
                self._hear(json.loads(line))
        finally:
            telling.cancel()
            await self._relay.stop()

    def _hear(self, message: dict[str, Any]) -> None:
        match message:
            case {"put": wire}:
                self._relay.put(Orders.from_wire(wire))
            case {"gone": uid}:
                self._relay.book.remove(uid)
            case {"all": True}:
                self._is_whole = True

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            agents = self._relay.book.report(now=time.time(), is_whole=self._is_whole)
            self._is_whole = False
            for line in lines_of(agents):
                sys.stdout.write(line)
                sys.stdout.flush()


def lines_of(agents: list[dict[str, Any]]) -> Iterator[str]:
    """Yield what was counted of the agents, as it goes out."""
    for first in range(0, len(agents), MOST_IN_LINE):
        yield json.dumps(agents[first : first + MOST_IN_LINE], separators=(",", ":")) + "\n"


def main() -> int:
    """Run; returns the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    name, path = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(Meter(name).run(path))
    return 0


if __name__ == "__main__":
    sys.exit(main())
