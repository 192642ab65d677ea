"""The program of measurements with real back ends on loopback."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

import uvloop

from bench.report import Report, parser_of
from bench.row import Row
from bench.sidecar.bed import Bed
from bench.sidecar.priority import go_first
from devcluster.step import Progress

Measure = Callable[[Bed], Awaitable[Iterable[Row]]]


def run(name: str, description: str | None, measures: Mapping[str, Measure], *, quick: str) -> int:
    """Measure, print a table, write the results; returns 1 if a row is missed, 2 if one could not be measured."""
    parser = parser_of(f"bench.{name}", description, measures, quick=quick)
    parser.add_argument(
        "--realtime",
        action="store_true",
        help="before all others on the processors (SCHED_RR), where a shared machine would be all that is seen",
    )
    options = parser.parse_args()
    if options.realtime:
        go_first()
    bed = Bed(Progress(f"bench-{name}"), is_quick=options.quick)
    report = Report(name, bed)
    try:
        bed.open()
        report.measure({each: _alone(measure) for each, measure in measures.items()}, options.only)
    finally:
        report.write()
    return report.verdict()


def _alone(measure: Measure) -> Callable[[Bed], Iterable[Row]]:
    """Return the measurement with a loop and a scope of its own."""

    def alone(bed: Bed) -> Iterable[Row]:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, bed.scope():
            return runner.run(measure(bed))  # type: ignore[arg-type] # an async function

    return alone
