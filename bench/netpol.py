"""Measures how soon a NetworkPolicy is in force at 50 pods after its API write: python -m bench.netpol."""

import argparse
import json
import secrets
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.quantile import quantile
from bench.row import Row, at_most, for_comparison, table
from devcluster.cluster import REPOSITORY, cluster_name, find_cluster
from devcluster.step import Progress
from tests.cluster.api_server import ApiServer, Body
from tests.cluster.pod_network import Shell, build_pod, pod_addresses, program

OUT = REPOSITORY / "bench/out"
PODS = 50
TOGGLES = 60
LIMIT = 200.0  # milliseconds
PORT = 8080


class Bed:
    """A namespace with a client and the pods that one policy selects."""

    def __init__(self, kubeconfig: Path, pods: int) -> None:
        self.kube = ApiServer(kubeconfig)
        self.namespace = f"rf-bench-netpol-{secrets.token_hex(3)}"
        self._space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        self._kubeconfig = kubeconfig
        self._pods = pods

    def open(self) -> None:
        """Return when every pod is Ready."""
        self.kube.create(self._space).expect()
        cpu = {"requests": {"cpu": "500m"}}  # without a share of its own the prober is the slowest part
        client = build_pod(self.namespace, "client", {"app": "client"}, ["sleep", "infinity"], resources=cpu)
        servers = [
            build_pod(self.namespace, f"server-{number}", {"app": "server"}, program("echo", PORT))
            for number in range(self._pods)
        ]
        for pod in (client, *servers):
            self.kube.create(pod).expect()
        addresses = [pod_addresses(self.kube, pod, seconds=300)[0] for pod in (client, *servers)]
        self.targets = [[address, PORT] for address in addresses[1:]]
        self.shell = Shell(self._kubeconfig, self.namespace, "client")
        self.shell.ask(until=[True, self.targets])  # a pod is Ready before its program listens

    def close(self) -> None:
        """Delete the namespace, and do not wait for it."""
        self.kube.delete(self._space)
        self.kube.close()
        if hasattr(self, "shell"):
            self.shell.close()

    def toggle(self, *, is_open: bool) -> dict[str, Any]:
        """Write the policy; return the milliseconds from sending it to its answer, to the first pod, to the last."""
        with ThreadPoolExecutor(1) as pool:
            seen = pool.submit(self.shell.ask, until=[is_open, self.targets])
            sent = time.monotonic()
            self.kube.apply(self._policy(is_open=is_open)).expect()
            answered = time.monotonic()
            times = seen.result(timeout=30)
        in_ms = [(at - sent) * 1000 for at in (answered, min(times), max(times))]
        return {"open": is_open, **dict(zip(("answered", "first", "last"), in_ms, strict=True))}

    def _policy(self, *, is_open: bool) -> Body:
        spec = {
            "podSelector": {"matchLabels": {"app": "server"}},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "client"}}}]}] if is_open else [],
        }
        metadata = {"namespace": self.namespace, "name": "toggled"}
        return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def rows_of(samples: list[dict[str, Any]], pods: int) -> list[Row]:
    """Return the figures of the samples."""
    last = [sample["last"] for sample in samples]
    what = f"NetworkPolicy: API write sent -> in force at {pods} pods"
    note = f"{len(samples)} toggles of one policy, the last of {pods} pods counts, probed in turn over TCP"
    return [
        at_most(f"{what}, p50", round(quantile(last, 0.5), 1), LIMIT, "ms"),
        at_most(f"{what}, p99", round(quantile(last, 0.99), 1), LIMIT, "ms"),
        at_most(f"{what}, max", round(max(last), 1), LIMIT, "ms", note),
        for_comparison("of which the API write itself, p50", _median(samples, "answered"), "ms"),
        for_comparison("the first pod, p50", _median(samples, "first"), "ms"),
    ]


def _median(samples: list[dict[str, Any]], name: str) -> float:
    return round(quantile([sample[name] for sample in samples], 0.5), 1)


def measure(kubeconfig: Path, progress: Progress, *, pods: int, toggles: int) -> list[dict[str, Any]]:
    """Return one sample per toggle."""
    bed = Bed(kubeconfig, pods)
    try:
        with progress.step(f"{pods} pods Ready"):
            bed.open()
        bed.toggle(is_open=False)  # the first write creates the policy, and is not counted
        with progress.step(f"{toggles} toggles"):
            return [bed.toggle(is_open=number % 2 == 0) for number in range(toggles)]
    finally:
        bed.close()


def main() -> int:
    """Measure, print a table, write the results; returns 1 if a row is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.netpol", description=__doc__)
    parser.add_argument("--pods", type=int, default=PODS)
    parser.add_argument("--toggles", type=int, default=TOGGLES)
    options = parser.parse_args()
    cluster = find_cluster(cluster_name())
    if cluster is None:
        print("no cluster to measure: run make up", file=sys.stderr)
        return 2
    samples = measure(cluster.kubeconfig, Progress("bench-netpol"), pods=options.pods, toggles=options.toggles)
    rows = rows_of(samples, options.pods)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "netpol.json").write_text(json.dumps([row.as_json() for row in rows], indent=1) + "\n")
    (OUT / "netpol.raw.json").write_text(json.dumps(samples, indent=1) + "\n")
    print(table(rows))
    return 0 if all(row.holds is not False for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
