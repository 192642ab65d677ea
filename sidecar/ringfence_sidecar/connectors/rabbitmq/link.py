"""One connection with a broker, watched, and its channels. It never comes back by itself."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiormq.channel import Channel

from ringfence_sidecar.configuration import Auth, Endpoint
from ringfence_sidecar.connectors.rabbitmq.broker_errors import DRIVER_ERRORS, translated
from ringfence_sidecar.connectors.rabbitmq.connection import SILENCE, Connection, connect
from ringfence_sidecar.errors import BackendLostError

_WATCH_SECONDS = 1.0
_CLOSE_SECONDS = 2.0


class Link:
    """A connection. `on_lost` is called at once when it is gone, `on_closed` for each channel that has closed."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        on_lost: Callable[[], None] | None = None,
        on_closed: Callable[[Channel], None] | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.is_lost = False
        self.channels_open = 0
        self._on_lost = on_lost
        self._on_closed = on_closed
        self._connection: Connection | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, auth: Auth, *, name: str, seconds: float) -> None:
        """Log in. Raises BackendLostError or BackendError."""
        self._connection = await connect(self.endpoint, auth, name=name, seconds=seconds, on_lost=self._lose)
        self.background(self._watch(self._connection))

    @property
    def is_usable(self) -> bool:
        """False once the connection is gone."""
        return not self.is_lost and self._connection is not None and not self._connection.is_closed

    @property
    def broker_version(self) -> tuple[int, ...]:
        """The broker's version, as it says; (0,) if it does not."""
        text = str(self._underlay().server_properties.get("version", ""))
        return tuple(int(part) for part in text.split(".") if part.isdecimal()) or (0,)

    def lost_error(self) -> BackendLostError:
        """Return the error of a connection that is gone, when nothing has been sent."""
        return BackendLostError(f"endpoint {self.endpoint.name}: the connection to the broker broke")

    async def check_taking(self, seconds: float) -> None:
        """Raise BackendLostError if the broker has said that it takes no messages, and does not change its mind."""
        try:
            async with asyncio.timeout(seconds):
                await self._underlay().ready()
        except TimeoutError:
            raise BackendLostError(
                f"endpoint {self.endpoint.name}: the broker takes no messages at present, for want of memory or disk"
            ) from None

    async def channel(self, *, confirms: bool = False) -> Channel:
        """Return a new channel. Raises BackendLostError."""
        with translated(f"endpoint {self.endpoint.name}"):
            channel: Channel = await self._underlay().channel(publisher_confirms=confirms, on_return_raises=False)
        self.channels_open += 1
        channel.closing.add_done_callback(lambda _: self._is_closed(channel))
        return channel

    @asynccontextmanager
    async def borrowed(self) -> AsyncIterator[Channel]:
        """A channel for one question. An error of the broker's closes it; otherwise it is closed beside the calls."""
        channel = await self.channel()
        try:
            yield channel
        finally:
            if not channel.is_closed:
                self.background(self.close_channel(channel))

    async def close_channel(self, channel: Channel) -> None:
        """Close it, if it is still open; never raises."""
        with suppress(*DRIVER_ERRORS, TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await channel.close()

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it beside the calls, until the connection is closed."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Say goodbye to the broker within a bound; never raises."""
        self._lose()
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*DRIVER_ERRORS, TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await connection.close()
            connection.abort()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _underlay(self) -> Any:
        """The driver's own connection: what is built upon it makes objects and callbacks that no call needs."""
        if not self.is_usable or self._connection is None or self._connection.transport is None:
            raise self.lost_error()
        return self._connection.transport.connection

    def _lose(self) -> None:
        self.is_lost = True
        if self._on_lost is not None:
            self._on_lost()

    def _is_closed(self, channel: Channel) -> None:
        self.channels_open -= 1
        if self._on_closed is not None:
            self._on_closed(channel)

    async def _watch(self, connection: Connection) -> None:
        while not self.is_lost:
            await asyncio.sleep(_WATCH_SECONDS)
            if connection.silence > SILENCE:
                self._lose()
        connection.abort()
