"""A namespace with a policy, a quota, and agents under both."""

import time
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.kube import Body, address
from tests.e2e.world import AgentHandle, World, condition, is_true

MEGA = 1_000_000
NAMES = {"allowedDomains": [{"name": "api.test"}]}


@dataclass
class Team:
    """What one test has to itself: a quota that begins, or ends, changes how a namespace's connections are led."""

    world: World
    limits: list[Body]
    network: Body = field(default_factory=dict)
    """Of the policy, besides a name."""

    def __post_init__(self) -> None:
        world = self.world
        self.namespace = world.new_namespace("net")
        self.policy = world.policy(namespace=self.namespace, network={**NAMES, **self.network})
        spec = {"selector": {"matchLabels": {"team": "net"}}, "limits": self.limits}
        made = world.named("Quota", "net", namespace=self.namespace, api="ringfence.dev/v1alpha1", spec=spec)
        self.quota = address("Quota", self.namespace, made["metadata"]["name"])

    def agent(self, name: str, *, team: str = "net", **spec: Any) -> AgentHandle:
        """Return an agent that runs, and from which the outside can be reached."""
        metadata = {"labels": {"team": team}}
        made = self.world.agent(
            name, namespace=self.namespace, metadata=metadata, securityPolicyRef={"name": self.policy}, **spec
        )
        made.until_ready()
        self.world.kube.until(
            address("SecurityPolicy", self.namespace, self.policy), lambda it: is_true(it, "Enforced"), seconds=60
        )
        return made

    def change(self, *limits: Body) -> None:
        """Have other limits."""
        self.world.kube.merge(self.quota, {"spec": {"limits": list(limits)}})

    def row(self, resource: str, holds: Any, *, seconds: float = 60) -> Body:
        """Return the status of a limit once `holds` is true of it."""

        def has(found: Body | None) -> bool:
            return found is not None and any(holds(each) for each in rows(found, resource))

        found = self.world.kube.until(self.quota, has, seconds=seconds)
        return next(each for each in rows(found or {}, resource) if holds(each))


def rows(quota: Body, resource: str) -> list[Body]:
    """Return the status of the quota's limits on a resource."""
    return [each for each in quota.get("status", {}).get("limits", ()) if each["resource"] == resource]


def on_bytes(most: int = 3 * MEGA, window: str = "Hour", **more: Any) -> Body:
    """Return a limit on bytes."""
    return {"resource": "networkBytes", "max": str(most), "window": window, **more}


def on_connections(most: int, **more: Any) -> Body:
    """Return a limit on connections."""
    return {"resource": "networkConnections", "max": str(most), **more}


def download(agent: AgentHandle, count: int = MEGA, *, host: str = "api.test") -> Body:
    """Return what came of a download from inside the agent's container: bytes received, and how it ended."""
    found = agent.pod.script("fetch_bytes", host, count, seconds=90)
    return {"received": found["received"], "ended": found["ended"]}


def until_open(agent: AgentHandle, *, seconds: float = 100, host: str = "api.test") -> None:
    """Wait until a small download goes through."""
    deadline = time.monotonic() + seconds
    while (found := download(agent, 1_000, host=host))["ended"] != "whole":
        assert time.monotonic() < deadline, f"still closed: {found}"


def use_up(agent: AgentHandle, *, seconds: float = 60) -> None:
    """Move more than a limit of less than 20 MB leaves, until it is cut.

    A gateway refuses a pod that it has not been told of yet, which uses nothing: it is tried again, then.
    """
    deadline = time.monotonic() + seconds
    while (found := download(agent, 20 * MEGA))["ended"] == "refused":
        assert time.monotonic() < deadline, "still refused"
    assert found["ended"] == "cut", found


def until_closed(agent: AgentHandle) -> Body:
    """Return the agent once it says that its network is closed."""
    return agent.until(lambda it: is_true(it, "NetworkClosed"), seconds=60)


def why_closed(agent: Body) -> str:
    """Return what the agent says of it."""
    found = condition(agent, "NetworkClosed")
    return f"{found['reason']}: {found['message']}" if found else ""
