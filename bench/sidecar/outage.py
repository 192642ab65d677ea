"""A Redis that is killed, and one that hangs, under load."""

import asyncio
import time
from collections.abc import Callable

from bench.quantile import quantile
from bench.row import Row, for_comparison
from bench.sidecar.bed import Bed, configuration
from bench.sidecar.client import Answer
from bench.sidecar.driver import READ, make_items
from bench.sidecar.hits import KEPT, KEYS
from bench.sidecar.load import Attempt, Load
from bench.sidecar.process import Sidecar
from tests.backends.redis_server import RedisServer

PODS = 3
RATE = 50.0
"""Of each pod."""
SECONDS, QUICK_SECONDS = 6, 2
HICCUP = 0.05


async def measure_outage(bed: Bed) -> list[Row]:
    """Reads that are kept, on several sidecars; Redis ends, and comes back, and then says nothing any more."""
    server, _ = bed.snowflake()
    connector = bed.warehouse(server, cache=KEPT)
    await make_items(connector)
    redis = bed.redis()
    sidecars = [bed.sidecar(configuration(connector, redis=redis.configuration())) for _ in range(PODS)]
    for each in sidecars:
        await each.ready()
        await each.bound("warehouse")
        for number in range(KEYS):
            assert (await _read(each, number)).is_served
    killed = await _strike(bed, sidecars, redis.kill, "killed")
    await asyncio.to_thread(redis.start)
    await _until_back(sidecars, redis)
    return killed + await _strike(bed, sidecars, redis.freeze, "hanging")


async def _strike(bed: Bed, sidecars: list[Sidecar], strike: Callable[[], None], what: str) -> list[Row]:
    interval = bed.busy()
    loads = [Load(lambda number, at=each: _read(at, number), rate=RATE) for each in sidecars]  # type: ignore[misc]
    seconds = bed.count(SECONDS, QUICK_SECONDS)
    for load in loads:
        load.begin()
    await asyncio.sleep(seconds)
    struck = time.monotonic()
    await asyncio.to_thread(strike)
    await asyncio.sleep(seconds)
    pods = [await load.end() for load in loads]
    note = interval.note()
    bed.keep(f"redis {what}", [[[each.began - struck, each.seconds, each.fault] for each in pod] for pod in pods])
    return _rows(pods, struck, what, note)


def _rows(pods: list[list[Attempt]], struck: float, what: str, note: str) -> list[Row]:
    everything = [each for pod in pods for each in pod]
    failed = [each for each in everything if each.fault]
    before = [each.seconds * 1000 for each in everything if each.ended < struck]
    after = [[each for each in pod if each.ended >= struck] for pod in pods]
    slowest = max(each.seconds for pod in after for each in pod)
    warned = sum(each.warned for pod in after for each in pod)
    # Calls of one moment wait for the same answer that does not come: that is one hiccup.
    hiccups = max(moments(pod) for pod in after)
    usual = f"before it, p99 {quantile(before, 0.99):.1f}, slowest {max(before):.1f} ms; {note}"
    return [
        Row(f"Redis {what} under load: failed calls of {len(everything):,}", "0", len(failed), "", not failed),
        Row("  slowest call after it", "<= 50", round(slowest * 1000, 1), "ms", slowest <= HICCUP, usual),
        Row("  hiccups of a pod (calls above 25 ms), at most", "1", hiccups, "", hiccups <= 1),
        for_comparison("  calls that said so in a warning", warned, ""),
    ]


def moments(attempts: list[Attempt]) -> int:
    """Return how many times calls took longer than 25 ms, where those that overlap are one."""
    ended, count = float("-inf"), 0
    for each in attempts:
        if each.seconds > HICCUP / 2:
            count += each.began > ended
            ended = max(ended, each.ended)
    return count


async def _read(sidecar: Sidecar, number: int) -> Answer:
    return await sidecar.client.call("warehouse", "query", sql=READ, binds=[number % KEYS])


async def _until_back(sidecars: list[Sidecar], redis: RedisServer) -> None:
    with redis.client() as client:
        client.ping()
    async with asyncio.timeout(30):
        for each in sidecars:
            while True:
                if not (await _read(each, 0)).envelope["warnings"]:
                    break
                await asyncio.sleep(0.1)
