"""Measures how a release comes, is upgraded under agents at work, and goes, on a cluster of its own.

python -m bench.upgrade [--only ROW] [--quick] [--keep] [--agents N] [--previous COMMIT]
"""

import os
import sys
from collections.abc import Callable, Iterable

from bench.report import Report, parser_of
from bench.row import Row
from bench.upgrade.bed import Bed
from bench.upgrade.quickstart import measure_quickstart
from bench.upgrade.rollout import measure_upgrade
from bench.upgrade.uninstall import measure_uninstall
from devcluster.step import Progress

CLUSTER = "bench"
AGENTS, QUICK_AGENTS = 50, 5
MEASURES: dict[str, Callable[[Bed], Iterable[Row]]] = {
    "quickstart": measure_quickstart,
    "upgrade": measure_upgrade,
    "uninstall": measure_uninstall,
}


def main() -> int:
    """Measure, print a table, write the results; returns 1 if a row is missed, 2 if one could not be measured."""
    parser = parser_of("bench.upgrade", __doc__, MEASURES, quick="few agents, and little time")
    parser.add_argument("--keep", action="store_true", help="take a cluster that is up, and leave it up")
    parser.add_argument("--previous", help="the commit to upgrade from, else the newest with other sources")
    parser.add_argument("--agents", type=int, help=f"how many call, else {AGENTS}; {QUICK_AGENTS} if quick")
    options = parser.parse_args()
    name = os.environ.get("RINGFENCE_BENCH_CLUSTER", CLUSTER)
    agents = options.agents or (QUICK_AGENTS if options.quick else AGENTS)
    bed = Bed(name, Progress("bench-upgrade"), agents=agents, previous=options.previous, is_quick=options.quick)
    report = Report("upgrade", bed)
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
