"""An agent that asks its sidecar, by a client so lean that it does not hide what is measured."""

import asyncio
import re
from collections import deque
from dataclasses import dataclass
from typing import Any, cast

import msgspec

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_SECONDS = 60.0
_REVISION = "2026-07-28"
_META = {
    "io.modelcontextprotocol/protocolVersion": _REVISION,
    "io.modelcontextprotocol/clientCapabilities": {},
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes

    @property
    def envelope(self) -> dict[str, Any]:
        """The envelope, or the problem document that stands for it."""
        found: dict[str, Any] = msgspec.json.decode(self.body)
        return found

    @property
    def is_served(self) -> bool:
        """True for a call that was served, over REST."""
        return self.status == 200


class Connection(asyncio.Protocol):
    """One kept connection, for one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._held = bytearray()
        self._waiter: asyncio.Future[Answer] | None = None
        self.is_open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be ready."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods only

    def connection_lost(self, exc: Exception | None) -> None:
        """Say so to who waits."""
        self.is_open = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(exc or ConnectionResetError("closed by the sidecar"))

    def data_received(self, data: bytes) -> None:
        """Hand over an answer as soon as it is whole."""
        self._held += data
        head = self._held.find(b"\r\n\r\n")
        if head < 0 or self._waiter is None:
            return
        length = _LENGTH.search(self._held, 0, head)
        whole = head + 4 + (int(length[1]) if length else 0)
        if len(self._held) >= whole:
            answer = Answer(int(self._held[9:12]), bytes(self._held[head + 4 : whole]))
            del self._held[:whole]
            waiter, self._waiter = self._waiter, None
            if not waiter.done():
                waiter.set_result(answer)

    async def exchange(self, request: bytes) -> Answer:
        """Return the answer. Raises ConnectionError and TimeoutError."""
        if self._transport is None or not self.is_open:
            raise ConnectionResetError("closed")
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        async with asyncio.timeout(_SECONDS):
            return await self._waiter

    def close(self) -> None:
        """End it."""
        if self._transport is not None:
            self._transport.close()


class Client:
    """Keeps as many connections with a sidecar as there were calls at once."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: deque[Connection] = deque()

    async def call(self, connector: str, operation: str, /, **arguments: Any) -> Answer:
        """Call an operation over REST."""
        return await self.send(self.rest("POST", f"/v1/connectors/{connector}/{operation}", arguments))

    async def tool(self, connector: str, operation: str, /, **arguments: Any) -> Answer:
        """Call an operation over MCP."""
        return await self.send(self.mcp(f"{connector}_{operation}", arguments))

    def rest(self, method: str, path: str, body: object = None, *headers: str) -> bytes:
        """Return the bytes of a request."""
        content = b"" if body is None else msgspec.json.encode(body)
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self._port}", *headers]
        if content:
            lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
        return "\r\n".join([*lines, "", ""]).encode() + content

    def mcp(self, tool: str, arguments: dict[str, Any]) -> bytes:
        """Return the bytes of a tool's call, in the revision that needs no session."""
        body = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": tool, "arguments": arguments, "_meta": _META},
        }
        headers = (
            "Accept: application/json, text/event-stream",
            f"MCP-Protocol-Version: {_REVISION}",
            "Mcp-Method: tools/call",
            f"Mcp-Name: {tool}",
        )
        return self.rest("POST", "/mcp", body, *headers)

    async def send(self, request: bytes) -> Answer:
        """Return the answer to a request. Raises ConnectionError and TimeoutError."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                break
        else:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(Connection, "127.0.0.1", self._port)
        answer = await connection.exchange(request)
        self._idle.append(connection)
        return answer

    def close(self) -> None:
        """End every connection."""
        while self._idle:
            self._idle.pop().close()


def is_tool_served(answer: Answer) -> bool:
    """Return True if a tool's call was served."""
    return answer.status == 200 and answer.envelope.get("result", {}).get("isError") is False
