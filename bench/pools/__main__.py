"""Measures claims of warm pods on a cluster of its own: python -m bench.pools [--only ROW] [--quick] [--keep].

All rows but `node` are of fake nodes, on which thousands of pods cost no more than their API objects.
"""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from bench.pools.bed import PoolBed
from bench.pools.claims import measure_burst, measure_highest, measure_rate, measure_serial, measure_steady
from bench.pools.floor import measure_floor
from bench.pools.kill import measure_kill
from bench.pools.node import RealNode, measure_node
from bench.report import Measured, Report, parser_of
from bench.row import Row
from devcluster.step import Progress

CLUSTER = "bench"
MEASURES: dict[str, Callable[[PoolBed], Iterable[Row]]] = {
    "serial": measure_serial,
    "rate": measure_rate,
    "floor": measure_floor,
    "burst": measure_burst,
    "steady": measure_steady,
    "kill": measure_kill,
    "highest": measure_highest,
}
NODE = "node"
"""Comes last: it has a cluster with a real node to itself."""


def main() -> int:
    """Measure, print a table, write the results; returns 1 if a row is missed, 2 if one could not be measured."""
    names = (*MEASURES, NODE)
    parser = parser_of("bench.pools", __doc__, names, quick="small pools, and few claims")
    parser.add_argument("--keep", action="store_true", help="leave the cluster up that was measured in last")
    options = parser.parse_args()
    wanted = options.only or names
    name = os.environ.get("RINGFENCE_BENCH_CLUSTER", CLUSTER)
    bed = PoolBed(name, Progress("bench-pools"), is_quick=options.quick)
    report: Report[Measured] = Report("pools", bed, on_failure=bed.recover)
    try:
        if fake := [each for each in wanted if each in MEASURES]:
            _on_fake_nodes(bed, report, fake, keep=options.keep)
        if NODE in wanted:
            report.measure({NODE: partial(_on_real_node, name, bed, options.keep)}, None)
    finally:
        report.write()
    return report.verdict()


def _on_fake_nodes(bed: PoolBed, report: Report[Measured], names: Sequence[str], *, keep: bool) -> None:
    try:
        bed.open()
        report.measure({each: partial(_there, MEASURES[each], bed) for each in names}, None)
    finally:
        # Whatever becomes of the cluster, what was found is kept.
        report.write()
        if keep:
            bed.end_processes()
        else:
            bed.close()


def _there(measure: Callable[[PoolBed], Iterable[Row]], bed: PoolBed, _: Measured) -> Iterable[Row]:
    return measure(bed)


def _on_real_node(name: str, bed: PoolBed, keep: bool, _: Measured) -> Iterable[Row]:
    node = RealNode(name, bed.progress, is_quick=bed.is_quick)
    node.raw = bed.raw
    try:
        node.open(is_fresh=True)
        yield from measure_node(node)
    finally:
        if not keep:
            node.close()


if __name__ == "__main__":
    sys.exit(main())
