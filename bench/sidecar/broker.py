"""How many messages go through a sidecar, beside the driver alone."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import aio_pika

from bench.quantile import quantile
from bench.row import Row, for_comparison
from bench.sidecar.bed import Bed, configuration
from bench.sidecar.client import Client

MESSAGES, QUICK = 6_000, 600
TURNS = 3
WINDOW = 100
"""Messages under way at once, in both ways."""
BATCH = WINDOW // 2
"""Messages of a call, where a call has several. The driver has no such thing: it publishes one by one."""
SINGLES = 16
"""Messages under way at once where each has a call of its own, in both ways."""
BODY = {"order": 4711, "text": "x" * 200}
QUEUES = {
    "alone": "bench-alone",
    "sidecar": "bench-sidecar",
    "single": "bench-single",
    "single alone": "bench-single-alone",
}
Way = Callable[[int], Awaitable[None]]


async def measure_broker(bed: Bed) -> list[Row]:
    """Durable messages to a quorum queue and back, each confirmed and each acknowledged, both ways by turns."""
    server = bed.rabbitmq()
    # A receive brings as many messages as have room at their largest: with bodies of up to 1 MiB, that were 32.
    limits = {"prefetch": WINDOW, "leases": 2 * WINDOW, "concurrency": 64, "messageBytes": 65_536}
    sidecar = bed.sidecar(configuration(bed.broker(server, limits=limits)))
    await sidecar.ready()
    await sidecar.bound("events")
    for queue in QUEUES.values():
        assert (await sidecar.client.call("events", "declare", queue={"name": queue})).is_served
    count = bed.count(MESSAGES, QUICK) // TURNS // WINDOW * WINDOW
    connection = await aio_pika.connect(server.url())
    ways = {**_by_sidecar(sidecar.client), **await _by_driver(connection)}
    interval = bed.busy()
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, way in ways.items():
            messages = count // 4 if name.startswith("single") else count
            began = time.perf_counter()
            await way(messages)
            rates[name].append(messages / (time.perf_counter() - began))
    note = interval.note()
    await connection.close()
    bed.keep("broker", rates)
    return rows_of(rates, note)


def rows_of(rates: Mapping[str, Sequence[float]], note: str) -> list[Row]:
    """Return the rows of what was measured: messages a second in each turn, by way."""
    usual = {name: quantile(each, 0.5) for name, each in rates.items()}

    def ratio(ours: str, theirs: str) -> tuple[float, str]:
        said = f"{usual[ours]:,.0f} a second through the sidecar, {usual[theirs]:,.0f} by aio-pika alone; median turn"
        return round(usual[ours] / usual[theirs], 2), said

    published, received = ratio("publish sidecar", "publish driver"), ratio("receive sidecar", "receive driver")
    single, said = ratio("single sidecar", "single driver")
    return [
        _asked(f"RabbitMQ publishes, {BATCH} a call, beside aio-pika's", *published),
        _asked(f"RabbitMQ receives, {WINDOW} a call, beside aio-pika's", *received),
        for_comparison("  publishes, one a call, beside aio-pika's", single, "", f"{said}, {SINGLES} at once; {note}"),
    ]


def _asked(what: str, ratio: float, said: str) -> Row:
    return Row(what, ">= 0.5", ratio, "", ratio >= 0.5, said)


def _by_sidecar(client: Client) -> dict[str, Way]:
    async def publish(count: int) -> None:
        await _in_turn(count // BATCH, WINDOW // BATCH, lambda _: _publish(client, QUEUES["sidecar"], BATCH))

    async def single(count: int) -> None:
        await _in_turn(count, SINGLES, lambda _: _publish(client, QUEUES["single"], 1))

    async def receive(count: int) -> None:
        taken = 0
        while taken < count:
            answer = await client.call("events", "receive", queue=QUEUES["sidecar"], count=WINDOW, waitSeconds=5)
            assert answer.is_served, answer.body
            handles = [each["handle"] for each in answer.envelope["data"]["messages"]]
            assert len(handles) == min(WINDOW, count - taken), f"{len(handles)} came"
            settled = await client.call("events", "ack", handles=handles)
            assert settled.envelope["data"]["done"] == len(handles)
            taken += len(handles)

    return {"publish sidecar": publish, "receive sidecar": receive, "single sidecar": single}


async def _publish(client: Client, queue: str, count: int) -> None:
    messages = [{"exchange": "", "routingKey": queue, "payload": BODY}] * count
    answer = await client.call("events", "publish", messages=messages)
    assert answer.is_served, answer.body
    assert answer.envelope["data"]["routed"] == count, answer.body


async def _by_driver(connection: Any) -> dict[str, Way]:
    channel = await connection.channel(publisher_confirms=True)
    await channel.set_qos(prefetch_count=WINDOW)
    body = str(BODY).encode()

    async def one(queue: str) -> None:
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, routing_key=queue, mandatory=True)

    async def publish(count: int) -> None:
        await _in_turn(count, WINDOW, lambda _: one(QUEUES["alone"]))

    async def single(count: int) -> None:
        await _in_turn(count, SINGLES, lambda _: one(QUEUES["single alone"]))

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

    return {"publish driver": publish, "receive driver": receive, "single driver": single}


async def _in_turn(count: int, at_once: int, work: Callable[[int], Awaitable[None]]) -> None:
    numbers = iter(range(count))

    async def run() -> None:
        for number in numbers:
            await work(number)

    await asyncio.gather(*(run() for _ in range(at_once)))
