"""Audit lines in a RabbitMQ stream: a log that readers do not empty."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from ringfence_sidecar.configuration import AuditStream

if TYPE_CHECKING:
    from aio_pika.abc import AbstractChannel, AbstractConnection

_TIMEOUT_SECONDS = 10.0


class NoStreamError(Exception):
    """The operator does not know where the stream is."""


class Stream:
    """Publishes to a stream queue, with confirms; declares it where it is missing, and leaves it alone otherwise.

    `place` is asked each time: its credential rotates. Where it says that there is no stream any longer, nothing is to
    be kept there.
    """

    name = "stream"

    def __init__(self, place: Callable[[], Awaitable[AuditStream | None]]) -> None:
        self._place = place
        self._connected: AuditStream | None = None
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None

    async def export(self, lines: list[bytes]) -> None:
        """See Exporter. Raises NoStreamError, OSError, or aio_pika's own errors."""
        place = await self._place()
        if place is None:
            await self.close()
            return
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                await self._publish(place, lines)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """See Exporter."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            await asyncio.wait([asyncio.ensure_future(connection.close())], timeout=_TIMEOUT_SECONDS)

    async def _publish(self, place: AuditStream, lines: list[bytes]) -> None:
        import aio_pika  # noqa: PLC0415 - only where a stream is configured

        channel = await self._ready(place)
        messages = (
            aio_pika.Message(line, content_type="application/json", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            for line in lines
        )
        published = (
            channel.default_exchange.publish(each, routing_key=place.name, mandatory=True) for each in messages
        )
        await asyncio.gather(*published)

    async def _ready(self, place: AuditStream) -> "AbstractChannel":
        if self._channel is None or self._channel.is_closed or self._connected != place:
            await self.close()
            self._connection = await _connect(place)
            self._channel, self._connected = await _channel(self._connection, place.name), place
        return self._channel


async def _connect(place: AuditStream) -> "AbstractConnection":
    import aio_pika  # noqa: PLC0415 - only where a stream is configured

    if not place.address:
        raise NoStreamError("the operator does not know the address of the audit's stream")
    return await aio_pika.connect(
        host=place.address,
        port=place.port,
        login=place.username,
        password=place.password,
        virtualhost=place.virtual_host,
        timeout=_TIMEOUT_SECONDS,
    )


async def _channel(connection: "AbstractConnection", queue: str) -> "AbstractChannel":
    """Return a channel, with the stream there: one that somebody has declared may have arguments of its own."""
    from aio_pika.exceptions import ChannelNotFoundEntity  # noqa: PLC0415 - only where a stream is configured

    channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
    try:
        await channel.declare_queue(queue, passive=True)
    except ChannelNotFoundEntity:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        await channel.declare_queue(queue, durable=True, arguments={"x-queue-type": "stream"})
    return channel
