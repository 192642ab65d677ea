"""The little of ASGI that the surfaces need. A framework would cost 60 ms and 1 MiB at every start of every agent."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, MutableMapping
from typing import Any, Final, TypeVar
from urllib.parse import unquote

JSON: Final = b"application/json"
EVENTS: Final = b"text/event-stream"

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]
T = TypeVar("T")


class HttpError(Exception):
    """A request that is refused before it is a call. `message` says what to write instead."""

    def __init__(self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


class ClientGoneError(Exception):
    """Nobody waits for the answer any more."""


class WorkCancelledError(Exception):
    """What was asked for has been cancelled, by another request."""


class Request:
    """One HTTP request."""

    def __init__(self, scope: Scope, receive: Receive, *, max_body_bytes: int = 1 << 20) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: Mapping[str, str] = scope.get("ringfence.headers") or headers_of(scope)
        """By name in lower case; of one that was sent twice, all values, joined by commas."""
        self._receive = receive
        self._max_body_bytes = max_body_bytes

    @property
    def parts(self) -> tuple[str, ...]:
        """The path, split at its slashes; one that is encoded is a part's own."""
        raw: bytes = self.scope.get("raw_path") or self.path.encode()
        return tuple(unquote(part) for part in raw.decode("latin-1").split("/"))

    async def body(self) -> bytes:
        """Return the whole body. Raises HttpError (413) and ClientGoneError."""
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                raise ClientGoneError
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self._max_body_bytes:
                raise too_large(self._max_body_bytes)
            chunks.append(chunk)
            if not message.get("more_body", False):
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def gone(self) -> None:
        """Return once the client has gone away. The body must have been read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def while_connected(
        self, work: Coroutine[Any, Any, T], begun: Callable[[Callable[[], None]], object] | None = None
    ) -> T:
        """Return what `work` does; cancel it if the client goes away, and raise ClientGoneError once it has ended.

        `begun` is given a function by which others can cancel it: WorkCancelledError then. The work is done by the
        task that asks: one of its own would have every answer wait for two turns of the loop.
        """
        interruption = _Interruption()
        if begun is not None:
            begun(lambda: interruption.strike(WorkCancelledError()))
        watching = asyncio.create_task(self._watch(interruption))
        try:
            return await work
        finally:
            watching.cancel()
            interruption.end()

    async def _watch(self, interruption: "_Interruption") -> None:
        await self.gone()
        interruption.strike(ClientGoneError())


class _Interruption:
    """What others may do to the task that makes it, from then to `end`."""

    def __init__(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - made by one
        self._task = task
        self._cancelling = task.cancelling()
        self._reason: Exception | None = None
        self._is_over = False

    def strike(self, reason: Exception) -> None:
        """Cancel the task, for `reason`. The first one counts."""
        if self._reason is None and not self._is_over:
            self._reason = reason
            self._task.cancel()

    def end(self) -> None:
        """Raise the reason if there was one, unless the task has been cancelled by others as well."""
        self._is_over = True
        if self._reason is not None and self._task.uncancel() <= self._cancelling:
            raise self._reason from None


class Response:
    """One answer, written at once or as a stream of server-sent events."""

    def __init__(self, send: Send, headers: Headers = ()) -> None:
        self._send = send
        self._headers = list(headers)
        self.is_begun = False

    async def whole(self, status: int, *parts: bytes | memoryview, kind: bytes = JSON, headers: Headers = ()) -> None:
        """Answer with a body in parts, which are not put together here."""
        size = sum(map(len, parts))
        fields = [*self._headers, *headers, (b"content-length", str(size).encode())]
        if size:
            fields.append((b"content-type", kind))
        self.is_begun = True
        await self._send({"type": "http.response.start", "status": status, "headers": fields})
        for part in parts[:-1]:
            await self._send({"type": "http.response.body", "body": part, "more_body": True})
        await self._send({"type": "http.response.body", "body": parts[-1] if parts else b""})

    async def event(self, data: bytes, *, name: bytes = b"message") -> None:
        """Send one event, and the head of the stream before the first; `data` is one line."""
        if not self.is_begun:
            await self.stream()
        frame = b"event: " + name + b"\ndata: " + data + b"\n\n"
        await self._send({"type": "http.response.body", "body": frame, "more_body": True})

    async def stream(self, headers: Headers = ()) -> None:
        """Begin a stream of events."""
        self.is_begun = True
        fields = [*self._headers, *headers, (b"content-type", EVENTS), (b"cache-control", b"no-store")]
        await self._send({"type": "http.response.start", "status": 200, "headers": fields})
        await self._send({"type": "http.response.body", "body": b"", "more_body": True})

    async def end(self) -> None:
        """End a stream."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def headers_of(scope: Scope) -> Mapping[str, str]:
    """Return the headers by name in lower case; of one that was sent twice, all values, joined by commas."""
    found: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1").strip(" \t")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def too_large(most: int) -> HttpError:
    """Return the refusal of a body of more than `most` bytes."""
    return HttpError(413, "BodyTooLarge", f"the body is larger than {most} bytes: send less at once")


async def closing(stream: AsyncIterator[T]) -> None:
    """Close an asynchronous generator now, rather than when it is collected."""
    if close := getattr(stream, "aclose", None):
        await close()
