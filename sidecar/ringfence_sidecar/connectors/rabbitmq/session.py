"""A session with a broker: one connection, and the channels that calls and leases live on."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from aiormq.abc import AbstractChannel

from ringfence_sidecar.configuration import Auth, Endpoint
from ringfence_sidecar.connectors.rabbitmq.broker_errors import DRIVER_ERRORS, translated
from ringfence_sidecar.connectors.rabbitmq.connection import SILENCE, Connection, connect
from ringfence_sidecar.connectors.rabbitmq.leases import Group, Leases
from ringfence_sidecar.errors import BackendLostError

_IDLE_CHANNELS = 8
_WATCH_SECONDS = 1.0
_CLOSE_SECONDS = 2.0


class Session:
    """One connection. It never comes back by itself: once lost, all that lived on it is lost."""

    def __init__(self, endpoint: Endpoint, leases: Leases) -> None:
        self.endpoint = endpoint
        self.is_lost = False
        self.channels_open = 0
        self.consume_only: set[str] = set()
        """Queues that hand nothing out to who asks for a single message."""
        self._leases = leases
        self._connection: Connection | None = None
        self._groups: dict[AbstractChannel, Group] = {}
        self._idle: list[AbstractChannel] = []
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
    def is_busy(self) -> bool:
        """True while a message is held on it."""
        return any(group.leases for group in self._groups.values())

    @property
    def broker_version(self) -> tuple[int, ...]:
        """The broker's version, as it says; (0,) if it does not."""
        text = str(self._underlay().server_properties.get("version", "")) if self._connection else ""
        return tuple(int(part) for part in text.split(".") if part.isdecimal()) or (0,)

    async def channel(self, *, confirms: bool = False) -> AbstractChannel:
        """Return a new channel. Raises BackendLostError."""
        with translated(f"endpoint {self.endpoint.name}"):
            channel: AbstractChannel = await self._underlay().channel(
                publisher_confirms=confirms, on_return_raises=False
            )
        self.channels_open += 1
        channel.closing.add_done_callback(lambda _: self._is_closed(channel))
        return channel

    async def group(self, queue: str, prefetch: int) -> Group:
        """Return a channel for what one call receives."""
        channel = self._idle_channel() or await self.channel()
        group = Group(channel, queue, self.endpoint.name, prefetch, self._recycle)
        self._groups[channel] = group
        if channel.is_closed or self.is_lost:
            self._end(group)
            raise BackendLostError(f"endpoint {self.endpoint.name}: the connection to the broker broke")
        return group

    def discard(self, group: Group) -> None:
        """Close a group's channel: all that was delivered on it goes back to the queue."""
        self._end(group)
        self.background(self.close_channel(group.channel))

    async def close_channel(self, channel: AbstractChannel) -> None:
        """Close it, if it is still open; never raises."""
        with suppress(*DRIVER_ERRORS, TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await channel.close()

    def background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run it beside the calls, until the session is closed."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

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
            raise BackendLostError(f"endpoint {self.endpoint.name}: the connection to the broker broke")
        return self._connection.transport.connection

    def _idle_channel(self) -> AbstractChannel | None:
        while self._idle:
            channel = self._idle.pop()
            if not channel.is_closed:
                return channel
        return None

    def _recycle(self, group: Group) -> None:
        self._groups.pop(group.channel, None)
        if group.channel.is_closed:
            return
        if len(self._idle) < _IDLE_CHANNELS and not self.is_lost:
            self._idle.append(group.channel)
        else:
            self.background(self.close_channel(group.channel))

    def _end(self, group: Group) -> None:
        if self._groups.get(group.channel) is group:
            del self._groups[group.channel]
            self._leases.lose(group)

    def _lose(self) -> None:
        """End all leases, now: the broker may hand the messages to others from here on."""
        self.is_lost = True
        for group in tuple(self._groups.values()):
            self._end(group)

    def _is_closed(self, channel: AbstractChannel) -> None:
        self.channels_open -= 1
        if (group := self._groups.get(channel)) is not None:
            self._end(group)

    async def _watch(self, connection: Connection) -> None:
        while not self.is_lost:
            await asyncio.sleep(_WATCH_SECONDS)
            if connection.silence > SILENCE:
                self._lose()
        connection.abort()
