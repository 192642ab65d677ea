"""How soon a limit on bytes closes: python -m bench.quota.network [--quick] [--keep]."""

import json
import os
import sys
import time

from bench.egress.bed import Bed
from bench.quantile import quantile
from bench.report import Report, parser_of
from bench.row import Row, at_most, for_comparison
from devcluster.step import Progress
from tests.e2e.quotas.network.team import MEGA, Team, on_bytes, until_open
from tests.e2e.world import SCRIPTS, AgentHandle, World

CLUSTER = "bench"
COUNT, QUICK = 20, 3
ASKED = 5.0
"""Seconds from over-use to the cut."""
WAIT_SECONDS = 60.0


def measure_network(bed: Bed) -> list[Row]:
    """One agent uses up what two share: its own connection is cut to the byte, the other's when that has got about."""
    lags, beyond = [], []
    with bed.progress.step("limits used up", announce=True):
        for number in range(bed.count(COUNT, QUICK)):
            with World(bed.kube, "default") as world:
                lag, over = _use_up(world)
            lags.append(lag)
            beyond.append(over)
            bed.progress.note(f"{number + 1}: {lag:.2f} s, {over} bytes")
    bed.keep("network-quota", [{"seconds": lag, "beyond": over} for lag, over in zip(lags, beyond, strict=True)])
    what = "gateway bytes, Shared: used up by one agent -> an open connection of another cut"
    return [
        for_comparison(f"{what}, p50 of {len(lags)}", round(quantile(lags, 0.5), 2), "s"),
        at_most(f"{what}, the longest", round(max(lags), 2), ASKED, "s"),
        for_comparison("gateway bytes received beyond the limit by who used it up, the most", max(beyond), "bytes"),
    ]


def _use_up(world: World) -> tuple[float, int]:
    """Return the seconds from the first agent's cut to the other's, and the bytes that the first got beyond."""
    team = Team(world, [on_bytes(20 * MEGA, scope="Shared")])
    one = team.agent("one")
    keep = (SCRIPTS / "keep.py").read_text()
    other = team.agent("other", command=["python3", "-c", keep, "api.test"])
    until_open(one)
    _until_logged(other, "open")
    found = one.pod.script("download", "api.test", 100 * MEGA, seconds=90)
    return max(0.0, _until_logged(other, "cut") - found["at"]), max(0, found["received"] - 20 * MEGA)


def _until_logged(agent: AgentHandle, state: str) -> float:
    """Return when the agent's own connection came to that state, in Unix seconds."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        for line in agent.pod.logs().splitlines():
            at, _, what = json.loads(line)
            if what == state:
                return float(at)
        time.sleep(0.2)
    raise RuntimeError(f"the connection was not {state} within {WAIT_SECONDS:g} s")


def main() -> int:
    """Measure, print a table, write the results; returns 1 if a row is missed, 2 if one could not be measured."""
    measures = {"network": measure_network}
    parser = parser_of("bench.quota.network", __doc__, measures, quick="few samples")
    parser.add_argument("--keep", action="store_true", help="take a cluster that is up, and leave it up")
    options = parser.parse_args()
    bed = Bed(
        os.environ.get("RINGFENCE_BENCH_CLUSTER", CLUSTER), Progress("bench-quota-network"), is_quick=options.quick
    )
    report = Report("quota-network", bed)
    try:
        bed.open(is_fresh=not options.keep)
        report.measure(measures, options.only)
    finally:
        report.write()
        if options.keep:
            bed.clear()
        else:
            bed.close()
    return report.verdict()


if __name__ == "__main__":
    sys.exit(main())
