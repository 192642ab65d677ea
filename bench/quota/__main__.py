"""Measures how quotas are counted, with a real Redis on loopback: python -m bench.quota [--only ROW] [--quick]."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable

import uvloop

from bench.quota.bed import Bed
from bench.quota.enforcement import measure_enforcement
from bench.quota.exactness import measure_exactness
from bench.quota.latency import measure_latency
from bench.quota.refusals import measure_refusals
from bench.report import Report, parser_of
from bench.row import Row
from bench.sidecar.priority import go_first
from devcluster.step import Progress

Measure = Callable[[Bed], Awaitable[Iterable[Row]]]
MEASURES: dict[str, Measure] = {
    "latency": measure_latency,
    "enforcement": measure_enforcement,
    "refusals": measure_refusals,
    "exactness": measure_exactness,
}


def main() -> int:
    """Measure, print a table, write the results; returns 1 if a row is missed, 2 if one could not be measured."""
    parser = parser_of("bench.quota", __doc__, MEASURES, quick="few samples and small limits")
    parser.add_argument(
        "--realtime",
        action="store_true",
        help="before all others on the processors (SCHED_RR), where a shared machine would be all that is seen",
    )
    options = parser.parse_args()
    if options.realtime:
        go_first()
    bed = Bed(Progress("bench-quota"), is_quick=options.quick)
    report = Report("quota", bed)
    try:
        bed.open()
        report.measure({name: _alone(measure) for name, measure in MEASURES.items()}, options.only)
    finally:
        report.write()
    return report.verdict()


def _alone(measure: Measure) -> Callable[[Bed], Iterable[Row]]:
    """Return the measurement with a loop and a scope of its own."""

    def run(bed: Bed) -> Iterable[Row]:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, bed.scope():
            return runner.run(measure(bed))  # type: ignore[arg-type] # an async function

    return run


if __name__ == "__main__":
    sys.exit(main())
