"""One side of a connection that is handed on: what comes in goes out at the other side, as fast as that takes it."""

import asyncio
import contextlib
from collections.abc import Callable

MOST_BYTES = 64 << 10
"""Read at once, and unsent at most before nothing more is read."""

_buffer = bytearray(MOST_BYTES)
_view = memoryview(_buffer)


class End(asyncio.BufferedProtocol):
    """One side of a connection; what comes in goes out at its `other` side."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: End | None = None
        self.on_data: Callable[[bytes], None] = lambda _: None
        self.on_lost: Callable[[], None] = lambda: None
        self.is_ended = False
        """True once the peer has said all."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self.transport = transport  # type: ignore[assignment] # uvloop's are no subclass of asyncio's
        self.transport.set_write_buffer_limits(high=MOST_BYTES)  # type: ignore[union-attr]

    def connection_lost(self, _: Exception | None) -> None:
        """Tell."""
        self.transport = None
        self.on_lost()

    def get_buffer(self, _: int) -> memoryview:
        """Return what all connections read into: it is emptied before another one reads."""
        return _view

    def buffer_updated(self, count: int) -> None:
        """Hand on what has come."""
        self.on_data(bytes(_view[:count]))

    def eof_received(self) -> bool:
        """Tell the other side, and stay open for its answer."""
        self.is_ended = True
        if self.other is not None:
            self.other.finish()
        return not (self.other is not None and self.other.is_ended)

    def pause_writing(self) -> None:
        """Read no more than can be handed on."""
        if self.other is not None:
            self.other.pause()

    def resume_writing(self) -> None:
        """Go on."""
        if self.other is not None:
            self.other.resume()

    def write(self, data: bytes) -> None:
        """Send."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def finish(self) -> None:
        """Send no more; close once the peer has said all, too."""
        if self.transport is None or self.transport.is_closing():
            return
        if self.is_ended:
            self.transport.close()
            return
        with contextlib.suppress(OSError, RuntimeError):
            self.transport.write_eof()

    def pause(self) -> None:
        """Read no more for the moment."""
        if self.transport is not None and not self.transport.is_closing() and self.transport.is_reading():
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self.transport is not None and not self.transport.is_closing() and not self.transport.is_reading():
            self.transport.resume_reading()

    def close(self) -> None:
        """Close after what is unsent."""
        if self.transport is not None:
            self.transport.close()

    def cut(self) -> None:
        """Close now."""
        if self.transport is not None:
            self.transport.abort()
