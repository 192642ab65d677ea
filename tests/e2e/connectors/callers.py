"""Agents that call their sidecar all the time, and remember what came of each call."""

import json
import time
from dataclasses import dataclass
from typing import Any

from tests.e2e.connectors.backend import until
from tests.e2e.connectors.calls import do
from tests.e2e.kube import Body
from tests.e2e.world import SCRIPTS, AgentHandle, World

_PROGRAM = "/app/call_on.py"
_OK = 200
_AT_ONCE = 10
"""More sidecars that start on two CPUs would not be ready before their hook gives them up."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call; times are Unix seconds. `said` is the answer, or the error, of one that failed."""

    began: float
    ended: float
    status: int
    said: str

    @property
    def has_failed(self) -> bool:
        """True unless it was served."""
        return self.status != _OK

    @property
    def milliseconds(self) -> float:
        """How long it took."""
        return (self.ended - self.began) * 1000


@dataclass(frozen=True, slots=True)
class Caller:
    """An agent that calls."""

    agent: AgentHandle

    def calls(self, *, since: float = 0) -> list[Call]:
        """Return the calls that began since then, the oldest first."""
        lines = self.agent.kube.log(self.agent.pod.path, container="agent").splitlines()
        # The last line may be half of one.
        calls = [Call(*json.loads(line)) for line in lines if line.startswith("[") and line.endswith("]")]
        return [call for call in calls if call.began >= since]

    def until_served(self, *, since: float, seconds: float = 60) -> None:
        """Return once a call that began since then was served."""
        deadline = time.monotonic() + seconds
        while True:
            calls = self.calls(since=since)
            if not all(call.has_failed for call in calls):
                return
            assert time.monotonic() < deadline, f"{self.agent.name}: {calls[-3:]}"
            time.sleep(0.2)

    def traces(self) -> tuple[str, tuple[int, ...]]:
        """Return what another pod, or one of its containers started anew, would have otherwise."""
        pod = self.agent.pod.get()
        return pod["metadata"]["uid"], tuple(each["restartCount"] for each in _containers(pod))


def publishing(
    world: World, name: str, count: int, *, every: float, seconds: float = 120, **fields: Any
) -> list[Caller]:
    """Return so many agents, each served already, that publish to a broker every so many seconds.

    `name` is its Connector's, of `rabbitmq`. `seconds` is how long an agent may take to be ready; `fields` are further
    ones of the agents.
    """
    queue = f"t-{world.tag}"
    arguments = {"messages": [{"exchange": "", "routingKey": queue, "payload": {"n": 1}}]}
    given = (every, f"/v1/connectors/{name}/publish", arguments)
    first = _caller(world, 0, name, given, **fields)
    first.agent.until_ready(seconds=seconds)
    until(world, "Connector", name, "EndpointsHealthy")
    declared = do(first.agent, name, "declare", {"queue": {"name": queue}})
    assert declared["status"] == "ok", declared
    made = [first]
    while len(made) < count:
        some = range(len(made), min(count, len(made) + _AT_ONCE))
        made += [_caller(world, number, name, given, **fields) for number in some]
        for number in some:
            made[number].agent.until_ready(seconds=seconds)
    since = time.time()
    for each in made:
        each.until_served(since=since)
    return made


def _caller(world: World, number: int, connector: str, arguments: tuple[object, ...], **fields: Any) -> Caller:
    made = world.agent(
        f"caller-{number}",
        connectors=[{"name": connector}],
        command=["python3", _PROGRAM, *map(json.dumps, arguments)],
        files=[{"path": _PROGRAM, "content": (SCRIPTS / "call_on.py").read_text()}],
        **fields,
    )
    return Caller(made)


def _containers(pod: Body) -> list[Body]:
    status = pod["status"]
    return [*status.get("initContainerStatuses", ()), *status["containerStatuses"]]
