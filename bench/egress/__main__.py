"""Measures the egress gateway on a cluster of its own: python -m bench.egress [--only ROW] [--quick] [--keep]."""

import os
import sys
from collections.abc import Callable, Iterable

from bench.egress.bed import NAMES, Bed
from bench.egress.change import measure_change
from bench.egress.flood import measure_flood
from bench.egress.killed import measure_killed
from bench.egress.latency import measure_latency
from bench.egress.scale import measure_scale
from bench.egress.throughput import measure_throughput
from bench.egress.writes import measure_writes
from bench.report import Report, parser_of
from bench.row import Row
from devcluster.step import Progress

CLUSTER = "bench"
# In this order: first what wants a gateway that has done little, last what leaves most behind.
MEASURES: dict[str, Callable[[Bed], Iterable[Row]]] = {
    "latency": measure_latency,
    "throughput": measure_throughput,
    "change": measure_change,
    "writes": measure_writes,
    "flood": measure_flood,
    "killed": measure_killed,
    "scale": measure_scale,
}


def main() -> int:
    """Measure, print a table, write the results; returns 1 if a row is missed, 2 if one could not be measured."""
    parser = parser_of(
        "bench.egress", __doc__, MEASURES, quick="few samples, and tens of policies instead of a thousand"
    )
    parser.add_argument("--names", type=int, default=NAMES, help="allowed names of each of the thousand policies")
    parser.add_argument("--keep", action="store_true", help="take a cluster that is up, and leave it up")
    options = parser.parse_args()
    name = os.environ.get("RINGFENCE_BENCH_CLUSTER", CLUSTER)
    bed = Bed(name, Progress("bench-egress"), is_quick=options.quick, names=options.names)
    report = Report("egress", bed)
    try:
        bed.open(is_fresh=not options.keep)
        report.measure(MEASURES, options.only)
    finally:
        report.write()
        if options.keep:
            bed.clear()
        else:
            bed.close()
    return report.verdict()


if __name__ == "__main__":
    sys.exit(main())
