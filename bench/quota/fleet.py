"""A fleet of fake agents under many quotas, ten to each, with the operator run from source."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.audit import Write
from bench.bed import LOGS, Bed, finished
from bench.control.server import Ports, control_server
from bench.manifests import AGENTS, QUOTAS, Raw, fake_agent
from bench.replica import Replica
from tests.backends.redis_server import ADMINISTRATOR, RedisServer

RATE = 50.0
SILENCE_SECONDS, LONGEST_SECONDS = 15.0, 900.0
SIDECAR = "docker.io/ringfence/sidecar:bench"
"""Of pods that nobody runs."""
LIMITS: tuple[Raw, ...] = (
    {"resource": "agents", "max": 20, "scope": "Shared", "warnAt": [80]},
    {"resource": "memory", "max": "256Mi"},
    {"resource": "cpu", "max": "500m"},
    {"resource": "ephemeralStorage", "max": "512Mi"},
    {"resource": "apiCalls", "max": 10_000, "window": "Hour"},
    {"resource": "toolCalls", "max": 100, "window": "Minute", "scope": "Shared", "enforcement": "Soft"},
    {"resource": "queries", "max": 1_000, "window": "Hour", "scope": "Shared", "warnAt": [80]},
    {"resource": "rows", "max": "100k", "window": "Day", "scope": "Shared", "enforcement": "Warn"},
    {"resource": "concurrentCalls", "max": 8},
)
"""Of each quota. Memory has no `warnAt`: the nodes are fake, and no kubelet answers."""

OF_PODS = ("agents", "memory", "cpu", "ephemeralStorage")
"""What is limited before the pods are made."""


@dataclass
class Fleet:
    """Agents and their quotas in one namespace; agent n is under quota n modulo their number."""

    bed: Bed
    operator: Replica
    namespace: str
    agents: int
    quotas: int

    def make(self) -> None:
        """Make the quotas, the agents, and then limit their calls.

        So pods carry their quotas' names and have no sidecars: on fake nodes none reports, and no agent would be Ready.
        """
        bed = self.bed
        first = [each for each in LIMITS if each["resource"] in OF_PODS]
        quotas = {"spec": {"selector": {"matchLabels": {"team": "t{group}"}}, "limits": first}}
        body = {"apiVersion": "ringfence.dev/v1alpha1", "kind": "Quota", "metadata": {"name": "{name}"}, **quotas}
        with bed.progress.step(f"{self.quotas} quotas", announce=True):
            collection = QUOTAS.format(self.namespace)
            finished(bed.start_load(collection, body, prefix="q", count=self.quotas, rate=RATE, groups=self.quotas))
        agent = fake_agent()
        agent["metadata"]["labels"] = {"team": "t{group}"}
        with bed.progress.step(f"{self.agents:,} agents", announce=True):
            collection = AGENTS.format(self.namespace)
            finished(bed.start_load(collection, agent, prefix="a", count=self.agents, rate=RATE, groups=self.quotas))
        with bed.progress.step("limits on calls", announce=True):
            for number in range(self.quotas):
                self.merge_limits(number, *LIMITS)

    def until_settled(self) -> None:
        """Return once the operator has written nothing for a while. Raises TimeoutError."""
        with self.bed.progress.step("until nothing is written", announce=True):
            for _ in range(int(LONGEST_SECONDS / SILENCE_SECONDS)):
                mark = self.bed.audit.mark()
                self.bed.rest(SILENCE_SECONDS)
                if not self.bed.audit.by_operator(mark):
                    return
        raise TimeoutError(f"the operator still writes after {LONGEST_SECONDS:.0f} s")

    def merge_limits(self, number: int, *limits: Raw) -> None:
        """Give a quota other limits."""
        path = f"{QUOTAS.format(self.namespace)}/q-{number:05}"
        self.bed.api.merge(path, {"spec": {"limits": list(limits)}})

    def written(self, mark: int) -> list[Write]:
        """Return what the operator has written since the mark, those to its Lease left out."""
        return self.bed.audit.by_operator(mark)


@contextmanager
def running(bed: Bed, redis: RedisServer, directory: Path) -> Iterator[Replica]:
    """Have one replica that leads, with a control process beside it and the Redis that sidecars would share."""
    administrator = directory / "administrator"
    administrator.write_text(f"{ADMINISTRATOR}\n")
    ports = Ports.beside(directory)
    settings = {
        "CONTROL_SOCKET": str(ports.socket),
        "SIDECAR_IMAGE": SIDECAR,
        "REDIS_URL": redis.url,
        "REDIS_ADMINISTRATOR": str(administrator),
    }
    with control_server(ports, LOGS / "control.log"), bed.operator(**settings) as operator:
        yield operator
