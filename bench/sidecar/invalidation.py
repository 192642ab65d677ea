"""What it takes to make 100,000 kept values worthless by their tag."""

import asyncio
import time
from typing import Any

from bench.quantile import quantile
from bench.row import Row, at_most, for_comparison
from bench.sidecar.bed import Bed, configuration
from bench.sidecar.client import Client
from bench.sidecar.process import Sidecar
from tests.backends.redis_server import RedisServer

ENTRIES, QUICK = 100_000, 5_000
TURNS = 20
SHARE = 500
WORKERS = 4


async def measure_invalidation(bed: Bed) -> list[Row]:
    """Values that a sidecar has set through its API, with as many tags as turns; another one forgets them."""
    server = bed.redis()
    filling, asking = (bed.sidecar(configuration(redis=server.configuration())) for _ in range(2))
    await asyncio.gather(filling.ready(), asking.ready())
    entries = bed.count(ENTRIES, QUICK)
    with bed.progress.step(f"{entries:,} values with {TURNS} tags each", announce=True):
        await _fill(filling.client, entries)
    alive = await _kept(asking, entries)
    assert alive == entries // SHARE, f"{alive} of {entries // SHARE} values can be had before they are forgotten"
    one = await _turn(asking, server, 0)
    left = await _kept(asking, entries)
    turns = [one, *[await _turn(asking, server, number) for number in range(1, TURNS)]]
    alone = [await _turn(asking, server, TURNS + number) for number in range(TURNS)]
    bed.keep("invalidation", {"tag of all": turns, "tag of none": alone})
    times = [seconds * 1000 for seconds, _ in turns]
    evals = max(count for _, count in turns)
    said = (
        f"{times[0]:.2f} ms for the first, when all were alive; {left} of {entries // SHARE} looked at lived on; "
        f"{server.client().dbsize():,} keys in Redis"
    )
    return [
        at_most(f"invalidation of {entries:,} entries by tag, p50", round(quantile(times, 0.5), 3), 5, "ms", said),
        for_comparison("  slowest of 20", round(max(times), 3), "ms"),
        for_comparison("  a tag that nothing has, p50", round(quantile([t * 1000 for t, _ in alone], 0.5), 3), "ms"),
        at_most("  commands to Redis", float(evals), 1, "", "as Redis counts them"),
        Row("  values that lived on", "0", left, "", left == 0),
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
    """Return the seconds, and how many commands Redis was sent."""
    request = sidecar.client.rest("POST", "/v1/cache/invalidate_tag", {"tag": f"tag-{number}"})
    with server.client() as client:
        before = _commands(client.info("commandstats"))
        began = time.perf_counter()
        answer = await sidecar.client.send(request)
        seconds = time.perf_counter() - began
        after = _commands(client.info("commandstats"))
    assert answer.is_served, answer.body
    return seconds, after - before


def _commands(statistics: Any) -> int:
    """Count what clients sent; what a script does inside of Redis is no round trip, and neither is our own look."""
    return int(statistics.get("cmdstat_eval", {}).get("calls", 0)) + sum(
        int(statistics.get(f"cmdstat_{name}", {}).get("calls", 0)) for name in ("mget", "del", "scan", "unlink", "get")
    )


async def _kept(sidecar: Sidecar, entries: int) -> int:
    """Return how many of every so many values can still be had."""
    found = 0
    for number in range(0, entries, SHARE):
        answer = await sidecar.client.send(sidecar.client.rest("GET", f"/v1/cache/key-{number}"))
        found += answer.is_served
    return found
