"""What the sidecar adds to a call to the backend."""

import random
import time
from collections.abc import Awaitable, Callable, Mapping

from bench.quantile import quantile
from bench.row import Row, at_most, for_comparison
from bench.sidecar.bed import Bed, configuration
from bench.sidecar.client import Client, is_tool_served
from bench.sidecar.driver import READ, REPEATED, Alone, repeat_items
from bench.usage import Use

COUNT, QUICK = 1_500, 200
WARM = 100
ASKED = {"REST": (1.0, 3.0), "MCP": (1.5, 4.0)}
Ways = Mapping[str, Callable[[int], Awaitable[None]]]
Samples = dict[str, list[float]]


async def measure_latency(bed: Bed) -> list[Row]:
    """The same reads by the driver alone, over REST and over MCP, one of each in turn, none of them kept."""
    server, _ = bed.snowflake()
    connector = bed.warehouse(server)
    await repeat_items(connector, server)
    sidecar = bed.sidecar(configuration(connector))
    await sidecar.ready()
    await sidecar.bound("warehouse")
    alone = await Alone.open(connector)
    ways = ways_of(alone, sidecar.client)
    await take(ways, WARM)
    interval = bed.busy()
    samples = await take(ways, bed.count(COUNT, QUICK))
    note = interval.note()
    bed.keep("latency", samples)
    cpu = await _cpu(sidecar.pid, ways["REST"], bed.count(500, 100))
    await alone.close()
    said = "its driver's part included"
    return [
        *rows_of(samples, note),
        for_comparison("  CPU time of the sidecar for a call over REST", round(cpu, 2), "ms", said),
    ]


def ways_of(alone: Alone, client: Client) -> Ways:
    """Return the ways of asking for one item."""

    async def by_driver(number: int) -> None:
        rows = await alone.ask(READ, number)
        assert len(rows) == 1

    async def by_rest(number: int) -> None:
        answer = await client.call("warehouse", "query", sql=READ, binds=[number])
        assert answer.is_served, answer.body

    async def by_mcp(number: int) -> None:
        answer = await client.tool("warehouse", "query", sql=READ, binds=[number])
        assert is_tool_served(answer), answer.body

    return {"driver": by_driver, "REST": by_rest, "MCP": by_mcp}


async def take(ways: Ways, count: int) -> Samples:
    """Return milliseconds of each way, of so many turns; who comes first in a turn is drawn."""
    samples: Samples = {name: [] for name in ways}
    order = list(ways.items())
    for _ in range(count):
        random.shuffle(order)
        for name, way in order:
            number = random.randrange(REPEATED)
            began = time.perf_counter()
            await way(number)
            samples[name].append((time.perf_counter() - began) * 1000)
    return samples


async def _cpu(pid: int, way: Callable[[int], Awaitable[None]], count: int) -> float:
    before = Use.of(pid).cpu
    for number in range(count):
        await way(number)
    return (Use.of(pid).cpu - before) / count * 1000


def rows_of(samples: Samples, note: str) -> list[Row]:
    """Return what each surface adds, and the whole times."""
    rows = []
    for surface, limits in ASKED.items():
        for (share, name), limit in zip(((0.5, "p50"), (0.99, "p99")), limits, strict=True):
            whole, alone = quantile(samples[surface], share), quantile(samples["driver"], share)
            said = f"with it {whole:.2f}, the driver alone {alone:.2f} ms; of {len(samples[surface]):,}"
            rows.append(
                at_most(f"added to a backend call over {surface}, {name}", round(whole - alone, 3), limit, "ms", said)
            )
    rows.append(for_comparison("  the machine meanwhile", "", "", note))
    return rows
