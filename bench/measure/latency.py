"""How long until a new agent is Ready, with and without us."""

import time

from bench.bed import RATE, Bed, finished
from bench.generator import Load
from bench.manifests import PODS, same_without_operator
from bench.row import Row, at_most, for_comparison

COUNT = 100


def measure_latency(bed: Bed) -> list[Row]:
    """100 agents at 20/s on fake nodes, between two runs of equal pods that are created without us."""
    namespace = bed.namespace()
    with bed.operator() as operator:
        pod = same_without_operator(bed.settle_namespace(namespace))
        bed.run_agents(namespace, prefix="warm", count=20, rate=RATE)

        def pods(prefix: str) -> Load:
            bed.rest()
            return finished(bed.start_load(PODS.format(namespace), pod, prefix=prefix, count=COUNT, rate=RATE))

        baseline = [pods("pod-a")]
        operator.wait_idle()
        bed.rest()
        before, began = bed.busy(operator), time.monotonic()
        cpu = operator.use().cpu
        agents = bed.run_agents(namespace, prefix="agent", count=COUNT, rate=RATE)
        note = bed.busy(operator).since(before, seconds=time.monotonic() - began, load=agents.cpu)
        cpu = operator.use().cpu - cpu
        baseline.append(pods("pod-b"))
    bed.drop(namespace)
    bed.keep("latency", {"agents": samples(agents), "pods": [samples(load) for load in baseline]})
    return [*_agents(agents, note), *_baseline(agents, baseline), _cpu(cpu)]


def samples(load: Load) -> list[tuple[float, float, float]]:
    """Return milliseconds after the start: sent, acknowledged, ready."""
    return [(each.sent, each.acked, each.ready) for each in load.samples]


def _agents(load: Load, note: str) -> list[Row]:
    what = f"create -> Ready at the client, {COUNT} agents at {RATE:g}/s"
    return [
        at_most(f"{what}, p50", round(load.ready(0.5), 1), 40, "ms", note),
        at_most(f"{what}, p99", round(load.ready(0.99), 1), 70, "ms"),
    ]


def _baseline(agents: Load, baseline: list[Load]) -> list[Row]:
    rows = []
    for share, name in ((0.5, "p50"), (0.99, "p99")):
        without = [load.ready(share) for load in baseline]
        difference = agents.ready(share) - sum(without) / len(without)
        text = " / ".join(f"{each:.1f}" for each in without)
        note = f"before / after the agents; with us {difference:+.1f} ms against their mean"
        rows.append(for_comparison(f"  the same pods created without us, {name}", text, "ms", note))
    return rows


def _cpu(seconds: float) -> Row:
    return for_comparison("  the operator's CPU for one agent", round(seconds / COUNT * 1000, 1), "ms")
