"""What a pool saves against a connection for each call."""

from bench.quantile import quantile
from bench.row import Row, for_comparison
from bench.sidecar.bed import Bed, configuration
from bench.sidecar.driver import READ, Alone, repeat_items
from bench.sidecar.latency import WARM, take, ways_of

COUNT, QUICK = 300, 30


async def measure_pooling(bed: Bed) -> list[Row]:
    """The same read through the sidecar, and by the driver with a connection of its own, by turns."""
    server, _ = bed.snowflake()
    connector = bed.warehouse(server)
    await repeat_items(connector, server)
    sidecar = bed.sidecar(configuration(connector))
    await sidecar.ready()
    await sidecar.bound("warehouse")
    alone = await Alone.open(connector)

    async def by_itself(number: int) -> None:
        own = await Alone.open(connector)
        assert await own.ask(READ, number)
        await own.close()

    ways = {**ways_of(alone, sidecar.client), "new": by_itself}
    await take(ways, WARM // 10)
    interval = bed.busy()
    samples = await take(ways, bed.count(COUNT, QUICK))
    await alone.close()
    bed.keep("pooling", samples)
    pooled, new, kept = (quantile(samples[name], 0.5) for name in ("REST", "new", "driver"))
    less = round(100 * (1 - pooled / new), 1)
    said = f"p50 {pooled:.2f} ms pooled over REST, {new:.2f} ms with a connection for each call; {interval.note()}"
    return [
        Row("pooling: less latency than a connection per call", ">= 60", less, "%", less >= 60, said),
        for_comparison("  the driver alone on a kept connection, p50", round(kept, 2), "ms"),
    ]
