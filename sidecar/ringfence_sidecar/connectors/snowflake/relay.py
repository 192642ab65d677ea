"""A way to an address that is not what the account's name resolves to, with TLS still speaking to the name.

The driver resolves names itself, but asks a proxy with CONNECT not to. So it gets one, on the loopback address: it
knows one destination, and wants a password that only this process has, for the agent shares the address. Whatever else
the driver asks for, such as a token, is for the gateway to judge, where there is a way to it.
"""

import asyncio
import contextlib
import hmac
import secrets
from typing import Any

from ringfence_sidecar.configuration import Endpoint, Proxy
from ringfence_sidecar.connectors.dialling import Stream, basic, tunnel

_HEAD_BYTES = 8_192
_SECONDS = 5.0
_PIECE = 65_536
_OPEN, _FORBIDDEN, _UNKNOWN = 200, 403, 407


class Relay:
    """CONNECT to one endpoint's address, and through `proxy` to what that lets through."""

    def __init__(self, endpoint: Endpoint, proxy: Proxy | None = None) -> None:
        self._endpoint = endpoint
        self._proxy = proxy
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
                upstream = await self._answer((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"), writer)
            if upstream is not None:
                await _splice((reader, writer), upstream)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            # The driver sees a connection that ended, and says so.
            pass
        finally:
            writer.close()

    async def _answer(self, head: str, writer: asyncio.StreamWriter) -> Stream | None:
        """Answer a request, and return where it leads to; the gateway answers for itself."""
        method, target, *_ = [*head.partition("\r\n")[0].split(" "), "", ""]
        upstream, status = None, _FORBIDDEN
        if not self._is_known(head):
            status = _UNKNOWN
        elif method == "CONNECT" and target == f"{self._endpoint.host}:{self._endpoint.port}":
            upstream, status = await self._connect(), _OPEN
        elif method == "CONNECT" and self._proxy is not None:
            return await tunnel(self._proxy, target)
        writer.write(f"HTTP/1.1 {status} -\r\n\r\n".encode())
        return upstream

    def _is_known(self, head: str) -> bool:
        lines = head.split("\r\n")[1:]
        given = dict(line.split(": ", 1) for line in lines if ": " in line)
        wanted = basic("ringfence", self._password)
        said = next((value for name, value in given.items() if name.lower() == "proxy-authorization"), "")
        return hmac.compare_digest(said.encode(), wanted.encode())

    async def _connect(self) -> Stream:
        return await asyncio.open_connection(self._endpoint.address, self._endpoint.address_port or self._endpoint.port)


async def _splice(one: Stream, other: Stream) -> None:
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
