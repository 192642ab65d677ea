"""What it takes to make 100,000 kept values worthless by their tag."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from bench.quantile import quantile
from bench.quota.pods import limit
from bench.row import Row, at_most, for_comparison
from bench.sidecar.bed import Bed, configuration
from bench.sidecar.client import Client
from bench.sidecar.process import Sidecar
from tests.backends.redis_server import RedisServer

ENTRIES, QUICK = 100_000, 5_000
TURNS = 20
SHARE = 500
WORKERS = 4
SWEPT_SECONDS = 120
ROOM = limit("cacheBytes", 1e12, window="None", shared=False)
_READS = "total_reads_processed"


async def measure_invalidation(bed: Bed) -> list[Row]:
    """Values that a sidecar has set through its API, with as many tags as turns; another one forgets them."""
    server = bed.redis()
    filling, asking = (bed.sidecar(configuration(redis=server.configuration())) for _ in range(2))
    limited = bed.sidecar(configuration(redis=server.configuration(), limits=(ROOM,)))
    await asyncio.gather(filling.ready(), asking.ready(), limited.ready())
    entries = bed.count(ENTRIES, QUICK)
    with bed.progress.step(f"{entries:,} values with {TURNS} tags each", announce=True):
        await _fill(filling.client, entries)
    alive = await _kept(asking, entries)
    assert alive == entries // SHARE, f"{alive} of {entries // SHARE} values can be had before they are forgotten"
    one = await _turn(asking, server, 0)
    left = await _kept(asking, entries)
    turns = [one, *[await _turn(asking, server, number) for number in range(1, TURNS)]]
    alone = [await _turn(asking, server, TURNS + number) for number in range(TURNS)]
    there = server.client().dbsize()
    bed.keep("invalidation", {"tag of all": turns, "tag of none": alone})
    began = time.perf_counter()
    counted, _ = await _turn(limited, server, 0)
    await _until_swept(server, entries)
    swept = time.perf_counter() - began
    times = [seconds * 1000 for seconds, _ in turns]
    trips = one[1]
    said = f"{left} of {entries // SHARE} looked at lived on; {there:,} keys in Redis"
    return [
        at_most(f"invalidation of {entries:,} live entries by tag", round(times[0], 3), 5, "ms", said),
        for_comparison(f"  p50 of {TURNS}, the others of entries that are dead", round(quantile(times, 0.5), 3), "ms"),
        for_comparison("  slowest", round(max(times), 3), "ms"),
        for_comparison("  a tag that nothing has, p50", round(quantile([t * 1000 for t, _ in alone], 0.5), 3), "ms"),
        at_most("  round trips to Redis", float(trips), 1, "", "of whatever commands: requests that Redis has read"),
        Row("  values that lived on", "0", left, "", left == 0),
        for_comparison("  by an agent whose cacheBytes are limited", round(counted * 1000, 3), "ms"),
        for_comparison("  until what it counted of them has left Redis", round(swept, 2), "s"),
    ]


async def _fill(client: Client, entries: int) -> None:
    tags = [f"tag-{number}" for number in range(TURNS)]
    numbers = iter(range(entries))

    async def work() -> None:
        for number in numbers:
            body: dict[str, Any] = {"value": number, "tags": tags, "ttlSeconds": 3600}
            request, is_kept = client.rest("PUT", f"/v1/cache/key-{number}", body), False
            while not is_kept:  # on a machine this busy, Redis may be too slow for once: then it is only kept here
                answer = await client.send(request)
                assert answer.is_served, answer.body
                is_kept = not answer.envelope["warnings"]

    await asyncio.gather(*(work() for _ in range(WORKERS)))


async def _turn(sidecar: Sidecar, server: RedisServer, number: int) -> tuple[float, int]:
    """Return the seconds, and how many round trips to Redis it took."""
    request = sidecar.client.rest("POST", "/v1/cache/invalidate_tag", {"tag": f"tag-{number}"})
    with server.client() as client:
        before = client.info("stats")
        began = time.perf_counter()
        answer = await sidecar.client.send(request)
        seconds = time.perf_counter() - began
        after = client.info("stats")
    assert answer.is_served, answer.body
    return seconds, round_trips(before, after)


def round_trips(before: Mapping[str, Any], after: Mapping[str, Any]) -> int:
    """Return how many requests Redis has read between two looks, besides the second look itself.

    What a script calls inside of Redis is none, and commands that come together are one.
    """
    return int(after[_READS]) - int(before[_READS]) - 1


async def _until_swept(server: RedisServer, entries: int) -> None:
    async with asyncio.timeout(SWEPT_SECONDS):
        with server.client() as client:
            while int(client.dbsize()) > entries + entries // 10:  # noqa: ASYNC110 - each value has a counter, which stays
                await asyncio.sleep(0.02)


async def _kept(sidecar: Sidecar, entries: int) -> int:
    """Return how many of every so many values can still be had."""
    found = 0
    for number in range(0, entries, SHARE):
        answer = await sidecar.client.send(sidecar.client.rest("GET", f"/v1/cache/key-{number}"))
        found += answer.is_served
    return found
