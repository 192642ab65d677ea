"""How many messages go through a sidecar, beside the driver alone."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aio_pika

from bench.row import Row, for_comparison
from bench.sidecar.bed import Bed, configuration
from bench.sidecar.client import Client

MESSAGES, QUICK = 6_000, 600
TURNS = 3
WINDOW = 100
"""Messages under way at once, in both ways."""
BODY = {"order": 4711, "text": "x" * 200}
QUEUES = {"alone": "bench-alone", "sidecar": "bench-sidecar", "single": "bench-single"}
Way = Callable[[int], Awaitable[None]]


async def measure_broker(bed: Bed) -> list[Row]:
    """Durable messages to a quorum queue and back, each confirmed and each acknowledged, both ways by turns."""
    server = bed.rabbitmq()
    limits = {"prefetch": WINDOW, "leases": 2 * WINDOW, "concurrency": 64}
    sidecar = bed.sidecar(configuration(bed.broker(server, limits=limits)))
    await sidecar.ready()
    await sidecar.bound("events")
    for queue in QUEUES.values():
        assert (await sidecar.client.call("events", "declare", queue={"name": queue})).is_served
    count = bed.count(MESSAGES, QUICK) // TURNS // WINDOW * WINDOW
    connection = await aio_pika.connect(server.url())
    ways = {**_by_sidecar(sidecar.client), **await _by_driver(connection)}
    interval = bed.busy()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, way in ways.items():
            began = time.perf_counter()
            await way(count // 4 if name == "publish one" else count)
            seconds[name].append(time.perf_counter() - began)
    note = interval.note()
    await connection.close()
    bed.keep("broker", seconds)
    rates = {name: round(count / min(each)) for name, each in seconds.items()}
    rates["publish one"] = round(count // 4 / min(seconds["publish one"]))
    rows = [
        _row("confirmed publishes", rates["publish sidecar"], rates["publish driver"]),
        _row("receives", rates["receive sidecar"], rates["receive driver"]),
    ]
    single = for_comparison("  publishes/s with one message a call", rates["publish one"], "1/s", f"{note}")
    return [*rows, single]


def _row(what: str, ours: int, theirs: int) -> Row:
    ratio = round(ours / theirs, 2)
    said = f"{ours:,} a second through the sidecar, {theirs:,} by aio-pika alone; best of {TURNS}"
    return Row(f"RabbitMQ, {what} beside aio-pika alone", ">= 0.5", ratio, "", ratio >= 0.5, said)


def _by_sidecar(client: Client) -> dict[str, Way]:
    half = WINDOW // 2

    async def publish(count: int) -> None:
        await _in_turn(count // half, 2, lambda _: _publish(client, QUEUES["sidecar"], half))

    async def publish_one(count: int) -> None:
        await _in_turn(count, 16, lambda _: _publish(client, QUEUES["single"], 1))

    async def receive(count: int) -> None:
        taken = 0
        while taken < count:
            answer = await client.call("events", "receive", queue=QUEUES["sidecar"], count=WINDOW, waitSeconds=5)
            assert answer.is_served, answer.body
            handles = [each["handle"] for each in answer.envelope["data"]["messages"]]
            assert handles, "nothing more came"
            settled = await client.call("events", "ack", handles=handles)
            assert settled.envelope["data"]["done"] == len(handles)
            taken += len(handles)

    return {"publish sidecar": publish, "receive sidecar": receive, "publish one": publish_one}


async def _publish(client: Client, queue: str, count: int) -> None:
    messages = [{"exchange": "", "routingKey": queue, "payload": BODY}] * count
    answer = await client.call("events", "publish", messages=messages)
    assert answer.is_served, answer.body
    assert answer.envelope["data"]["routed"] == count, answer.body


async def _by_driver(connection: Any) -> dict[str, Way]:
    channel = await connection.channel(publisher_confirms=True)
    await channel.set_qos(prefetch_count=WINDOW)
    body = str(BODY).encode()

    async def one(_: int) -> None:
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, routing_key=QUEUES["alone"], mandatory=True)

    async def publish(count: int) -> None:
        await _in_turn(count, WINDOW, one)

    async def receive(count: int) -> None:
        left = itertools.count(count - 1, -1)
        done = asyncio.Event()

        async def take(message: Any) -> None:
            await message.ack()
            if next(left) == 0:
                done.set()

        queue = await channel.get_queue(QUEUES["alone"])
        tag = await queue.consume(take)
        await asyncio.wait_for(done.wait(), 60)
        await queue.cancel(tag)

    return {"publish driver": publish, "receive driver": receive}


async def _in_turn(count: int, at_once: int, work: Callable[[int], Awaitable[None]]) -> None:
    numbers = iter(range(count))

    async def run() -> None:
        for number in numbers:
            await work(number)

    await asyncio.gather(*(run() for _ in range(at_once)))
