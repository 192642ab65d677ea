"""Measures limits as they are kept on a cluster, and what a large fleet under many of them costs.

python -m bench.quota.on_cluster [--only ROW] [--quick] [--keep]
"""

import os
import sys
from collections.abc import Callable, Iterable
from functools import partial

from bench.quota.change import measure_change
from bench.quota.cluster import Cluster
from bench.quota.network import measure_network
from bench.quota.node import measure_node
from bench.quota.scale import measure_scale
from bench.report import Measured, Report, parser_of
from bench.row import Row
from devcluster.step import Progress

NAME = "bench"
MEASURES: dict[str, Callable[[Cluster], Iterable[Row]]] = {
    "change": measure_change,
    "node": measure_node,
    "network": measure_network,
}
SCALE = "scale"
"""Comes last: it has a cluster without a node to itself."""


def main() -> int:
    """Measure, print a table, write the results; returns 1 if a row is missed, 2 if one could not be measured."""
    names = (*MEASURES, SCALE)
    parser = parser_of("bench.quota.on_cluster", __doc__, names, quick="few samples, and a small fleet")
    parser.add_argument("--keep", action="store_true", help="take a cluster that is up, and leave it up; not for scale")
    options = parser.parse_args()
    wanted = options.only or names
    name = os.environ.get("RINGFENCE_BENCH_CLUSTER", NAME)
    cluster = Cluster(name, Progress("bench-quota-cluster"), is_quick=options.quick)
    report: Report[Measured] = Report("quota-cluster", cluster)
    try:
        if on_node := {each: partial(_there, MEASURES[each], cluster) for each in wanted if each in MEASURES}:
            try:
                cluster.open(is_fresh=not options.keep)
                report.measure(on_node, None)
            finally:
                if options.keep:
                    cluster.clear()
                else:
                    cluster.close()
        if SCALE in wanted:
            report.measure({SCALE: partial(measure_scale, name)}, None)
    finally:
        report.write()
    return report.verdict()


def _there(measure: Callable[[Cluster], Iterable[Row]], cluster: Cluster, _: Measured) -> Iterable[Row]:
    return measure(cluster)


if __name__ == "__main__":
    sys.exit(main())
