"""A thousand agents at once, and the operator killed in the middle of that."""

import time

from bench.audit import Write, kinds, made_twice
from bench.bed import Bed
from bench.generator import Load
from bench.manifests import PODS
from bench.row import Row, at_most, for_comparison
from bench.usage import Use

COUNT = 1000
QUICK = 300


def measure_burst(bed: Bed) -> list[Row]:
    """1,000 agents created at once: until all are Ready, and what the operator used."""
    count = QUICK if bed.is_quick else COUNT
    namespace = bed.namespace()
    with bed.operator() as operator:
        bed.settle_namespace(namespace)
        bed.rest()
        before, began, use = bed.busy(operator), time.monotonic(), operator.use()
        load = bed.run_agents(namespace, prefix="burst", count=count)
        operator.wait_idle()
        note = bed.busy(operator).since(before, seconds=time.monotonic() - began, load=load.cpu)
        rows = _burst_rows(load, use, operator.use(), note)
    bed.keep("burst", [(each.sent, each.acked, each.ready) for each in load.samples])
    bed.drop(namespace)
    return rows


def _burst_rows(load: Load, before: Use, after: Use, note: str) -> list[Row]:
    count, cpu = len(load.samples), after.cpu - before.cpu
    return [
        for_comparison(f"{count:,} agents at once: all Ready after", round(load.all_ready, 1), "s", note),
        for_comparison("  the operator's CPU", round(cpu, 2), "s", f"{cpu / count * 1000:.1f} ms an agent"),
        at_most(
            "  the operator's memory, at most (RSS)", round(after.peak), 160, "MiB", f"{after.rss:.0f} MiB after it"
        ),
    ]


def measure_kill(bed: Bed) -> list[Row]:
    """The same, with kill -9 once a third of the pods is made; another replica starts at once."""
    count = QUICK if bed.is_quick else COUNT
    namespace = bed.namespace()
    with bed.operator() as first:
        bed.settle_namespace(namespace)
        bed.rest()
        mark = bed.audit.mark()
        run = bed.start_agents(namespace, prefix="kill", count=count)
        bed.eventually(lambda: pods_made(bed, mark) >= count // 3, "a third of the pods", step=0.02)
        first.kill()
        made_before = pods_made(bed, mark)
        second = bed.replica("two")
        load = run.result()
    second.wait_idle()
    bed.rest(5)
    writes = bed.audit.by_operator(mark)
    lost = count - bed.count(PODS.format(namespace)) + len(load.failures)
    twice = made_twice(writes)
    rows = _kill_rows(load, writes, lost, twice, f"killed when {made_before} of {count} pods were made")
    second.stop()
    bed.drop(namespace)
    return rows


def pods_made(bed: Bed, mark: int) -> int:
    """Return how many pods the operator has created since the mark."""
    wanted = ("create", "pods")
    return sum((write.verb, write.resource) == wanted and write.succeeded for write in bed.audit.by_operator(mark))


def _kill_rows(load: Load, writes: list[Write], lost: int, twice: list[str], note: str) -> list[Row]:
    count = len(load.samples)
    refused = [write for write in writes if not write.succeeded]
    note = f"{note}; {kinds(writes)}, of which refused, or cut off by the kill: {kinds(refused)}"
    extra = len(writes) - len(refused) - 2 * count
    return [
        at_most(f"operator killed (-9) amid {count:,} agents: lost", lost, 0, "agents", note),
        at_most("  pods created twice", len(twice), 0, "pods"),
        for_comparison("  all Ready after", round(load.all_ready, 1), "s", f"{extra:+d} writes beyond two an agent"),
    ]
