"""A session with a broker: a connection that leases live on, and one for publishing once something is published."""

import asyncio

from aiormq.channel import Channel

from ringfence_sidecar.configuration import Auth, Endpoint
from ringfence_sidecar.connectors.rabbitmq.leases import Group, Leases
from ringfence_sidecar.connectors.rabbitmq.link import Link

_IDLE_CHANNELS = 8


class Session:
    """Once its first connection is lost, all that lived on it is, and it is of no use any longer.

    What publishes has a connection of its own: a broker that is short of memory reads nothing more from a connection
    that publishes, and acknowledgements are what it needs most then.
    """

    def __init__(self, endpoint: Endpoint, auth: Auth, leases: Leases, *, name: str, seconds: float) -> None:
        self.endpoint = endpoint
        self.link = Link(endpoint, on_lost=self._lose, on_closed=self._close)
        self.consume_only: set[str] = set()
        """Queues that hand nothing out to who asks for a single message."""
        self._auth = auth
        self._leases = leases
        self._name = name
        self._seconds = seconds
        self._publishing: Link | None = None
        self._opening = asyncio.Lock()
        self._groups: dict[Channel, Group] = {}
        self._idle: list[Channel] = []

    async def open(self) -> None:
        """Log in. Raises BackendLostError or BackendError."""
        await self.link.open(self._auth, name=self._name, seconds=self._seconds)

    async def publishing(self) -> Link:
        """Return the connection for publishing, opened if need be. Raises BackendLostError or BackendError."""
        async with self._opening:
            link = self._publishing
            if link is None or not link.is_usable:
                if link is not None:
                    await link.close()
                link = self._publishing = Link(self.endpoint)
                await link.open(self._auth, name=f"{self._name} publishing", seconds=self._seconds)
            return link

    @property
    def is_usable(self) -> bool:
        """False once the connection that leases live on is gone."""
        return self.link.is_usable

    @property
    def is_busy(self) -> bool:
        """True while a message is held on it."""
        return any(group.leases for group in self._groups.values())

    @property
    def channels_open(self) -> int:
        """How many channels there are."""
        return self.link.channels_open + (self._publishing.channels_open if self._publishing else 0)

    async def group(self, queue: str, prefetch: int) -> Group:
        """Return a channel for what one call receives."""
        channel = self._idle_channel() or await self.link.channel()
        group = Group(channel, queue, self.endpoint.name, prefetch, self._recycle)
        self._groups[channel] = group
        if channel.is_closed or self.link.is_lost:
            self._end(group)
            raise self.link.lost_error()
        return group

    def discard(self, group: Group) -> None:
        """Close a group's channel: all that was delivered on it goes back to the queue."""
        self._end(group)
        self.link.background(self.link.close_channel(group.channel))

    async def close(self) -> None:
        """Say goodbye to the broker within a bound; never raises."""
        links = [self.link, self._publishing] if self._publishing is not None else [self.link]
        await asyncio.gather(*(link.close() for link in links if link is not None))

    def _idle_channel(self) -> Channel | None:
        while self._idle:
            channel = self._idle.pop()
            if not channel.is_closed:
                return channel
        return None

    def _recycle(self, group: Group) -> None:
        self._groups.pop(group.channel, None)
        if group.channel.is_closed:
            return
        if len(self._idle) < _IDLE_CHANNELS and self.is_usable:
            self._idle.append(group.channel)
        else:
            self.link.background(self.link.close_channel(group.channel))

    def _end(self, group: Group) -> None:
        if self._groups.get(group.channel) is group:
            del self._groups[group.channel]
            self._leases.lose(group)

    def _lose(self) -> None:
        """End all leases, now: the broker may hand the messages to others from here on."""
        for group in tuple(self._groups.values()):
            self._end(group)

    def _close(self, channel: Channel) -> None:
        if (group := self._groups.get(channel)) is not None:
            self._end(group)
