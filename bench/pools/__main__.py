"""Measures claims of warm pods on a cluster of its own: python -m bench.pools [--only ROW] [--quick] [--keep]."""

import os
import sys
from collections.abc import Callable, Iterable

from bench.pools.bed import PoolBed
from bench.pools.claims import measure_burst, measure_highest, measure_rate, measure_serial, measure_steady
from bench.pools.kill import measure_kill
from bench.report import Report, parser_of
from bench.row import Row
from devcluster.step import Progress

CLUSTER = "bench"
MEASURES: dict[str, Callable[[PoolBed], Iterable[Row]]] = {
    "serial": measure_serial,
    "rate": measure_rate,
    "burst": measure_burst,
    "steady": measure_steady,
    "kill": measure_kill,
    "highest": measure_highest,
}


def main() -> int:
    """Measure, print a table, write the results; returns 1 if a row is missed, 2 if one could not be measured."""
    parser = parser_of("bench.pools", __doc__, MEASURES, quick="small pools, and few claims")
    parser.add_argument("--keep", action="store_true", help="leave the cluster up")
    options = parser.parse_args()
    name = os.environ.get("RINGFENCE_BENCH_CLUSTER", CLUSTER)
    bed = PoolBed(name, Progress("bench-pools"), is_quick=options.quick)
    report: Report[PoolBed] = Report("pools", bed, on_failure=bed.end_processes)
    try:
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
