"""A connection that carries many questions at once: a client of general use takes longer than Redis to answer.

RESP2, <https://redis.io/docs/latest/develop/reference/protocol-spec/>. A connection does not outlive its server, so
what the server said of itself as it was made holds for as long as it lasts.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, cast

_LINE = b"\r\n"


class RedisError(OSError):
    """Redis answered with an error, or with what is no answer."""


class ConnectionLostError(OSError):
    """The connection is gone, with whatever was asked."""


class _Incomplete(Exception):  # noqa: N818 - no error: the rest is still to come
    pass


def packed(*words: bytes) -> bytes:
    """Return a command as it is sent."""
    return b"*%d\r\n" % len(words) + arguments(*words)


def arguments(*words: bytes) -> bytes:
    """Return words of a command as they are sent, to be joined with others."""
    return b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])


class Wire(asyncio.Protocol):
    """One connection. `on_lost` is called once it is gone."""

    def __init__(self, on_lost: Callable[["Wire"], None] = lambda _: None) -> None:
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._buffer = b""
        self.is_open = False

    def ask(self, command: bytes) -> "asyncio.Future[Any]":
        """Send a packed command; the answer comes in its turn. An answer may be RedisError, ConnectionLostError."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._transport is None or not self.is_open:
            future.set_exception(ConnectionLostError("not connected"))
            return future
        self._waiting.append(future)
        self._transport.write(command)
        return future

    def close(self) -> None:
        """Let go of it at once."""
        if self._transport is not None:
            self._transport.abort()
        self._end()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport, self.is_open = cast("asyncio.Transport", transport), True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the interface's
        """End whatever still waits."""
        self._end()

    def data_received(self, data: bytes) -> None:
        """Hand out the answers that are whole."""
        self._buffer += data
        at = 0
        try:
            while at < len(self._buffer):
                value, at = _value(self._buffer, at)
                self._hand_out(value)
        except _Incomplete:
            pass
        except (ValueError, IndexError):
            self.close()
            return
        self._buffer = self._buffer[at:]

    def _hand_out(self, value: Any) -> None:
        future = self._waiting.popleft()
        if future.done():
            return
        if isinstance(value, RedisError):
            future.set_exception(value)
        else:
            future.set_result(value)

    def _end(self) -> None:
        if not self.is_open:
            return
        self.is_open = False
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(ConnectionLostError("Redis closed the connection"))
                # Nobody may be waiting any longer.
                future.exception()
        self._on_lost(self)


def _value(buffer: bytes, at: int) -> tuple[Any, int]:
    """Return the value that begins at `at`, and where it ends. Raises ValueError for what is none."""
    end = buffer.find(_LINE, at)
    if end < 0:
        raise _Incomplete
    kind, text, after = buffer[at : at + 1], buffer[at + 1 : end], end + 2
    if kind == b":":
        return int(text), after
    if kind == b"+":
        return text, after
    if kind == b"-":
        return RedisError(text.decode(errors="replace")), after
    length = int(text)
    if length < 0:
        return None, after
    if kind == b"$":
        if len(buffer) < after + length + 2:
            raise _Incomplete
        return buffer[after : after + length], after + length + 2
    if kind != b"*":
        raise ValueError(kind)
    values = []
    for _ in range(length):
        value, after = _value(buffer, after)
        values.append(value)
    return values, after
