"""The Unix socket on which the operator says what gateways are to have: JSON objects, one a line."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import structlog

log = structlog.get_logger(__name__)

MOST_LINE_BYTES = 4 * 1024 * 1024
MOST_UNREAD_BYTES = 32 * 1024 * 1024
"""An operator that does not read what it is told is given up."""

Message = dict[str, Any]


class Feed:
    """Listens for the operator. Only one is heard: a new connection takes the place of the one before.

    `on_message` takes what it says, in order; `on_lost` comes after its last message, before the next one's first.
    """

    def __init__(
        self, on_message: Callable[[Message], Awaitable[None]], on_lost: Callable[[], Awaitable[None]]
    ) -> None:
        self._on_message = on_message
        self._on_lost = on_lost
        self._server: asyncio.Server | None = None
        self._latest: asyncio.StreamWriter | None = None
        self._heard: asyncio.StreamWriter | None = None
        self._turn = asyncio.Lock()

    async def start(self, path: Path) -> None:
        """Listen on a Unix socket that only this user can connect to."""
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - before anything is served
        self._server = await asyncio.start_unix_server(self._connected, path, limit=MOST_LINE_BYTES)
        path.chmod(0o600)  # noqa: ASYNC240

    async def stop(self) -> None:
        """Stop listening, and let go of the operator."""
        if self._server is not None:
            self._server.close()
        self._supersede(None)
        async with self._turn:
            pass

    def tell(self, message: Message) -> None:
        """Tell the operator, if there is one."""
        writer = self._heard
        if writer is None or writer.is_closing():
            return
        if writer.transport.get_write_buffer_size() > MOST_UNREAD_BYTES:
            log.error("feed.operator_does_not_read")
            writer.transport.abort()
            return
        writer.write(orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE))

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._supersede(writer)
        async with self._turn:
            if self._latest is writer:
                await self._hear(reader, writer)
        writer.close()

    def _supersede(self, writer: asyncio.StreamWriter | None) -> None:
        before, self._latest = self._latest, writer
        if before is not None:
            before.transport.abort()

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._heard = writer
        log.info("feed.operator_connected")
        try:
            await self._read(reader)
        finally:
            self._heard = None
            log.info("feed.operator_left")
            await self._on_lost()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await _line(reader):
                await self._on_message(orjson.loads(line))
        except (ValueError, KeyError, TypeError, OSError):
            # What cannot be understood cannot be built upon: the operator starts over.
            log.exception("feed.not_understood")


async def _line(reader: asyncio.StreamReader) -> bytes:
    """Return the next line, nothing if the operator is gone, however it went."""
    try:
        return await reader.readline()
    except OSError:
        return b""
