"""What a flood of the sidecars' door does to the operator's passes."""

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.bed import LOGS, Bed
from bench.control.flood import HELD, TOKENS_PER_SECOND
from bench.control.server import Ports, control_server
from bench.quantile import Histogram, quantile
from bench.replica import Replica
from bench.row import Row, at_most, for_comparison
from devcluster.cluster import REPOSITORY
from tests.ports import free_port

COUNT, RATE, ROUNDS = 120, 8.0, 5
"""Far from all that two cores can do: beside a flood, a queue that only grows would be all that is seen."""
QUICK_COUNT, QUICK_RATE, QUICK_ROUNDS = 40, 5.0, 6
PASSES = "controller_runtime_reconcile_time_seconds"


@dataclass(frozen=True, slots=True)
class _Found:
    """One run of agents: the operator's passes, and create -> Ready at the client, in milliseconds."""

    passes: Histogram
    ready: list[float]


def measure_reconcile(bed: Bed) -> Iterable[Row]:
    """Agents in turns with and without a flood from one address, and with one of a port that nobody serves.

    The flood has what CPU is left; what that alone does to passes, the last of the three shows.
    """
    count, rate, rounds = (QUICK_COUNT, QUICK_RATE, QUICK_ROUNDS) if bed.is_quick else (COUNT, RATE, ROUNDS)
    namespace = bed.namespace()
    ports = Ports.beside(LOGS)
    quiet: list[_Found] = []
    flooded: list[_Found] = []
    elsewhere: list[_Found] = []
    with control_server(ports, LOGS / "control.log") as control, bed.operator(CONTROL_SOCKET=str(ports.socket)) as it:
        bed.settle_namespace(namespace)
        bed.run_agents(namespace, prefix="warm", count=20, rate=rate)
        cpu, seconds, said = 0.0, 0.0, {}
        for number in range(rounds):
            quiet.append(_run(bed, it, namespace, f"quiet-{number}", count=count, rate=rate))
            with _flood(free_port(), count / rate + 10):
                elsewhere.append(_run(bed, it, namespace, f"elsewhere-{number}", count=count, rate=rate))
            with _flood(control.ports.sidecars, count / rate + 10) as flood:
                begin, used = time.monotonic(), control.use().cpu
                flooded.append(_run(bed, it, namespace, f"flood-{number}", count=count, rate=rate))
                seconds, cpu = seconds + time.monotonic() - begin, cpu + control.use().cpu - used
            said = json.loads(flood.communicate()[0])
        memory = control.use().peak
    bed.drop(namespace)
    runs = {"quiet": quiet, "elsewhere": elsewhere, "flooded": flooded}
    bed.keep("reconcile", {name: [each.ready for each in found] for name, found in runs.items()})
    return [*_rows(quiet, flooded), _apart(quiet, elsewhere), *_costs(cpu / seconds, memory, said)]


def _rows(quiet: list[_Found], flooded: list[_Found]) -> list[Row]:
    before, after = (_joined([each.passes for each in runs]) for runs in (quiet, flooded))
    ratio = after.quantile(0.99) / before.quantile(0.99)
    p99 = [f"{each.quantile(0.99) * 1000:.1f}" for each in (before, after)]
    what = f"control process under {HELD:,} connections and {TOKENS_PER_SECOND:,} bad tokens/s from one agent"
    means = " / ".join(f"{each.mean * 1000:.2f}" for each in (before, after))
    note = f"p99 {' / '.join(p99)} ms, mean {means} ms of {before.count:.0f} / {after.count:.0f} passes"
    ready = [[sample for each in runs for sample in each.ready] for runs in (quiet, flooded)]
    waits = " / ".join(f"{quantile(each, 0.99):.1f}" for each in ready)
    halves = " / ".join(f"{quantile(each, 0.5):.1f}" for each in ready)
    return [
        at_most(f"{what}: reconcile p99 beside quiet", round(ratio, 2), 2, "x", note),
        for_comparison("  create -> Ready at the client, quiet / flooded, p99", waits, "ms", f"p50 {halves}"),
    ]


def _apart(quiet: list[_Found], elsewhere: list[_Found]) -> Row:
    before, after = (_joined([each.passes for each in runs]).quantile(0.99) for runs in (quiet, elsewhere))
    what = "  the same flood of a port that nobody serves: reconcile p99 beside quiet"
    return for_comparison(what, round(after / before, 2), "x", f"p99 {after * 1000:.1f} ms")


def _costs(cpu: float, memory: float, said: dict[str, object]) -> list[Row]:
    note = f"the last flood: {said['outcomes']}, held at most {said['most_held']}, its own CPU {said['cpu']} s"
    return [
        for_comparison("  the control process under it", round(cpu * 100, 1), "% of a CPU", note),
        for_comparison("  its memory at most", round(memory, 1), "MiB"),
    ]


def _run(bed: Bed, operator: Replica, namespace: str, prefix: str, *, count: int, rate: float) -> _Found:
    bed.rest(1)
    before = Histogram.from_text(operator.metrics(), PASSES)
    load = bed.run_agents(namespace, prefix=prefix, count=count, rate=rate)
    passes = Histogram.from_text(operator.metrics(), PASSES).since(before)
    return _Found(passes, [each.latency for each in load.samples])


def _joined(several: list[Histogram]) -> Histogram:
    bounds = sorted({bound for each in several for bound in each.upto})
    upto = {bound: sum(each.upto.get(bound, 0.0) for each in several) for bound in bounds}
    return Histogram(upto, sum(each.total for each in several), sum(each.count for each in several))


@contextmanager
def _flood(port: int, seconds: float) -> "Iterator[subprocess.Popen[bytes]]":
    """Flood for so long. Niced: elsewhere an agent has another machine, or at least another's share of it."""
    argv = ["nice", "-n", "19", sys.executable, "-m", "bench.control.flood", str(port), str(seconds)]
    child = subprocess.Popen(argv, cwd=REPOSITORY, stdout=subprocess.PIPE)
    try:
        yield child
        child.wait(seconds + 30)
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
