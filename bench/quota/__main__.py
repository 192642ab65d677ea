"""Measures quotas: counters with a real Redis on loopback, limits as they are kept on a cluster, a large fleet.

python -m bench.quota [--only ROW] [--quick] [--realtime] [--keep]
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager

import uvloop

from bench.quota.bed import Bed
from bench.quota.change import measure_change
from bench.quota.cluster import Cluster
from bench.quota.enforcement import measure_enforcement
from bench.quota.exactness import measure_exactness
from bench.quota.latency import measure_latency
from bench.quota.network import measure_network
from bench.quota.node import measure_node
from bench.quota.refusals import measure_refusals
from bench.quota.scale import measure_scale
from bench.report import Report, parser_of
from bench.row import Row
from bench.sidecar.priority import go_first
from devcluster.step import Progress

CLUSTER = "bench"
ON_LOOPBACK: dict[str, Callable[[Bed], Awaitable[Iterable[Row]]]] = {
    "latency": measure_latency,
    "enforcement": measure_enforcement,
    "refusals": measure_refusals,
    "exactness": measure_exactness,
}
ON_CLUSTER: dict[str, Callable[[Cluster], Iterable[Row]]] = {
    "change": measure_change,
    "node": measure_node,
    "network": measure_network,
}
SCALE = "scale"
"""Comes last: it has a cluster without a node to itself."""
NAMES = (*ON_LOOPBACK, *ON_CLUSTER, SCALE)


def main() -> int:
    """Measure, print a table, write the results; returns 1 if a row is missed, 2 if one could not be measured."""
    parser = parser_of("bench.quota", __doc__, NAMES, quick="few samples, small limits, and a small fleet")
    parser.add_argument(
        "--realtime",
        action="store_true",
        help="before all others on the processors (SCHED_RR), where a shared machine would be all that is seen",
    )
    parser.add_argument("--keep", action="store_true", help="take a cluster that is up, and leave it up; not for scale")
    options = parser.parse_args()
    if options.realtime:
        go_first()
    names = options.only or NAMES
    bed = Bed(Progress("bench-quota"), is_quick=options.quick)
    report = Report("quota", bed)
    try:
        bed.open()
        report.measure({name: _alone(ON_LOOPBACK[name]) for name in names if name in ON_LOOPBACK}, None)
        if on_cluster := [name for name in names if name in ON_CLUSTER]:
            with _cluster(bed, keep=options.keep) as cluster:
                report.measure({name: _there(ON_CLUSTER[name], cluster) for name in on_cluster}, None)
        if SCALE in names:
            report.measure({SCALE: _scoped}, None)
    finally:
        report.write()
    return report.verdict()


@contextmanager
def _cluster(bed: Bed, *, keep: bool) -> Iterator[Cluster]:
    """Have a cluster with the product installed, whose samples are the bed's."""
    cluster = Cluster(os.environ.get("RINGFENCE_BENCH_CLUSTER", CLUSTER), bed.progress, is_quick=bed.is_quick)
    cluster.raw = bed.raw
    try:
        cluster.open(is_fresh=not keep)
        yield cluster
    finally:
        if keep:
            cluster.clear()
        else:
            cluster.close()


def _alone(measure: Callable[[Bed], Awaitable[Iterable[Row]]]) -> Callable[[Bed], Iterable[Row]]:
    """Return the measurement with a loop and a scope of its own."""

    def run(bed: Bed) -> Iterable[Row]:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, bed.scope():
            return runner.run(measure(bed))  # type: ignore[arg-type] # an async function

    return run


def _there(measure: Callable[[Cluster], Iterable[Row]], cluster: Cluster) -> Callable[[Bed], Iterable[Row]]:
    """Return the measurement, which the report knows as one of the bed's, on that cluster."""
    return lambda _: measure(cluster)


def _scoped(bed: Bed) -> Iterator[Row]:
    with bed.scope():
        yield from measure_scale(bed)


if __name__ == "__main__":
    sys.exit(main())
