"""Measures the operator on a cluster of its own: python -m bench.operator [--only ROW] [--quick]."""

import os
import sys
from collections.abc import Callable

from bench.bed import Bed
from bench.measure.burst import measure_burst, measure_kill
from bench.measure.cold_start import measure_cold_start
from bench.measure.failover import measure_failover
from bench.measure.latency import measure_latency
from bench.measure.scale import measure_scale
from bench.measure.steady import measure_steady
from bench.measure.writes import measure_writes
from bench.report import Report, parser_of
from bench.row import Row
from devcluster.step import Progress

CLUSTER = "bench"
# In this order: the largest fleet ends its cluster, and the real node has one of its own.
MEASURES: dict[str, Callable[[Bed], list[Row]]] = {
    "writes": measure_writes,
    "latency": measure_latency,
    "steady": measure_steady,
    "burst": measure_burst,
    "kill": measure_kill,
    "failover": measure_failover,
    "scale": measure_scale,
    "cold-start": measure_cold_start,
}


def main() -> int:
    """Measure, print a table, write the results; returns 1 if a row is missed, 2 if one could not be measured."""
    parser = parser_of("bench.operator", __doc__, MEASURES, quick="fewer agents and half a minute of idleness")
    parser.add_argument("--keep", action="store_true", help="leave the cluster up")
    options = parser.parse_args()
    name = os.environ.get("RINGFENCE_BENCH_CLUSTER", CLUSTER)
    bed = Bed(name, Progress("bench-operator"), is_quick=options.quick)
    report = Report("operator", bed, on_failure=bed.end_processes)
    try:
        if options.only != ["cold-start"]:
            bed.open()
        report.measure(MEASURES, options.only)
    finally:
        if options.keep:
            bed.end_processes()
        else:
            bed.close()
        report.write()
    return report.verdict()


if __name__ == "__main__":
    sys.exit(main())
