"""A way to an address that is not what the account's name resolves to, with TLS still speaking to the name.

The driver resolves names itself, but asks a proxy with CONNECT not to. So it gets one, on the loopback address: it
knows one destination, and wants a password that only this process has, for the agent shares the address.
"""

import asyncio
import base64
import contextlib
import hmac
import secrets
from typing import Any

from ringfence_sidecar.configuration import Endpoint

_HEAD_BYTES = 8_192
_SECONDS = 5.0
_PIECE = 65_536
_OPEN = 200


class Relay:
    """CONNECT to one endpoint's address."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._password = secrets.token_urlsafe(24)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> dict[str, Any]:
        """Listen, and return the driver's options that lead here."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_HEAD_BYTES)
        port = self._server.sockets[0].getsockname()[1]
        here = {"proxy_host": "127.0.0.1", "proxy_port": port}
        return here | {"proxy_user": "ringfence", "proxy_password": self._password}

    async def stop(self) -> None:
        """Stop listening, and cut what is connected."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs it as one
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            async with asyncio.timeout(_SECONDS):
                status = self._judge((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"))
                upstream = await self._connect() if status == _OPEN else None
            writer.write(f"HTTP/1.1 {status} -\r\n\r\n".encode())
            if upstream is not None:
                await _splice((reader, writer), upstream)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            # The driver sees a connection that ended, and says so.
            pass
        finally:
            writer.close()

    def _judge(self, head: str) -> int:
        first, *lines = head.split("\r\n")
        given = dict(line.split(": ", 1) for line in lines if ": " in line)
        wanted = "Basic " + base64.b64encode(f"ringfence:{self._password}".encode()).decode()
        said = next((value for name, value in given.items() if name.lower() == "proxy-authorization"), "")
        if not hmac.compare_digest(said.encode(), wanted.encode()):
            return 407
        return _OPEN if first.startswith(f"CONNECT {self._endpoint.host}:{self._endpoint.port} ") else 403

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self._endpoint.address, self._endpoint.address_port or self._endpoint.port)


async def _splice(
    one: tuple[asyncio.StreamReader, asyncio.StreamWriter], other: tuple[asyncio.StreamReader, asyncio.StreamWriter]
) -> None:
    """Carry bytes both ways until both ends have said all."""
    try:
        await asyncio.gather(_carry(one[0], other[1]), _carry(other[0], one[1]))
    finally:
        other[1].close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_PIECE):
        writer.write(piece)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()
