"""DNS over TCP (RFC 7766) for one port set: bounded in connections, in time, and in what a slow reader may leave."""

import asyncio
import contextlib
import socket
import struct
from collections import Counter
from collections.abc import Callable
from typing import cast

IDLE_SECONDS = 5.0
MOST_CONNECTIONS = 64
MOST_CONNECTIONS_OF_SOURCE = 16
ACCEPTED_PER_TURN = 16
QUERIES_PER_TURN = 16
PAUSE_SECONDS = 0.01
BACKLOG = 64
MOST_UNSENT = 4_096
LONGEST_QUERY = 1_232
_NO_LINGER = struct.pack("ii", 1, 0)

Answer = Callable[[bytes, str], bytes | None]


class Streams:
    """The connections of one port set.

    `answer` gets a query and the address that it comes from; `admits` says whether one more may connect from there.
    """

    def __init__(self, answer: Answer, *, admits: Callable[[str], bool]) -> None:
        self.answer = answer
        self._admits = admits
        self._loop = asyncio.get_running_loop()
        self._listener: socket.socket | None = None
        self._open: set[Connection] = set()
        self._of_source: Counter[str] = Counter()
        self._accepting: set[asyncio.Task[object]] = set()

    def open(self, listener: socket.socket) -> None:
        """Accept connections of the bound socket. Raises OSError, having closed it, if another process listens."""
        try:
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
        self._listener = listener
        self._loop.add_reader(listener, self._acceptable)

    def close(self) -> None:
        """Stop listening, and cut connections."""
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        for connection in tuple(self._open):
            connection.cut()

    def begin(self, connection: "Connection") -> None:
        """Count a connection that is open."""
        self._open.add(connection)
        if self._listener is None:
            connection.cut()

    def end(self, connection: "Connection", source: str) -> None:
        """Forget a connection."""
        self._open.discard(connection)
        self._release(source)

    def _acceptable(self) -> None:
        refused = 0
        for _ in range(ACCEPTED_PER_TURN):
            if self._listener is None:
                return
            try:
                accepted, address = self._listener.accept()
            except (BlockingIOError, ConnectionError):
                return
            except OSError:  # out of file descriptors: trying at once would be a busy loop
                self._pause(self._listener)
                return
            source = str(address[0])
            if self._has_room(source):
                self._begin_connecting(accepted, source)
            else:
                accepted.close()
                refused += 1
        if self._listener is not None and refused == ACCEPTED_PER_TURN:
            self._pause(self._listener)

    def _has_room(self, source: str) -> bool:
        is_full = self._of_source.total() >= MOST_CONNECTIONS or self._of_source[source] >= MOST_CONNECTIONS_OF_SOURCE
        return not is_full and self._admits(source)

    def _begin_connecting(self, accepted: socket.socket, source: str) -> None:
        accepted.setblocking(False)
        self._of_source[source] += 1
        task = self._loop.create_task(self._connect(accepted, source))
        self._accepting.add(task)
        task.add_done_callback(self._accepting.discard)

    def _pause(self, listener: socket.socket) -> None:
        self._loop.remove_reader(listener)
        self._loop.call_later(PAUSE_SECONDS, self._accept_again)

    def _accept_again(self) -> None:
        if self._listener is not None:
            self._loop.add_reader(self._listener, self._acceptable)

    async def _connect(self, accepted: socket.socket, source: str) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: Connection(self, source), accepted)
        except OSError:
            accepted.close()
            self._release(source)

    def _release(self, source: str) -> None:
        self._of_source[source] -= 1
        if self._of_source[source] <= 0:
            del self._of_source[source]


class Connection(asyncio.Protocol):
    """One connection: length-prefixed queries, answered in order, a few in each turn of the event loop."""

    def __init__(self, streams: Streams, source: str) -> None:
        self._streams = streams
        self._source = source
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._turn: asyncio.Handle | None = None
        self._is_full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock."""
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=MOST_UNSENT)
        self._restart_clock()
        self._streams.begin(self)

    def connection_lost(self, _: Exception | None) -> None:
        """Let go of everything."""
        for handle in (self._idle, self._turn):
            if handle is not None:
                handle.cancel()
        self._transport = None
        self._streams.end(self, self._source)

    def data_received(self, data: bytes) -> None:
        """Answer what is complete."""
        self._buffer += data
        if self._turn is None:
            self._take_turn()

    def pause_writing(self) -> None:
        """Read no more from who does not read: the clock goes on, and ends it."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Go on."""
        self._is_full = False
        if self._transport is not None and self._turn is None:
            self._take_turn()

    def cut(self) -> None:
        """End it now."""
        if self._transport is not None:
            # With a reset, so that the kernel keeps nothing either of what a slow reader has not taken.
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self._transport.abort()

    def _take_turn(self) -> None:
        self._turn = None
        for _ in range(QUERIES_PER_TURN):
            if self._transport is None or self._is_full:
                break
            query = self._next_query()
            if query is None:
                break
            answer = self._streams.answer(query, self._source)
            if answer is None:  # beyond the allowance, or garbage: neither is worth a connection
                self.cut()
                return
            self._restart_clock()
            self._transport.write(len(answer).to_bytes(2) + answer)
        self._read_or_wait()

    def _read_or_wait(self) -> None:
        """Read on only when what has come is answered."""
        if self._transport is None or self._transport.is_closing():
            return
        is_waiting = self._has_query()
        with contextlib.suppress(RuntimeError):  # closed in this very moment
            if is_waiting or self._is_full:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()
        if is_waiting and not self._is_full:
            self._turn = self._loop.call_soon(self._take_turn)

    def _has_query(self) -> bool:
        return len(self._buffer) >= 2 + int.from_bytes(self._buffer[:2]) if len(self._buffer) > 1 else False

    def _next_query(self) -> bytes | None:
        if self._transport is not None and int.from_bytes(self._buffer[:2]) > LONGEST_QUERY:
            self.cut()
            return None
        if not self._has_query():
            return None
        end = 2 + int.from_bytes(self._buffer[:2])
        query = bytes(self._buffer[2:end])
        del self._buffer[:end]
        return query

    def _restart_clock(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = self._loop.call_later(IDLE_SECONDS, self.cut)
