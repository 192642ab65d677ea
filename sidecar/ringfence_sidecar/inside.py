"""Looks from inside the pod whether its network is closed, and its way out open.

The operator knows what it has written and what the gateway has acknowledged. Only the pod knows whether the cluster's
network plug-in lets a connection through that nothing permits: the canary, the API server.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from ringfence_sidecar.configuration import Inside

SILENT_SECONDS: Final = 0.5
"""What has not answered for so long is closed: plug-ins drop packets instead of refusing connections."""
FIRST_SECONDS, LONGEST_SECONDS, QUIET_SECONDS = 0.02, 1.0, 60.0
"""How soon it looks again while something is not as it should be, how late at most, and how often afterwards."""
_SURE: Final = 3
"""Looks in a row after which a way out that answered once is told to be closed: a replica of the gateway may go."""

log = structlog.get_logger()


class Look:
    """Keeps `finding`: None until there is one, or where there is nothing to look at.

    `canary` and `way_out` are `host:port`, or empty. `on_change` hears of each other finding.
    """

    def __init__(self, *, canary: str, way_out: str) -> None:
        self.finding: Inside | None = None
        self.on_change: Callable[[], None] = lambda: None
        self._canary: Final = canary
        self._way_out: Final = way_out
        self._is_closed: bool | None = None
        self._missed = _SURE
        """Looks in a row in which the way out did not answer."""

    async def run(self) -> None:
        """Look until cancelled; return at once if there is nothing to look at."""
        if self._canary:
            looks = (self.look_for_canary, self.look_for_way_out) if self._way_out else (self.look_for_canary,)
            await asyncio.gather(*(_follow(look) for look in looks))

    async def look_for_canary(self) -> bool:
        """Look once whether the pod is closed; return whether it is."""
        self._is_closed = not await connects(self._canary)
        self._find()
        return self._is_closed

    async def look_for_way_out(self) -> bool:
        """Look once whether the port set answers; return whether it does."""
        self._missed = 0 if await connects(self._way_out) else self._missed + 1
        self._find()
        return not self._missed

    def _find(self) -> None:
        if self._is_closed is None:
            return
        finding = Inside(closed=self._is_closed, way_out=self._missed < _SURE if self._way_out else None)
        if finding != self.finding:
            self.finding = finding
            log.info("network looked at from inside", closed=finding.closed, way_out=finding.way_out)
            self.on_change()


async def _follow(look: Callable[[], Awaitable[bool]]) -> None:
    delay = FIRST_SECONDS
    while True:
        if await look():
            delay = FIRST_SECONDS
            await asyncio.sleep(QUIET_SECONDS)
        else:
            await asyncio.sleep(delay)
            delay = min(2 * delay, LONGEST_SECONDS)


async def connects(place: str) -> bool:
    """Return True if `place`, `host:port`, takes a TCP connection."""
    host, _, port = place.rpartition(":")
    try:
        async with asyncio.timeout(SILENT_SECONDS):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
