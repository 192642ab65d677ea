"""Load on a broker that dies, and who holds what meanwhile."""

import asyncio
from collections import Counter

from ringfence_sidecar.errors import BackendLostError
from tests.backends.rabbitmq_server import RabbitMQServer
from tests.backends.waiting import eventually
from tests.sidecar.connectors.rabbitmq.workbench import Bench


async def declare(bench: Bench, server: RabbitMQServer, queue: str) -> None:
    """Declare a queue that outlives the broker's death."""
    await bench.call("declare", queue={"name": queue})
    await eventually(lambda: server.has_written(queue), what="the broker has written the queue's name")


async def restart(server: RabbitMQServer) -> None:
    """Kill the broker, and start it on what it had written."""
    server.kill()
    await asyncio.to_thread(server.start)


class Publishing:
    """Publishes until told to stop, and remembers what was confirmed and what may be there."""

    def __init__(self, bench: Bench, queue: str) -> None:
        self._bench = bench
        self._queue = queue
        self.confirmed: set[str] = set()
        self.unknown: set[str] = set()
        self.stop = asyncio.Event()

    async def run(self, worker: int) -> None:
        """Publish as one of several."""
        number = 0
        while not self.stop.is_set():
            bodies = [f"{worker}-{number}-{at}" for at in range(10)]
            number += 1
            try:
                answer = await self._bench.publish(self._queue, *bodies)
            except BackendLostError as error:
                if error.outcome_unknown:
                    self.unknown.update(bodies)
                await asyncio.sleep(0.05)
                continue
            for body, result in zip(bodies, answer["results"], strict=True):
                {"routed": self.confirmed, "unknown": self.unknown}[result["outcome"]].add(body)


class Holdings:
    """Who holds what, as the agents believe; a message in two hands is a failure."""

    def __init__(self) -> None:
        self.held: dict[object, str] = {}
        self.done: Counter[object] = Counter()
        self.clashes: list[str] = []

    def take(self, who: str, message: object) -> None:
        """Note that an agent has been given a message."""
        if message in self.held:
            self.clashes.append(f"{message} is held by {self.held[message]} and {who}")
        self.held[message] = who

    def give(self, message: object) -> None:
        """Note that it has let go of it."""
        del self.held[message]
