"""The cluster that everything is measured in, and what the measurements share."""

import itertools
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import yaml

from bench.audit import AuditLog
from bench.generator import Generator, Load, Running, Steps
from bench.manifests import AGENTS, PODS, Raw, fake_agent, named
from bench.replica import Replica
from bench.report import OUT, Measured
from bench.usage import Busy
from devcluster.addons import apply, apply_addons
from devcluster.api import Api
from devcluster.cluster import REPOSITORY, Cluster
from devcluster.down import down
from devcluster.errors import ApiError
from devcluster.kwok import ensure_fake_nodes
from devcluster.process import running
from devcluster.step import Progress
from devcluster.up import up

LOGS = OUT / "operator"
FAKE_NODES = 30
RATE = 20.0
CONFINED = {"pod-security.kubernetes.io/enforce": "restricted"}


class Bed(Measured):
    """A cluster of its own, a load generator and the operator's replicas; everything ends with `close`."""

    def __init__(self, name: str, progress: Progress, *, is_quick: bool = False) -> None:
        super().__init__(progress, is_quick=is_quick)
        self._name = name
        self._numbers = itertools.count(1)
        self._replicas: list[Replica] = []
        self._runs: list[Running] = []
        shutil.rmtree(LOGS, ignore_errors=True)
        LOGS.mkdir(parents=True)

    def open(self, *, with_node: bool = False) -> None:
        """Bring up a fresh cluster with the kinds and the operator's rights: with fake nodes, or with the real one."""
        self.end_processes()
        down(self._name)
        self.cluster: Cluster = up(self._name, self.progress, control_plane_only=not with_node)
        self.api = Api(self.cluster, timeout=60)
        self.audit = AuditLog(self.cluster.audit_log)
        self.generator = Generator(self.cluster, self.cluster.state)
        self.generator.build()
        if not with_node:
            apply_addons(self.cluster)  # kwok's rights are among them
            ensure_fake_nodes(self.cluster, FAKE_NODES, self.progress)
        with self.progress.step("kinds, operator's rights"):
            for path in sorted((REPOSITORY / "crds").glob("*.yaml")):
                apply(self.cluster, path.read_text())
            apply(self.cluster, _rights())
            self.eventually(lambda: self.api.get("/apis/ringfence.dev/v1alpha1") is not None, "the kinds are served")

    def close(self) -> None:
        """End what runs and take the cluster down."""
        self.end_processes()
        down(self._name)

    def end_processes(self) -> None:
        """End every replica and every run of the generator."""
        for run in self._runs:
            run.stop()
        for replica in self._replicas:
            replica.stop()
        self._replicas.clear()
        self._runs.clear()

    def replica(self, identity: str = "one", **settings: str) -> Replica:
        """Start a replica of the operator, with settings by their names in capitals."""
        made = Replica(self.cluster, identity, LOGS, **settings).start()
        self._replicas.append(made)
        return made

    @contextmanager
    def operator(self, **settings: str) -> Iterator[Replica]:
        """Have one replica that leads, with nothing left to do, and stop it in the end."""
        replica = self.replica(**settings)
        try:
            replica.wait_leading()
            replica.wait_idle()
            yield replica
        finally:
            replica.stop()

    def namespace(self) -> str:
        """Make a namespace that enforces Pod Security `restricted`."""
        name = f"bench-{next(self._numbers)}"
        self.api.apply(f"/api/v1/namespaces/{name}", _namespace(name))
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        self.eventually(lambda: self.api.get(account) is not None, f"namespace {name} has its service account")
        return name

    def settle_namespace(self, namespace: str) -> Raw:
        """Have one agent become Ready and go, so that the NetworkPolicies stand; return its pod."""
        self.run_agents(namespace, prefix="first", count=1)
        pod = self.api.get(f"{PODS.format(namespace)}/first-00000")
        assert pod is not None
        self.drop(namespace)
        return pod

    def start_agents(self, namespace: str, *, prefix: str, count: int, rate: float = 0) -> Running:
        """Begin to create agents for fake nodes."""
        return self.start_load(AGENTS.format(namespace), fake_agent(), prefix=prefix, count=count, rate=rate)

    def run_agents(self, namespace: str, *, prefix: str, count: int, rate: float = 0) -> Load:
        """Create agents for fake nodes and wait until each was ready. Raises RuntimeError if one was not."""
        return finished(self.start_agents(namespace, prefix=prefix, count=count, rate=rate))

    def start_load(
        self,
        collection: str,
        manifest: Raw,
        *,
        prefix: str,
        count: int,
        rate: float = 0,
        groups: int = 1,
        condition: str = "Ready",
        steps: Steps | None = None,
    ) -> Running:
        """Begin to create objects, of so many groups by turns, and to wait for a condition of each."""
        run = self.generator.start(
            collection,
            manifest,
            prefix=prefix,
            count=count,
            rate=rate,
            groups=groups,
            condition=condition,
            steps=steps,
        )
        self._runs.append(run)
        return run

    def create(self, collection: str, manifest: Raw, name: str) -> None:
        """Create one object."""
        status, text = self.api.request("POST", collection, named(manifest, name))
        if status >= 300:
            raise RuntimeError(f"POST {collection}: {status} {text}")

    def drop(self, namespace: str) -> None:
        """Delete every agent and pod of a namespace and wait until they are gone."""
        for collection in (AGENTS.format(namespace), PODS.format(namespace)):
            while self.count(collection):
                # Thousands may take the server longer than one request can last.
                with suppress(ApiError):
                    self.api.delete(collection)
        self.await_pods(namespace, 0)

    def await_pods(self, namespace: str, number: int) -> None:
        """Wait until there are so many pods in the namespace."""
        self.eventually(lambda: self.count(PODS.format(namespace)) == number, f"{number} pods", timeout=600)

    def count(self, collection: str) -> int:
        """Return how many objects there are."""
        page = self.api.get(f"{collection}?limit=1") or {}
        rest: int = page["metadata"].get("remainingItemCount", 0)
        return len(page["items"]) + rest

    def busy(self, *replicas: Replica) -> Busy:
        """Return what has been used so far by the machine, the cluster and the replicas."""
        pids = {name: process.pid for name, process in running(self.cluster).items()}
        return Busy.now(pids | {replica.identity: replica.pid for replica in replicas})

    def rest(self, seconds: float = 2.0) -> None:
        """Let the machine become quiet: what was just done must not be part of the next measurement."""
        time.sleep(seconds)


def finished(run: Running) -> Load:
    """Wait for the run's end. Raises RuntimeError if an object was refused or never became ready."""
    load = run.result()
    if load.failures:
        raise RuntimeError(f"{len(load.failures)} of {len(load.samples)} never ready, the first: {load.failures[0]}")
    return load


def _namespace(name: str) -> Raw:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": CONFINED}}


def _rights() -> str:
    """Return what deploy/ installs but for the Deployment: here the operator runs from source."""
    documents = yaml.safe_load_all((REPOSITORY / "deploy/operator.yaml").read_text())
    kept = [each for each in documents if each["kind"] not in ("Deployment", "PodDisruptionBudget")]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": kept})
