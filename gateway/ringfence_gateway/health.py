"""The HTTP server for probes and metrics. That it answers shows that the event loop is alive."""

import asyncio
from collections.abc import Awaitable, Callable

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

LONGEST_REQUEST = 8_192
REQUEST_SECONDS = 5.0
_TEXT = "text/plain; charset=utf-8"

Check = Callable[[], Awaitable[str]]
"""Returns what is missing, or nothing."""


class HealthServer:
    """Serves /healthz, /readyz and /metrics; one request a connection."""

    def __init__(self, registry: CollectorRegistry, *, missing: Check) -> None:
        self._registry = registry
        self._missing = missing
        self._server: asyncio.Server | None = None

    async def start(self, *, host: str | None = None, port: int = 8082) -> int:
        """Listen on `port` of `host` (None: all addresses), or on a free one if it is 0; return it."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=LONGEST_REQUEST)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                method, path, *_ = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
                status, kind, body = await self._answer(method, path.partition("?")[0])
                writer.write(_response(status, kind, body))
                await writer.drain()
        except (TimeoutError, OSError, EOFError, ValueError, asyncio.LimitOverrunError):
            pass  # not a request, or nobody waits for its answer
        finally:
            writer.close()

    async def _answer(self, method: str, path: str) -> tuple[str, str, bytes]:
        if method != "GET":
            return "405 Method Not Allowed", _TEXT, b"only GET\n"
        if path == "/metrics":
            return "200 OK", CONTENT_TYPE_LATEST, generate_latest(self._registry)
        if path == "/healthz":
            return "200 OK", _TEXT, b"ok\n"
        if path != "/readyz":
            return "404 Not Found", _TEXT, b"there are /healthz, /readyz and /metrics\n"
        missing = await self._missing()
        return ("503 Service Unavailable", _TEXT, f"{missing}\n".encode()) if missing else ("200 OK", _TEXT, b"ok\n")


def _response(status: str, kind: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode("latin-1") + body
