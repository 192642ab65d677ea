"""How long a claim takes on fake nodes, alone and among many, and what it costs."""

import time
from collections.abc import Iterator, Mapping

from bench.audit import kinds
from bench.pools.bed import Claims, PoolBed
from bench.row import Row, at_most, for_comparison

POOL, RATE, SECONDS = 1_050, 75.0, 10
SERIAL, GAP_RATE = 50, 5.0
BURST = 300
ASKED_RATE = 120.0
HIGHER, LOWER = (150.0, 180.0, 220.0), (90.0, 75.0, 60.0, 45.0, 30.0)
HELD_SECONDS, QUICK_SECONDS, HELD_P99 = 30, 3, 500.0
FLEET = 1_000
IDLE_SECONDS = 30.0
QUICK = 10
"""Everything is smaller by this."""


def measure_rate(bed: PoolBed) -> Iterator[Row]:
    """75 claims a second for ten seconds, from a pool of 1,050."""
    size, seconds = scaled(bed, POOL), scaled(bed, SECONDS)
    found = _run(bed, size=size, prefix="rate", count=int(RATE * seconds), rate=RATE)
    what = f"pool of {size:,}, {RATE:g} claims/s for {seconds} s"
    yield from _latency(found, what, 20, 80)
    yield at_most(
        "  API writes on a claim's path", round(len(found.on_path) / found.count, 2), 2, "", kinds(found.on_path)
    )
    yield at_most(
        "  API writes a claim, refill included",
        round(len(found.writes) / found.count, 2),
        4,
        "",
        kinds(found.writes),
    )
    yield at_most("  CPU per 1,000 claims: operator", round(found.operator_cpu / found.count * 1000, 1), 5, "s")
    yield at_most("  CPU per 1,000 claims: machine", round(found.machine_cpu / found.count * 1000, 1), 45, "s")


def measure_serial(bed: PoolBed) -> Iterator[Row]:
    """One claim after the other."""
    count = scaled(bed, SERIAL)
    found = _run(bed, size=count + 10, prefix="serial", count=count, rate=GAP_RATE)
    yield from _latency(found, f"{count} claims, one after the other", 12, 25)


def measure_burst(bed: PoolBed) -> Iterator[Row]:
    """Three hundred at once."""
    count = scaled(bed, BURST)
    found = _run(bed, size=count, prefix="burst", count=count, rate=0)
    yield at_most(f"{count} claims at once: p90", round(found.load.ready(0.9) / 1000, 2), 1.9, "s", found.note)
    yield at_most("  all assigned", round(found.load.all_ready, 2), 2, "s")


def measure_highest(bed: PoolBed) -> Iterator[Row]:
    """The highest rate that is kept up for half a minute; the pool has a pod for each claim."""
    late: dict[float, float] = {}
    seconds = QUICK_SECONDS if bed.is_quick else HELD_SECONDS

    def holds(rate: float) -> bool:
        late[rate] = _late(bed, rate, int(rate * seconds))
        return late[rate] <= HELD_P99

    if holds(ASKED_RATE):
        for rate in () if bed.is_quick else HIGHER:
            if not holds(rate):
                break
    else:
        for rate in () if bed.is_quick else LOWER:
            if holds(rate):
                break
    notes = "; ".join(f"{rate:g}/s p99 {found:.0f} ms" for rate, found in late.items())
    name = f"highest rate for {seconds} s with p99 <= {HELD_P99:g} ms"
    best = highest(late)
    yield Row(name, f">= {ASKED_RATE:g}", best, "/s", best >= ASKED_RATE, notes)


def highest(late: Mapping[float, float]) -> float:
    """Return the highest rate at which claims were in time, by how late they were at each; 0 if at none."""
    return max((rate for rate, found in late.items() if found <= HELD_P99), default=0.0)


def _late(bed: PoolBed, rate: float, count: int) -> float:
    """Return the p99 of claims at that rate; one that was never served counts as endless."""
    # What is claimed stays, and the pool fills up beside it.
    bed.make_room(2 * count)
    namespace, prefix = bed.namespace(), f"held-{rate:.0f}"
    with bed.operating() as operator:
        bed.fill(namespace, count)
        operator.wait_idle()
        bed.rest()
        load = bed.start_claims(namespace, prefix=prefix, count=count, rate=rate).result()
        bed.keep(prefix, [(each.sent, each.acked, each.ready) for each in load.samples])
        bed.clear(namespace)
    return load.ready(0.99)


def measure_steady(bed: PoolBed) -> Iterator[Row]:
    """A thousand warm and a thousand claimed: memory; writes while nothing happens, and of a restart."""
    count = scaled(bed, FLEET)
    namespace = bed.namespace()
    with bed.operating() as operator:
        bed.fill(namespace, count)
        bed.claims(namespace, operator, size=count, prefix="fleet", count=count, rate=50)
        what = f"{count:,} warm + {count:,} claimed"
        use = operator.use()
        yield at_most(f"{what}: the operator's memory (RSS)", round(use.rss), 100, "MiB", f"{use.peak:.0f} at most")
        bed.rest(15)
        mark = bed.audit.mark()
        bed.rest(IDLE_SECONDS)
        writes = bed.audit.by_operator(mark)
        yield at_most(f"  writes in {IDLE_SECONDS:.0f} idle s", len(writes), 0, "", kinds(writes))
        mark = bed.audit.mark()
    began = time.monotonic()
    with bed.operating() as operator:
        operator.wait_idle(passes=count)
        looked = time.monotonic() - began
        bed.rest(15)
        writes = bed.audit.by_operator(mark)
        said = f"{kinds(writes)}; all looked at after {looked:.1f} s"
        yield at_most("  writes of a restart", len(writes), 0, "", said)
        bed.clear(namespace)


def scaled(bed: PoolBed, number: int) -> int:
    """Return the number, or a tenth of it if all is to be quick."""
    return number // QUICK if bed.is_quick else number


def _run(bed: PoolBed, *, size: int, prefix: str, count: int, rate: float) -> Claims:
    namespace = bed.namespace()
    with bed.operating() as operator:
        bed.fill(namespace, size)
        operator.wait_idle()
        found = bed.claims(namespace, operator, size=size, prefix=prefix, count=count, rate=rate)
        bed.clear(namespace)
    return found


def _latency(found: Claims, what: str, p50: float, p99: float) -> list[Row]:
    return [
        at_most(f"{what}: created -> Assigned, p50", round(found.load.ready(0.5), 1), p50, "ms", found.note),
        at_most("  p99", round(found.load.ready(0.99), 1), p99, "ms"),
        for_comparison("  the POST alone, p50", round(found.load.acked(0.5), 1), "ms"),
    ]
