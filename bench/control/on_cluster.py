"""Measures the control channel from the API server to an agent's call, on a cluster with the product installed.

python -m bench.control.on_cluster [--only ROW] [--quick] [--keep]
"""

import os
import sys
from collections.abc import Callable, Iterable

from bench.control.judged import measure_judged
from bench.quota.cluster import Cluster
from bench.report import Report, parser_of
from bench.row import Row
from devcluster.step import Progress

NAME = "bench"
MEASURES: dict[str, Callable[[Cluster], Iterable[Row]]] = {"judged": measure_judged}


def main() -> int:
    """Measure, print a table, write the results; returns 1 if a row is missed, 2 if one could not be measured."""
    parser = parser_of("bench.control.on_cluster", __doc__, MEASURES, quick="few changes")
    parser.add_argument("--keep", action="store_true", help="take a cluster that is up, and leave it up")
    options = parser.parse_args()
    name = os.environ.get("RINGFENCE_BENCH_CLUSTER", NAME)
    cluster = Cluster(name, Progress("bench-control-cluster"), is_quick=options.quick, servers=("redis", "snowflake"))
    report = Report("control-cluster", cluster)
    try:
        cluster.open(is_fresh=not options.keep)
        report.measure(MEASURES, options.only)
    finally:
        if options.keep:
            cluster.clear()
        else:
            cluster.close()
        report.write()
    return report.verdict()


if __name__ == "__main__":
    sys.exit(main())
