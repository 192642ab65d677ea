"""The counters alone: ten processes of five callers each, killed at random, and Redis restarted once."""

import asyncio
import random
import time
from collections.abc import Mapping

from bench.quota.pods import counting, limit
from bench.row import Row, for_comparison
from bench.sidecar.bed import EXACT, Bed
from ringfence_sidecar.configuration import Limit
from ringfence_sidecar.quotas.packing import LEASE_SECONDS
from tests.backends.redis_server import RedisServer
from tests.sidecar.quotas.fleet import Book, Fleet, Watch

PROCESSES, KILLS = 10, 6
CALLS, QUICK = 12_000, 2_000
LONGEST_SECONDS = 300


async def measure_store(bed: Bed) -> list[Row]:
    """Until every limit is used up, and a lease longer: what the dead held is used by others."""
    calls = bed.count(CALLS, QUICK)
    limits = limit("apiCalls", calls), limit("rows", calls * 6), limit("messagesPublished", calls // 2)
    server, chance = bed.redis(*EXACT), random.Random(1)
    fleet = Fleet(bed.directory("fleet"), server, limits, patience=0.045, lease=LEASE_SECONDS, beat=3.0)
    interval = bed.busy()
    try:
        with Watch(server, limits) as watch:
            fleet.start(PROCESSES)
            for number in range(KILLS):
                await _grown(watch, calls * (number + 1) / (KILLS + 2))
                await asyncio.to_thread(fleet.kill, chance.choice(fleet.workers))
                if number == KILLS // 2:
                    await _grown(watch, calls * (number + 1.5) / (KILLS + 2))
                    await asyncio.to_thread(server.kill)
                    await asyncio.to_thread(server.start)
            await _grown(watch, calls)
            await asyncio.sleep(2 * LEASE_SECONDS)
            await asyncio.to_thread(fleet.end)
            found = await _counters(watch, server, limits)
    finally:
        for each in fleet.workers:
            each.kill()
    book = fleet.book()
    bed.keep("store", {"highest": watch.highest, "found": found, "settled": book.settled, "unsure": book.unsure})
    return rows_of(limits, watch.highest, found, book, note=f"{watch.looks:,} looks; {interval.note()}")


def rows_of(
    limits: tuple[Limit, ...], highest: Mapping[str, float], found: Mapping[str, float], book: Book, *, note: str
) -> list[Row]:
    """Return what came of it: how far limits were passed, and how far counters are from what was settled.

    What a killed process was just saying may have been heard or not: a counter may be above by that, and no more.
    """
    over = max(0.0, *(highest.get(each.resource, 0.0) - each.max for each in limits))
    missing = sum(max(0.0, book.settled[name] - value) for name, value in found.items())
    added = sum(max(0.0, value - book.settled[name] - book.unsure[name]) for name, value in found.items())
    unused = sum(max(0.0, each.max - found[each.resource]) for each in limits if each.resource == "apiCalls")
    refused = sum(count for what, count in book.refusals.items() if what.startswith("QuotaExceeded"))
    what = f"counters alone, {PROCESSES} processes, 50 callers, {KILLS} killed, Redis restarted"
    return [
        Row(f"{what}: limit passed by", "0", over, "", over == 0, note),
        Row("  settled and not in the counter", "0", missing, "", missing == 0),
        Row("  in the counter and never settled", "0", added, "", added == 0),
        Row("  calls never granted of the limit", "0", unused, "", unused == 0),
        for_comparison("  calls served", book.calls, "", f"{refused:,} refused"),
        for_comparison("  calls that a killed process was just settling", book.unsure["apiCalls"], ""),
    ]


async def _grown(watch: Watch, calls: float) -> None:
    deadline = time.monotonic() + LONGEST_SECONDS
    while watch.highest.get("apiCalls", 0) < calls:
        if time.monotonic() > deadline:
            raise TimeoutError(f"calls do not go on: {watch.highest}")
        await asyncio.sleep(0.02)


async def _counters(watch: Watch, server: RedisServer, limits: tuple[Limit, ...]) -> dict[str, float]:
    pod = await counting(server.configuration(), limits, agent="last")
    await pod.close()
    with server.client() as client:
        return watch.look(client)
