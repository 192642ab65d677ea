"""A burst of agents under a limit, with two operators of which the first is killed in the midst of it."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from tests.e2e.kube import Body, Kube, address
from tests.e2e.operator_slot import SETTINGS, OperatorSlot
from tests.e2e.replica import Replica
from tests.e2e.world import AgentHandle, World, is_ready, reason_of

AGENTS, MOST = 50, 6


class Census:
    """Counts, as long as it lasts, the pods that carry a quota's name and have not ended."""

    def __init__(self, kube: Kube, namespace: str, quota: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._selector = f"quota.ringfence.dev/{quota}=true"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._count)
        self.most = 0
        self.looks = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _count(self) -> None:
        while not self._ended.wait(0.05):
            pods = self._kube.items(address("Pod", self._namespace), labelSelector=self._selector)
            live = [pod for pod in pods if pod["status"].get("phase") not in ("Succeeded", "Failed")]
            self.most = max(self.most, len(live))
            self.looks += 1


@pytest.fixture
def replicas(kubeconfig: Path, operator_slot: OperatorSlot) -> Iterator[list[Replica]]:
    operator_slot.stop()
    found = [Replica(kubeconfig, f"leaders-{number}", lease_seconds="5", **SETTINGS) for number in range(2)]
    for replica in found:
        replica.start()
        replica.until_ready()
    yield found
    for replica in found:
        if replica.is_running:
            replica.stop()


def leader(replicas: list[Replica], *, seconds: float = 60) -> Replica:
    deadline = time.monotonic() + seconds
    while True:
        found = [each for each in replicas if each.is_leader]
        if found:
            return found[0]
        assert time.monotonic() < deadline, "nobody leads"


def test_no_more_than_the_limit_ever_run_though_the_leader_is_killed_in_a_burst(
    replicas: list[Replica], kube: Kube, namespace: str
) -> None:
    first = leader(replicas)
    with World(kube, namespace) as world:
        quota = world.quota({"resource": "agents", "max": MOST, "scope": "Shared"})
        with Census(kube, world.namespace, quota.name) as census:
            made = []
            for number in range(AGENTS):
                made.append(world.agent(f"burst-{number:02}", quotaRef=quota.ref))
                if number == AGENTS // 2:
                    first.kill()
            leader([each for each in replicas if each is not first])
            # Which ones run is no matter: those that were created within the same second have no order.
            for agent in _until_run(made)[:2]:
                # Each that goes makes room for exactly one other.
                agent.delete()
                agent.pod.until_gone()
                made.remove(agent)
            running = _until_run(made)
            for agent in made:
                if agent not in running:
                    agent.until(_waits)

    assert census.looks > AGENTS
    assert census.most == MOST


def _until_run(made: list[AgentHandle], *, seconds: float = 150) -> list[AgentHandle]:
    """Return those of the agents that run, once there are as many as may."""
    deadline = time.monotonic() + seconds
    while len(found := [each for each in made if is_ready(each.kube.get(each.path))]) < MOST:
        assert time.monotonic() < deadline, f"only {[each.name for each in found]} run"
        time.sleep(0.5)
    return found


def _waits(body: Body | None) -> bool:
    return reason_of(body) == "QuotaExceeded"
