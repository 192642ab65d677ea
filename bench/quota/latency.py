"""What the quota step adds to a call."""

import time

from bench.quantile import quantile
from bench.quota.bed import Bed
from bench.quota.pods import ask, counting, limit
from bench.row import Row, at_most, for_comparison
from ringfence_sidecar.quotas.wire import packed

COUNT, QUICK = 5_000, 500
BUCKETS = (1, 4, 8)
P50, P99 = 0.3, 1.0
RESOURCES = (
    *("apiCalls", "queries", "rows", "bytesReturned"),
    *("querySeconds", "toolCalls", "messageBytes", "bytesScanned"),
)


async def measure_latency(bed: Bed) -> list[Row]:
    """One call after the other: all of its limits are asked, and then told what it used."""
    limits = [limit(resource, 1e12) for resource in RESOURCES]
    pod = await counting(bed.redis().configuration(), limits, agent="bench")
    samples: dict[str, list[float]] = {}
    interval = bed.busy()
    for _ in range(bed.count(COUNT, QUICK)):
        for buckets in BUCKETS:
            amounts = dict.fromkeys(RESOURCES[:buckets], 2.0)
            used = dict.fromkeys(RESOURCES[:buckets], 1.0)
            began = time.perf_counter()
            reservation = await pod.reserve(ask(**amounts))
            granted = time.perf_counter()
            await reservation.settle(used)
            ended = time.perf_counter()
            samples.setdefault(f"reserve {buckets}", []).append((granted - began) * 1000)
            samples.setdefault(f"settle {buckets}", []).append((ended - granted) * 1000)
        samples.setdefault("ping", []).append(await _ping(pod))
    note = interval.note()
    await pod.close()
    bed.keep("latency", samples)
    return _rows(samples, note)


async def _ping(pod: object) -> float:
    """Return milliseconds of a question that costs Redis nothing, on the same connection."""
    store = pod._store  # type: ignore[attr-defined] # noqa: SLF001 - what it is compared with
    began = time.perf_counter()
    await store._server.wire.ask(packed(b"PING"))  # noqa: SLF001
    return (time.perf_counter() - began) * 1000


def _rows(samples: dict[str, list[float]], note: str) -> list[Row]:
    rows = []
    for buckets in BUCKETS:
        name = f"added latency of the quota step, {buckets} bucket{'s' if buckets > 1 else ''}"
        found = samples[f"reserve {buckets}"]
        rows.append(at_most(f"{name}, p50", round(quantile(found, 0.5), 3), P50, "ms"))
        rows.append(at_most(f"{name}, p99", round(quantile(found, 0.99), 3), P99, "ms"))
        told = samples[f"settle {buckets}"]
        said = f"p99 {quantile(told, 0.99):.3f} ms"
        rows.append(for_comparison("  settlement after the call, p50", round(quantile(told, 0.5), 3), "ms", said))
    ping = samples["ping"]
    said = f"p99 {quantile(ping, 0.99):.3f} ms; {note}"
    rows.append(for_comparison("  PING on the same connection, p50", round(quantile(ping, 0.5), 3), "ms", said))
    return rows
