"""What a queue holds, as the broker says."""

import asyncio

from ringfence import RabbitMQ

SECONDS = 10.0


async def ready(broker: RabbitMQ, queue: str) -> int:
    """Return how many messages wait in a queue."""
    return int((await broker.call("inspect", {"queue": queue})).data["ready"])


async def held(broker: RabbitMQ, queue: str) -> int:
    """Return how many messages of a queue this agent holds."""
    return int((await broker.call("inspect", {"queue": queue})).data["held"])


async def until_ready(broker: RabbitMQ, queue: str, count: int) -> None:
    """Return once so many messages wait, and none is held."""
    async with asyncio.timeout(SECONDS):
        while (await ready(broker, queue), await held(broker, queue)) != (count, 0):  # noqa: ASYNC110 - brokers tell nobody
            await asyncio.sleep(0.01)
