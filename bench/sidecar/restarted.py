"""A broker that is killed and started anew while messages are published."""

import asyncio
import itertools
import time

from bench.row import Row, for_comparison
from bench.sidecar.bed import Bed, configuration
from bench.sidecar.client import Client
from tests.backends.waiting import eventually

SECONDS, QUICK_SECONDS = 4, 1
PUBLISHERS = 8
BATCH = 5
QUEUE = "bench-orders"


class Publisher:
    """Publishes numbers until told to stop, and remembers what was confirmed."""

    def __init__(self, client: Client) -> None:
        self.confirmed: set[str] = set()
        self.sent = 0
        self.failed = 0
        self.stop = asyncio.Event()
        self._client = client
        self._numbers = itertools.count()

    async def run(self) -> None:
        """Publish, a few messages a call; what was not confirmed is not sent again."""
        while not self.stop.is_set():
            names = [f"order-{next(self._numbers)}" for _ in range(BATCH)]
            messages = [{"exchange": "", "routingKey": QUEUE, "payload": name, "messageId": name} for name in names]
            self.sent += BATCH
            answer = await self._client.call("events", "publish", messages=messages)
            if not answer.is_served:
                self.failed += 1
                await asyncio.sleep(0.1)
                continue
            results = answer.envelope["data"]["results"]
            self.confirmed.update(each["messageId"] for each in results if each["outcome"] == "routed")


async def measure_restarted(bed: Bed) -> list[Row]:
    """What was confirmed must all be there in the end."""
    server = bed.rabbitmq()
    sidecar = bed.sidecar(configuration(bed.broker(server)))
    await sidecar.ready()
    await sidecar.bound("events")
    assert (await sidecar.client.call("events", "declare", queue={"name": QUEUE})).is_served
    await eventually(lambda: server.has_written(QUEUE), what="the broker has written the queue's name")
    publisher, interval = Publisher(sidecar.client), bed.busy()
    running = [asyncio.create_task(publisher.run()) for _ in range(PUBLISHERS)]
    seconds = bed.count(SECONDS, QUICK_SECONDS)
    await asyncio.sleep(seconds)
    server.kill()
    await asyncio.to_thread(server.start)
    before = len(publisher.confirmed)
    await eventually(lambda: len(publisher.confirmed) > before, what="messages are confirmed again", seconds=60)
    await asyncio.sleep(seconds)
    publisher.stop.set()
    await asyncio.gather(*running)
    found = await _drained(sidecar.client)
    lost = publisher.confirmed - found
    again = len(publisher.confirmed) - before
    said = (
        f"{len(publisher.confirmed):,} confirmed, {again:,} of them after; {publisher.failed} calls refused meanwhile"
    )
    return [
        Row("broker killed and started under load: confirmed lost", "0", len(lost), "messages", not lost, said),
        for_comparison("  messages that were sent", publisher.sent, "messages", interval.note()),
    ]


async def _drained(client: Client) -> set[str]:
    """Take everything out of the queue: the endpoint may still be held to be down, for some seconds."""
    found: set[str] = set()
    deadline = time.monotonic() + 60
    while True:
        answer = await client.call("events", "receive", queue=QUEUE, count=100, waitSeconds=2)
        if not answer.is_served and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
            continue
        assert answer.is_served, answer.body
        messages = answer.envelope["data"]["messages"]
        if not messages:
            return found
        found.update(each["payload"] for each in messages)
        await client.call("events", "ack", handles=[each["handle"] for each in messages])
