"""The lines that one exporter does not have yet: none waits for another exporter."""

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from ringfence_sidecar.audit.exporter import Exporter

BATCH = 256
_FIRST_RETRY_SECONDS = 0.1
_LAST_RETRY_SECONDS = 5.0

log = structlog.get_logger()


class Feed:
    """Hands lines to an exporter in order, again and again until it has them; `on_taken` is called each time it has."""

    def __init__(self, exporter: Exporter, on_taken: Callable[[], None]) -> None:
        self.exporter = exporter
        self.taken = 0
        """How many lines the exporter has."""
        self._on_taken = on_taken
        self._lines: deque[bytes] = deque()
        self._filled = asyncio.Event()
        self._ending = False

    @property
    def left(self) -> int:
        """How many lines the exporter does not have."""
        return len(self._lines)

    def put(self, line: bytes) -> None:
        """Have the line exported after those before it. Never waits."""
        self._lines.append(line)
        self._filled.set()

    def end(self) -> None:
        """Say that no line comes any more."""
        self._ending = True
        self._filled.set()

    async def run(self) -> None:
        """Export until the end has been said and the exporter has every line."""
        while self._lines or not self._ending:
            await self._filled.wait()
            lines = [self._lines[at] for at in range(min(BATCH, len(self._lines)))]
            if lines:
                await self._deliver(lines)
                for _ in lines:
                    self._lines.popleft()
                self.taken += len(lines)
                self._on_taken()
            if not self._lines and not self._ending:
                self._filled.clear()

    async def _deliver(self, lines: list[bytes]) -> None:
        wait = 0.0
        while True:
            try:
                await self.exporter.export(lines)
            except Exception as error:  # noqa: BLE001 - whatever the exporter's library raises, the lines must stay
                if not wait:
                    log.warning("audit exporter away", exporter=self.exporter.name, error=type(error).__name__)
                wait = min(_LAST_RETRY_SECONDS, max(_FIRST_RETRY_SECONDS, wait * 2))
                await asyncio.sleep(wait)
            else:
                if wait:
                    log.info("audit exporter back", exporter=self.exporter.name)
                return
