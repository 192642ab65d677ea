"""Measures the control channel of sidecars: python -m bench.control [--only ROW] [--quick]."""

import os
import sys
from collections.abc import Callable, Iterable

from bench.bed import Bed
from bench.control.change import measure_change
from bench.control.reconcile import measure_reconcile
from bench.report import Report, parser_of
from bench.row import Row
from devcluster.step import Progress

CLUSTER = "bench"
MEASURES: dict[str, Callable[[Bed], Iterable[Row]]] = {"change": measure_change, "reconcile": measure_reconcile}


def main() -> int:
    """Measure, print a table, write the results; returns 1 if a row is missed, 2 if one could not be measured."""
    options = parser_of("bench.control", __doc__, MEASURES, quick="fewer changes and agents").parse_args()
    name = os.environ.get("RINGFENCE_BENCH_CLUSTER", CLUSTER)
    bed = Bed(name, Progress("bench-control"), is_quick=options.quick)
    report = Report("control", bed, on_failure=bed.end_processes)
    has_cluster = options.only != ["change"]
    try:
        if has_cluster:
            bed.open()
        report.measure(MEASURES, options.only)
    finally:
        if has_cluster:
            bed.close()
        report.write()
    return report.verdict()


if __name__ == "__main__":
    sys.exit(main())
