"""Audit lines in a RabbitMQ stream: a log that readers do not empty."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aio_pika.abc import AbstractChannel, AbstractConnection

_TIMEOUT_SECONDS = 10.0


class Stream:
    """Publishes to a stream queue, with confirms. `url` is read anew for each connection: its Secret rotates."""

    name = "stream"

    def __init__(self, url_file: Path, queue: str) -> None:
        self._url_file = url_file
        self._queue = queue
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None

    async def export(self, lines: list[bytes]) -> None:
        """See Exporter. Raises OSError, or aio_pika's own errors."""
        import aio_pika  # noqa: PLC0415 - only where a stream is configured

        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                channel = await self._ready()
                await asyncio.gather(
                    *(
                        channel.default_exchange.publish(
                            aio_pika.Message(
                                line,
                                content_type="application/json",
                                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                            ),
                            routing_key=self._queue,
                            mandatory=True,
                        )
                        for line in lines
                    )
                )
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """See Exporter."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            await asyncio.wait([asyncio.ensure_future(connection.close())], timeout=_TIMEOUT_SECONDS)

    async def _ready(self) -> "AbstractChannel":
        import aio_pika  # noqa: PLC0415 - only where a stream is configured

        if self._channel is None or self._channel.is_closed:
            url = (await asyncio.to_thread(self._url_file.read_text)).strip()
            self._connection = await aio_pika.connect(url, timeout=_TIMEOUT_SECONDS)
            self._channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
            await self._channel.declare_queue(self._queue, durable=True, arguments={"x-queue-type": "stream"})
        return self._channel
