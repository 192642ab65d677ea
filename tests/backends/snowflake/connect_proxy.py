"""An HTTP proxy that knows CONNECT, wants a credential, and connects names to addresses of its own."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Mapping


class ConnectProxy:
    """Notes whom it was asked for."""

    def __init__(
        self, username: str, password: str, destination: tuple[str, int] | Mapping[str, tuple[str, int]]
    ) -> None:
        """`destination` is where every name leads, or where each `host:port` does; others are refused."""
        self.port = 0
        self.opened: list[str] = []
        """host:port of each CONNECT that it served."""
        self.refused = 0
        self._wanted = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
        self._destination = destination
        self._serving: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def running(self, port: int) -> AsyncIterator["ConnectProxy"]:
        """Listen on the port of the loopback address."""
        server = await asyncio.start_server(self._begin, "127.0.0.1", port)
        self.port = port
        try:
            yield self
        finally:
            server.close()
            for each in self._serving:
                each.cancel()
            # A connection that outlives the loop is found by whatever test runs then.
            await asyncio.gather(*self._serving, return_exceptions=True)

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            method, target = head.split(" ", 2)[:2]
            if method != "CONNECT" or f"proxy-authorization: {self._wanted}".lower() not in head.lower():
                self.refused += 1
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
                return
            where = self._destination.get(target) if isinstance(self._destination, Mapping) else self._destination
            if where is None:
                self.refused += 1
                writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
                return
            self.opened.append(target)
            there = await asyncio.open_connection(*where)
            try:
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                await asyncio.gather(_carry(reader, there[1]), _carry(there[0], writer))
            finally:
                await _closed(there[1])
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            await _closed(writer)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65_536):
        writer.write(piece)
        await writer.drain()
    writer.close()


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
