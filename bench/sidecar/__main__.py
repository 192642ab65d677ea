"""Measures the sidecar with real back ends on loopback: python -m bench.sidecar [--only ROW] [--quick] [--realtime]."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable

import uvloop

from bench.report import Report, parser_of
from bench.row import Row
from bench.sidecar.bed import Bed
from bench.sidecar.broker import measure_broker
from bench.sidecar.footprint import measure_footprint
from bench.sidecar.hits import measure_hits
from bench.sidecar.invalidation import measure_invalidation
from bench.sidecar.killed import measure_killed
from bench.sidecar.latency import measure_latency
from bench.sidecar.outage import measure_outage
from bench.sidecar.pooling import measure_pooling
from bench.sidecar.priority import go_first
from bench.sidecar.restarted import measure_restarted
from bench.sidecar.skew import measure_skew
from bench.sidecar.start import measure_start
from devcluster.step import Progress

Measure = Callable[[Bed], Awaitable[Iterable[Row]]]
MEASURES: dict[str, Measure] = {
    "footprint": measure_footprint,
    "start": measure_start,
    "latency": measure_latency,
    "hits": measure_hits,
    "invalidation": measure_invalidation,
    "skew": measure_skew,
    "pooling": measure_pooling,
    "killed": measure_killed,
    "broker": measure_broker,
    "restarted": measure_restarted,
    "outage": measure_outage,
}


def main() -> int:
    """Measure, print a table, write the results; returns 1 if a row is missed, 2 if one could not be measured."""
    parser = parser_of("bench.sidecar", __doc__, MEASURES, quick="few samples, small caches and few sidecars")
    parser.add_argument(
        "--realtime",
        action="store_true",
        help="before all others on the processors (SCHED_RR), where a shared machine would be all that is seen",
    )
    options = parser.parse_args()
    if options.realtime:
        go_first()
    bed = Bed(Progress("bench-sidecar"), is_quick=options.quick)
    report = Report("sidecar", bed)
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
