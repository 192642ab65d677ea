"""How long until the agent's process runs on the real node, with and without us."""

import time

from bench.bed import Bed
from bench.manifests import AGENTS, PODS, Raw, real_agent, same_without_operator
from bench.quantile import quantile
from bench.row import Row, at_most, for_comparison

COUNT = 20
QUICK = 5
REST = 1.0
"""Seconds between two starts: the machine is idle before each."""


def measure_cold_start(bed: Bed) -> list[Row]:
    """Agents and equal pods without us by turns, one at a time, the image present; both clocks are the host's."""
    bed.open(with_node=True)
    namespace = bed.namespace()
    count = QUICK if bed.is_quick else COUNT
    agents: list[float] = []
    pods: list[float] = []
    with bed.operator() as operator:
        started(bed, namespace, AGENTS.format(namespace), real_agent(), "first")
        pod = bed.api.get(f"{PODS.format(namespace)}/first")
        assert pod is not None
        alone = same_without_operator(pod)
        bed.drop(namespace)
        before, began = bed.busy(operator), time.monotonic()
        for number in range(count):
            agents.append(once(bed, namespace, AGENTS.format(namespace), real_agent(), f"agent-{number}"))
            pods.append(once(bed, namespace, PODS.format(namespace), alone, f"pod-{number}"))
        note = bed.busy(operator).since(before, seconds=time.monotonic() - began)
    bed.keep("cold start", {"agents": agents, "pods": pods})
    return _rows(agents, pods, note)


def once(bed: Bed, namespace: str, collection: str, manifest: Raw, name: str) -> float:
    """Return the seconds of one start, and leave nothing of it behind."""
    bed.rest(REST)
    seconds = started(bed, namespace, collection, manifest, name)
    bed.api.delete(f"{collection}/{name}")
    bed.await_pods(namespace, 0)
    return seconds


def started(bed: Bed, namespace: str, collection: str, manifest: Raw, name: str) -> float:
    """Create one object and return the seconds until the process in its pod said that it runs."""
    began = time.time_ns()
    bed.create(collection, manifest, name)
    said = _first_line(bed, f"{PODS.format(namespace)}/{name}/log")
    return (int(said) - began) / 1e9


def _first_line(bed: Bed, path: str) -> str:
    """Return what the process logged: the time is in it, so that asking often costs no precision."""
    text = ""

    def has_line() -> bool:
        nonlocal text
        status, text = bed.api.request("GET", path)
        return status == 200 and text.endswith("\n")

    bed.eventually(has_line, f"a line at {path}", step=0.2)
    return text.splitlines()[0]


def _rows(agents: list[float], pods: list[float], note: str) -> list[Row]:
    rows = []
    for share, limit in ((0.5, 1.5), (0.9, 2.0)):
        name = f"p{share * 100:.0f}"
        ours, alone = quantile(agents, share), quantile(pods, share)
        what = f"cold start, create -> process runs on the node, {name} of {len(agents)}"
        rows.append(at_most(what, round(ours, 3), limit, "s", note if share == 0.5 else ""))
        difference = f"with us {(ours - alone) * 1000:+.0f} ms"
        rows.append(for_comparison(f"  the same pod created without us, {name}", round(alone, 3), "s", difference))
    return rows
