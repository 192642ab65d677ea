"""An endpoint of two that is killed under load."""

import asyncio
import os
import signal
import time

from bench.quantile import quantile
from bench.row import Row, at_most, for_comparison
from bench.sidecar.bed import Bed, configuration
from bench.sidecar.client import Answer
from bench.sidecar.driver import READ, REPEATED, repeat_items
from bench.sidecar.load import Attempt, Load

RATE, QUICK_RATE = 100, 30
WARM = 20
SECONDS, QUICK_SECONDS = 10, 3


async def measure_killed(bed: Bed) -> list[Row]:
    """Reads at a steady rate; the preferred endpoint ends as a machine that loses power, in the middle of them."""
    (first, pid), (second, _) = bed.snowflake(), bed.snowflake()
    connector = bed.warehouse(first, second)
    await repeat_items(connector, first, second)
    sidecar = bed.sidecar(configuration(connector))
    await sidecar.ready()
    await sidecar.bound("warehouse")

    async def read(number: int) -> Answer:
        return await sidecar.client.call("warehouse", "query", sql=READ, binds=[number % REPEATED])

    for number in range(WARM):
        assert (await read(number)).is_served
    rate, seconds = bed.count(RATE, QUICK_RATE), bed.count(SECONDS, QUICK_SECONDS)
    interval, load = bed.busy(), Load(read, rate=rate)
    load.begin()
    await asyncio.sleep(seconds)
    killed = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    await asyncio.sleep(seconds)
    attempts = await load.end()
    note = interval.note()
    bed.keep("killed", [[each.began - killed, each.ended - killed, each.endpoint, each.fault] for each in attempts])
    return _rows(attempts, killed, rate=rate, note=note)


def _rows(attempts: list[Attempt], killed: float, *, rate: int, note: str) -> list[Row]:
    failed = [each for each in attempts if each.fault]
    after = [each for each in attempts if each.ended > killed and not each.fault]
    other = min((each.ended for each in after if each.endpoint == "warehouse-2"), default=float("inf")) - killed
    slowest = max(each.seconds for each in around(attempts, killed))
    before = [each.seconds * 1000 for each in attempts if each.ended <= killed]
    reasons = ", ".join(sorted({each.fault for each in failed}))
    return [
        Row(f"endpoint killed under {rate} reads/s: failed reads", "0", len(failed), "", not failed, reasons),
        at_most("  time to the first answer of the other", round(other, 3), 1, "s"),
        # Sessions are opened with the other one meanwhile.
        for_comparison("  slowest read around it", round(slowest, 3), "s", note),
        for_comparison(
            "  reads before it, p50", round(quantile(before, 0.5), 1), "ms", f"p99 {quantile(before, 0.99):.1f} ms"
        ),
    ]


def around(attempts: list[Attempt], killed: float) -> list[Attempt]:
    """Return the calls that the death may have held up: under way then, or begun in the second after it."""
    return [each for each in attempts if each.ended > killed and each.began <= killed + 1.0 and not each.fault]
