"""Whether a pass costs more when there are more agents."""

from bench.bed import RATE, Bed
from bench.quantile import Histogram
from bench.replica import Replica
from bench.row import Row, at_most, for_comparison

FLEETS = (100, 1000, 5000)
QUICK = (100, 1000)
MORE = 100
GROWTH_RATE = 100.0
TIME = "controller_runtime_reconcile_time_seconds"
FLAT = 1.5
"""The largest fleet's p50 may be this much of the smallest one's: two runs of one fleet differ by as much."""


def measure_scale(bed: Bed) -> list[Row]:
    """Time of the passes while 100 further agents are created at 20/s, at each size of the fleet.

    Comes last in its cluster: to take thousands of agents away would take longer than to begin anew.
    """
    namespace = bed.namespace()
    passes: dict[int, Histogram] = {}
    notes: dict[int, str] = {}
    with bed.operator() as operator:
        bed.settle_namespace(namespace)
        there = 0
        for fleet in QUICK if bed.is_quick else FLEETS:
            with bed.progress.step(f"a fleet of {fleet}", announce=True):
                bed.run_agents(namespace, prefix=f"to-{fleet}", count=fleet - there, rate=GROWTH_RATE)
                operator.wait_idle()
                bed.rest(5)
                passes[fleet], notes[fleet] = _more(bed, operator, namespace, fleet)
            there = fleet + MORE
    bed.keep("scale", {fleet: histogram.upto for fleet, histogram in passes.items()})
    return [row for fleet in passes for row in _rows(fleet, passes[fleet], notes[fleet])] + [_flat(passes)]


def _more(bed: Bed, operator: Replica, namespace: str, fleet: int) -> tuple[Histogram, str]:
    before = Histogram.from_text(operator.metrics(), TIME)
    cpu = operator.use().cpu
    load = bed.run_agents(namespace, prefix=f"at-{fleet}", count=MORE, rate=RATE)
    operator.wait_idle()
    during = Histogram.from_text(operator.metrics(), TIME).since(before)
    use = operator.use()
    note = (
        f"{during.count:.0f} passes, mean {during.mean * 1000:.2f} ms; create -> Ready p50 {load.ready(0.5):.1f}, "
        f"p99 {load.ready(0.99):.1f} ms; {(use.cpu - cpu) / MORE * 1000:.1f} ms CPU an agent; RSS {use.rss:.0f} MiB"
    )
    return during, note


def _rows(fleet: int, passes: Histogram, note: str) -> list[Row]:
    p50, p99 = (round(passes.quantile(share) * 1000, 2) for share in (0.5, 0.99))
    return [
        at_most(f"reconcile time at {fleet:,} agents, p50", p50, 4, "ms", note),
        for_comparison(f"  reconcile time at {fleet:,} agents, p99", p99, "ms"),
    ]


def _flat(passes: dict[int, Histogram]) -> Row:
    fleets = sorted(passes)
    ratio = passes[fleets[-1]].quantile(0.5) / passes[fleets[0]].quantile(0.5)
    return at_most(f"  p50 at {fleets[-1]:,} over p50 at {fleets[0]:,} agents", round(ratio, 2), FLAT, "x")
