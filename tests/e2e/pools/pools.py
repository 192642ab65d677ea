"""A pool of warm pods, and agents that claim one."""

import time
from dataclasses import dataclass
from typing import Any

from tests.e2e.kube import Body, address
from tests.e2e.world import IMAGE, SMALL, AgentHandle, PodHandle, World, is_current

HOLD = "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"
"""What a claimed pod's shell does after a test's own commands: it stops at once when it is told to."""


@dataclass(frozen=True)
class PoolHandle:
    """A pool."""

    world: World
    name: str

    @property
    def path(self) -> str:
        """Where it is."""
        return address("AgentPool", self.world.namespace, self.name)

    def until_warm(self, count: int, *, seconds: float = 90) -> Body:
        """Return the pool once it says of its present spec that so many of its pods are warm."""
        found = self.world.kube.until(
            self.path,
            lambda it: (
                # Counts are told a second late.
                it is not None and is_current(it) and it["status"].get("warm", 0) == count == len(self.pods())
            ),
            seconds=seconds,
        )
        assert found is not None
        return found

    def empty(self) -> None:
        """Have no warm pod, until it is changed."""
        self.change(size=0)
        self.world.kube.until(self.path, lambda it: it is not None and it["status"].get("warm", 0) == 0)

    def change(self, **spec: Any) -> None:
        """Have another spec."""
        self.world.kube.merge(self.path, {"spec": spec})

    def pods(self) -> dict[str, str]:
        """Return the pods that wait for an agent: name → UID."""
        found = self.world.kube.items(
            address("Pod", self.world.namespace), labelSelector=f"ringfence.dev/pool={self.name},!ringfence.dev/agent"
        )
        return {
            each["metadata"]["name"]: each["metadata"]["uid"]
            for each in found
            if "deletionTimestamp" not in each["metadata"]
        }

    def handle(self, pod: str) -> PodHandle:
        """Return one of its pods."""
        return PodHandle(self.world.kube, self.world.namespace, pod)


@dataclass(frozen=True)
class Claimed:
    """An agent that has claimed a pod."""

    agent: AgentHandle
    body: Body

    @property
    def pod(self) -> PodHandle:
        """The pod that it has."""
        return PodHandle(self.agent.kube, self.agent.namespace, self.body["status"]["podName"])


def lines(got: Claimed, count: int = 1, *, seconds: float = 60) -> list[str]:
    """Return the first lines that the agent's command has written, as soon as there are so many."""
    deadline = time.monotonic() + seconds
    while (text := got.pod.logs()).count("\n") < count:
        assert time.monotonic() < deadline, f"it only says {text!r}"
        time.sleep(0.2)
    return text.splitlines()[:count]


def pool(
    world: World, size: int = 1, *, name: str = "pool", settings: Body | None = None, **template: Any
) -> PoolHandle:
    """Create a pool, and wait until it is warm; `settings` are fields beside its size and template."""
    found = new_pool(world, size, name=name, settings=settings, **template)
    found.until_warm(size)
    return found


def new_pool(
    world: World, size: int = 1, *, name: str = "pool", settings: Body | None = None, **template: Any
) -> PoolHandle:
    """Create a pool, and wait for nothing."""
    spec = {"size": size, "template": {"image": IMAGE, "resources": SMALL, **template}, **(settings or {})}
    made = world.named("AgentPool", name, api="ringfence.dev/v1alpha1", spec=spec)
    return PoolHandle(world, made["metadata"]["name"])


def claimant(world: World, of: PoolHandle, script: str = "", name: str = "agent", **spec: Any) -> AgentHandle:
    """Create an agent that claims from the pool; it runs the shell script, and then until it is stopped."""
    body = {"poolRef": {"name": of.name}, "command": ["sh", "-c", f"{script}\n{HOLD}"], **spec}
    made = world.named("Agent", name, api="ringfence.dev/v1alpha1", spec=body)
    return AgentHandle(world.kube, made["metadata"]["namespace"], made["metadata"]["name"])


def claimed(world: World, of: PoolHandle, script: str = "", name: str = "agent", **spec: Any) -> Claimed:
    """Return an agent that has claimed a pod and runs."""
    agent = claimant(world, of, script, name, **spec)
    return Claimed(agent, agent.until_ready())
