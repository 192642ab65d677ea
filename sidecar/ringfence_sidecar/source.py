"""Where the configuration comes from: the operator, or for development and tests a file."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Protocol

import msgspec
import structlog

from ringfence_sidecar.configuration import Configuration, decode

POLL_SECONDS: Final = 0.25

OnChange = Callable[[Configuration], Awaitable[None]]
log = structlog.get_logger()


class Source(Protocol):
    """Keeps `current` up to date while it runs, and says when it changes."""

    @property
    def current(self) -> Configuration | None:
        """What is in force; None until there has been one."""

    async def run(self) -> None:
        """Follow changes until cancelled."""


class FileSource:
    """Follows a file. One that cannot be read, or does not decode, leaves in force what is."""

    def __init__(self, path: Path, on_change: OnChange) -> None:
        self.current: Configuration | None = None
        self._path = path
        self._on_change = on_change
        self._seen: tuple[int, int, int] | None = None

    async def run(self) -> None:
        """Follow changes until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(POLL_SECONDS)

    async def look(self) -> None:
        """Take over what the file says, if it has changed."""
        try:
            state = self._path.stat()
            seen = (state.st_ino, state.st_mtime_ns, state.st_size)
            if seen == self._seen:
                return
            self._seen = seen
            found = decode(self._path.read_bytes())
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("configuration.unusable", file=str(self._path), error=str(error))
            return
        self.current = found
        await self._on_change(found)
