"""What a sidecar holds in memory: with nothing bound, with both kinds, and at work."""

import asyncio
import itertools
import time
from collections.abc import Sequence

from bench.quantile import quantile
from bench.row import Row, at_most, for_comparison
from bench.sidecar.bed import Bed, configuration
from bench.sidecar.client import Answer, Client
from bench.sidecar.driver import READ, REPEATED, repeat_items
from bench.sidecar.load import Attempt, Call, Load
from bench.sidecar.memory import Memory
from bench.usage import Use

RATE = 100.0
LEAST_SHARE = 0.95
"""Of that rate, for the sidecar to have been busy with it."""
SECONDS, QUICK_SECONDS = 30, 5
SETTLE_SECONDS = 3.0
QUEUE = "bench-work"


async def measure_footprint(bed: Bed) -> list[Row]:
    """As the kernel says; at work, the most of what is seen each second."""
    bare = bed.sidecar(configuration())
    await bare.ready()
    await asyncio.sleep(SETTLE_SECONDS)
    nothing = Memory.of(bare.pid)
    bare.end()
    server, _ = bed.snowflake()
    warehouse, broker = bed.warehouse(server), bed.broker(bed.rabbitmq())
    await repeat_items(warehouse, server)
    both = bed.sidecar(configuration(warehouse, broker))
    await both.ready()
    await both.bound("warehouse", "events")
    assert (await both.client.call("events", "declare", queue={"name": QUEUE})).is_served
    assert (await both.client.call("warehouse", "query", sql=READ, binds=[1])).is_served
    await asyncio.sleep(SETTLE_SECONDS)
    idle = Memory.of(both.pid)
    return [
        at_most("resident memory, no Connector bound", nothing.rss, 40, "MiB", f"private {nothing.private:g} MiB"),
        for_comparison("both kinds bound, idle", idle.rss, "MiB", f"private {idle.private:g} MiB"),
        *await _busy(bed, both.client, both.pid),
    ]


async def _busy(bed: Bed, client: Client, pid: int) -> list[Row]:
    interval, before, began = bed.busy(), Use.of(pid).cpu, time.monotonic()
    load, seen = Load(work(client), rate=RATE), list[Memory]()
    load.begin()
    seconds = bed.count(SECONDS, QUICK_SECONDS)
    for _ in range(seconds):
        await asyncio.sleep(1.0)
        seen.append(Memory.of(pid))
    attempts = await load.end()
    elapsed = time.monotonic() - began
    cpu = (Use.of(pid).cpu - before) / len(attempts) * 1000
    bed.keep("footprint", {"rss": [each.rss for each in seen], "private": [each.private for each in seen]})
    times = [each.seconds * 1000 for each in attempts]
    said = f"{len(attempts):,} calls in {elapsed:.1f} s, p50 {quantile(times, 0.5):.1f} ms"
    return [
        at_most("both busy at 100 calls/s, half of them queries", max(each.rss for each in seen), 128, "MiB", said),
        *served(attempts, elapsed),
        for_comparison("  private part", max(each.private for each in seen), "MiB"),
        for_comparison("  CPU time of a call", round(cpu, 2), "ms", interval.note()),
    ]


def served(attempts: Sequence[Attempt], elapsed: float) -> list[Row]:
    """Return the rows that say whether the sidecar was at work at all: what it refuses takes no memory."""
    failed = sum(bool(each.fault) for each in attempts)
    rate, least = round((len(attempts) - failed) / elapsed, 1), LEAST_SHARE * RATE
    return [
        Row("  calls that failed", "0", failed, "", failed == 0),
        Row("  calls served", f">= {least:g}", rate, "1/s", rate >= least),
    ]


def work(client: Client) -> Call:
    """Return calls by turns: a query, a publish, a query, and a receive that acknowledges what came before it."""
    handles: list[str] = []
    numbers = itertools.count()

    async def receive() -> Answer:
        if handles:
            taken, handles[:] = handles[:], []
            await client.call("events", "ack", handles=taken)
        answer = await client.call("events", "receive", queue=QUEUE, count=5)
        if answer.is_served:
            handles.extend(each["handle"] for each in answer.envelope["data"]["messages"])
        return answer

    async def call(number: int) -> Answer:
        match number % 4:
            case 1:
                message = {"exchange": "", "routingKey": QUEUE, "payload": {"number": next(numbers)}}
                return await client.call("events", "publish", messages=[message])
            case 3:
                return await receive()
        return await client.call("warehouse", "query", sql=READ, binds=[number % REPEATED])

    return call
