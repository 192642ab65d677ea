"""What an answer takes that is kept already."""

from bench.quantile import quantile
from bench.row import Row, at_most, for_comparison
from bench.sidecar.bed import Bed, configuration
from bench.sidecar.client import is_tool_served
from bench.sidecar.driver import READ, make_items
from bench.sidecar.latency import take
from bench.sidecar.process import Sidecar

COUNT, QUICK = 5_000, 500
KEYS = 20
KEPT = {"ttlSeconds": 3600}


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
    ways = {
        "in-process": lambda number: _hit(local, number, "local"),
        "redis": lambda number: _hit(remote, number, "redis"),
        "mcp": lambda number: _tool(local, number),
        "nothing": lambda _: _health(local),
    }
    interval = bed.busy()
    samples = await take(ways, bed.count(COUNT, QUICK))
    note = interval.note()
    bed.keep("hits", samples)
    p50 = {name: round(quantile(each, 0.5), 3) for name, each in samples.items()}
    p99 = {name: round(quantile(each, 0.99), 3) for name, each in samples.items()}
    return [
        at_most("cache hit in-process over REST, p50", p50["in-process"], 1, "ms", f"p99 {p99['in-process']:g} ms"),
        at_most("cache hit in Redis over REST, p99", p99["redis"], 5, "ms", f"p50 {p50['redis']:g} ms"),
        for_comparison("  in-process over MCP, p50", p50["mcp"], "ms", f"p99 {p99['mcp']:g} ms"),
        for_comparison("  GET /healthz of the same sidecar, p50", p50["nothing"], "ms", f"p99 {p99['nothing']:g} ms"),
        for_comparison("  the machine meanwhile", "", "", note),
    ]


async def _ask(sidecar: Sidecar, number: int) -> str:
    answer = await sidecar.client.call("warehouse", "query", sql=READ, binds=[number % KEYS])
    assert answer.is_served, answer.body
    return str(answer.envelope["metadata"]["cache"]["layer"])


async def _hit(sidecar: Sidecar, number: int, layer: str) -> None:
    found = await _ask(sidecar, number)
    assert found == layer, found


async def _tool(sidecar: Sidecar, number: int) -> None:
    answer = await sidecar.client.tool("warehouse", "query", sql=READ, binds=[number % KEYS])
    assert is_tool_served(answer), answer.body


async def _health(sidecar: Sidecar) -> None:
    await sidecar.client.send(sidecar.client.rest("GET", "/healthz"))
