"""A cluster with a pool, and what a run of claims from it has cost."""

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from bench.audit import Write
from bench.bed import FAKE_NODES, LOGS, Bed, finished
from bench.control.server import Ports, control_server
from bench.generator import Load, Running, Steps
from bench.manifests import AGENTS, PODS, Raw
from bench.pools.account import AGENT, on_path
from bench.pools.manifests import POOL, POOLS, claimant, pool
from bench.replica import Replica
from devcluster.errors import ApiError, ApiUnavailableError
from devcluster.kwok import PODS_PER_NODE, ensure_fake_nodes
from devcluster.step import Progress

STARTER = "docker.io/ringfence/starter:bench"
"""Of pods that nobody runs."""
FILL_SECONDS = 900.0
CONDITION = "Assigned"
"""On fake nodes no process runs, so nothing says that a command has begun."""


@dataclass(frozen=True, slots=True)
class Claims:
    """A run of claims. CPU is in seconds: the operator's, and the machine's without the load generator."""

    load: Load
    on_path: list[Write]
    """What the operator wrote of the claimed pods and of their agents."""
    writes: list[Write]
    """All that it wrote, until the pool was full again."""
    operator_cpu: float
    machine_cpu: float
    note: str

    @property
    def count(self) -> int:
        """How many claims there were."""
        return len(self.load.samples)


class PoolBed(Bed):
    """A bed with one pool in a namespace."""

    def __init__(self, name: str, progress: Progress, *, is_quick: bool = False) -> None:
        super().__init__(name, progress, is_quick=is_quick)
        self._spaces: list[str] = []

    def namespace(self) -> str:
        """Make a namespace, which `recover` empties if what was done in it fails."""
        name = super().namespace()
        self._spaces.append(name)
        return name

    def recover(self) -> None:
        """After a failure, leave nothing that the next measurement would be disturbed by."""
        self.end_processes()
        for name in list(self._spaces):
            # It is the failure that is told of, and not what is left of it.
            with suppress(ApiError, ApiUnavailableError, TimeoutError):
                self.clear(name)

    def make_room(self, pods: int) -> None:
        """Have fake nodes for so many pods."""
        ensure_fake_nodes(self.cluster, max(FAKE_NODES, ceil(pods / PODS_PER_NODE)), self.progress)

    @contextmanager
    def operating(self, **settings: str) -> Iterator[Replica]:
        """Have one replica that leads, and a control process beside it: without one, no pod of a pool is made."""
        with tempfile.TemporaryDirectory(prefix="bench-pools-") as directory:
            ports = Ports.beside(Path(directory))
            said = {"CONTROL_SOCKET": str(ports.socket), "STARTER_IMAGE": STARTER, **settings}
            with control_server(ports, LOGS / "control.log"), self.operator(**said) as operator:
                yield operator

    def fill(self, namespace: str, size: int) -> None:
        """Have a pool of that size, and wait until all of it is warm."""
        with self.progress.step(f"a pool of {size:,}", announce=True):
            self.api.apply(f"{POOLS.format(namespace)}/{POOL}", pool(size))
            self.until_warm(namespace, size)

    def until_warm(self, namespace: str, size: int) -> None:
        """Wait until so many pods are warm."""
        path = f"{POOLS.format(namespace)}/{POOL}"
        self.eventually(lambda: _warm(self.api.get(path)) == size, f"{size} warm pods", timeout=FILL_SECONDS, step=0.5)

    def claims(self, namespace: str, operator: Replica, *, size: int, prefix: str, count: int, rate: float) -> Claims:
        """Create agents that claim, wait for each, and then for the pool to be full again."""
        self.rest()
        mark, use, before, began = self.audit.mark(), operator.use(), self.busy(operator), time.monotonic()
        load = finished(self.start_claims(namespace, prefix=prefix, count=count, rate=rate))
        self.until_warm(namespace, size)
        operator.wait_idle()
        after, seconds = self.busy(operator), time.monotonic() - began
        writes = self.audit.by_operator(mark)
        claimed = {each.name for each in load.samples} | set(self.claimed_pods(namespace))
        self.keep(prefix, [(each.sent, each.acked, each.ready) for each in load.samples])
        return Claims(
            load=load,
            on_path=on_path(writes, claimed),
            writes=writes,
            operator_cpu=operator.use().cpu - use.cpu,
            machine_cpu=after.machine - before.machine - load.cpu,
            note=after.since(before, seconds=seconds, load=load.cpu),
        )

    def start_claims(
        self, namespace: str, *, prefix: str, count: int, rate: float, steps: Steps | None = None
    ) -> Running:
        """Begin to create agents that claim; with `steps`, the generator does for them what an operator would."""
        return self.start_load(
            AGENTS.format(namespace),
            claimant(),
            prefix=prefix,
            count=count,
            rate=rate,
            condition=CONDITION,
            steps=steps,
        )

    def clear(self, namespace: str) -> None:
        """Delete the pool, its pods and all agents."""
        self.api.delete(f"{POOLS.format(namespace)}/{POOL}")
        self.drop(namespace)
        with suppress(ValueError):
            self._spaces.remove(namespace)

    def claimed_pods(self, namespace: str) -> dict[str, str]:
        """Return the pods that are an agent's, each with its agent."""
        return {
            each["metadata"]["name"]: each["metadata"]["labels"][AGENT]
            for each in self.pods(namespace)
            if AGENT in each["metadata"]["labels"]
        }

    def pods(self, namespace: str) -> list[Raw]:
        """Return all pods of the namespace."""
        status, text = self.api.request("GET", PODS.format(namespace))
        if status != 200:
            raise RuntimeError(f"pods of {namespace}: {status}")
        found: list[Raw] = json.loads(text)["items"]
        return found


def _warm(body: Raw | None) -> int:
    return int((body or {}).get("status", {}).get("warm", 0))
