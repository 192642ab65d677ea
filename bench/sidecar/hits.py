"""What an answer takes that is kept already."""

import time

from bench.quantile import quantile
from bench.row import Row, at_most, for_comparison
from bench.sidecar.bed import Bed, configuration
from bench.sidecar.driver import READ, make_items
from bench.sidecar.process import Sidecar

COUNT, QUICK = 5_000, 500
KEYS = 20
KEPT = {"ttlSeconds": 3600}
PATH = "/v1/connectors/warehouse/query"


async def measure_hits(bed: Bed) -> list[Row]:
    """One sidecar that keeps answers itself, one that has room for none and asks Redis, and a health check of each."""
    server, _ = bed.snowflake()
    connector = bed.warehouse(server, cache=KEPT)
    await make_items(connector)
    redis = bed.redis().configuration()
    local, remote = (
        bed.sidecar(configuration(connector)),
        bed.sidecar(configuration(connector, redis=redis, local_bytes=1)),
    )
    for each in (local, remote):
        await each.ready()
        await each.bound("warehouse")
        for number in range(KEYS):
            await _ask(each, number)
    interval = bed.busy()
    samples, missed = await _take(local, remote, bed.count(COUNT, QUICK))
    note = interval.note()
    bed.keep("hits", samples)
    p50 = {name: round(quantile(each, 0.5), 3) for name, each in samples.items()}
    p99 = {name: round(quantile(each, 0.99), 3) for name, each in samples.items()}
    said = f"p50 {p50['redis']:g} ms; {missed} of them found Redis too slow and asked the backend"
    return [
        at_most("cache hit in-process over REST, p50", p50["local"], 1, "ms", f"p99 {p99['local']:g} ms"),
        at_most("cache hit in Redis over REST, p99", p99["redis"], 5, "ms", said),
        for_comparison("  in-process over MCP, p50", p50["mcp"], "ms", f"p99 {p99['mcp']:g} ms"),
        for_comparison("  GET /healthz of the same sidecar, p50", p50["nothing"], "ms", f"p99 {p99['nothing']:g} ms"),
        for_comparison("  the machine meanwhile", "", "", note),
    ]


async def _take(local: Sidecar, remote: Sidecar, count: int) -> tuple[dict[str, list[float]], int]:
    """Return milliseconds of each kind of hit, by turns, and how many were answered otherwise."""
    rest = [local.client.rest("POST", PATH, {"sql": READ, "binds": [number]}) for number in range(KEYS)]
    from_redis = [remote.client.rest("POST", PATH, {"sql": READ, "binds": [number]}) for number in range(KEYS)]
    tool = [local.client.mcp("warehouse_query", {"sql": READ, "binds": [number]}) for number in range(KEYS)]
    health = local.client.rest("GET", "/healthz")
    samples: dict[str, list[float]] = {name: [] for name in ("local", "redis", "mcp", "nothing")}
    missed = 0
    for number in range(count):
        ways = {
            "local": (local, rest[number % KEYS]),
            "redis": (remote, from_redis[number % KEYS]),
            "mcp": (local, tool[number % KEYS]),
            "nothing": (local, health),
        }
        for name, (sidecar, request) in ways.items():
            began = time.perf_counter()
            answer = await sidecar.client.send(request)
            seconds = time.perf_counter() - began
            assert answer.status == 200, answer.body
            # A Redis that was too slow is part of what a hit takes there, with the backend that was asked instead.
            missed += name in {"local", "redis"} and answer.envelope["metadata"]["cache"]["layer"] != name
            samples[name].append(seconds * 1000)
    return samples, missed


async def _ask(sidecar: Sidecar, number: int) -> None:
    answer = await sidecar.client.call("warehouse", "query", sql=READ, binds=[number % KEYS])
    assert answer.is_served, answer.body
