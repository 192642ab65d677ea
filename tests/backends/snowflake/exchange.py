"""One HTTP request to the stand-in, and fakesnow's own answer to it."""

import gzip
import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


@dataclass
class Exchange:
    """A request, read whole."""

    scope: Message
    body: bytes
    receive: Receive
    send: Send

    @classmethod
    async def read(cls, scope: Message, receive: Receive, send: Send) -> "Exchange":
        """Read the request to its end."""
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        return cls(scope, body, receive, send)

    @property
    def path(self) -> str:
        """The path, without the query string."""
        return str(self.scope["path"])

    @property
    def method(self) -> str:
        """GET, POST …"""
        return str(self.scope["method"])

    def header(self, name: str) -> str:
        """Return a header's value, or nothing."""
        return next((value.decode() for key, value in self.scope["headers"] if key.decode().lower() == name), "")

    @property
    def token(self) -> str:
        """The token of Snowflake's Authorization header."""
        return self.header("authorization").removeprefix('Snowflake Token="').removesuffix('"')

    @property
    def text(self) -> bytes:
        """The body, unpacked."""
        return gzip.decompress(self.body) if self.header("content-encoding") == "gzip" else self.body

    def json(self) -> Any:
        """Return the body's JSON."""
        return json.loads(self.text or b"{}")

    async def answer(self, content: Any, *, status: int = 200) -> None:
        """Answer with JSON."""
        await self.answer_bytes(json.dumps(content).encode(), kind="application/json", status=status)

    async def answer_bytes(self, body: bytes, *, kind: str, status: int = 200) -> None:
        """Answer with bytes."""
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    async def refuse(self, code: str, message: str, *, data: dict[str, Any] | None = None) -> None:
        """Answer as Snowflake does what it will not do: 200, and the reason in the body."""
        await self.answer({"data": data, "code": code, "message": message, "success": False})

    async def gone(self) -> None:
        """Return when the client has gone away."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def ask(self, inner: App, *, token: str = "", content: Any = None) -> tuple[int, Any]:
        """Return status and JSON that `inner` answers to this request, with another token and body if given."""
        headers = [(key, value) for key, value in self.scope["headers"] if key.lower() != b"content-encoding"]
        if token:
            headers = [pair for pair in headers if pair[0].lower() != b"authorization"]
            headers.append((b"authorization", f'Snowflake Token="{token}"'.encode()))
        body = self.text if content is None else json.dumps(content).encode()
        status, received = 500, b""

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status, received
            status = message.get("status", status)
            received += message.get("body", b"")

        await inner({**self.scope, "headers": headers}, receive, send)
        return status, json.loads(received)
