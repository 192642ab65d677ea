"""How fast an agent may send, on a network plug-in that heeds the annotation: the development cluster's does."""

from collections.abc import Iterator

import pytest

from tests.e2e.kube import Kube
from tests.e2e.operator_slot import SETTINGS, OperatorSlot
from tests.e2e.world import World, condition, is_true

BURST = 2**32 / 8
"""Bytes that containerd lets through before the limit is felt."""
SENT = 1 << 30
RATE = 200_000_000 / 8
SENDING = [
    "python3",
    "-c",
    "import socket, sys, signal\n"
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
    "door = socket.create_server(('::', 8080), family=socket.AF_INET6, dualstack_ipv6=True)\n"
    "block = bytes(1 << 20)\n"
    "while True:\n"
    "    stream, _ = door.accept()\n"
    f"    for _ in range({SENT >> 20}): stream.sendall(block)\n"
    "    stream.close()",
]


@pytest.fixture
def heeding(kube: Kube, namespace: str, operator_slot: OperatorSlot) -> Iterator[World]:
    """Under an operator that has been told that the network plug-in heeds the annotation."""
    operator_slot.running(**SETTINGS, bandwidth_annotations="true")
    with World(kube, namespace) as world:
        yield world


def test_an_agent_sends_no_faster_than_its_quota_says(heeding: World) -> None:
    world = heeding
    visitor = world.pod("visitor", labels={"role": f"friend-{world.tag}"})
    rule = {"from": [{"podSelector": {"matchLabels": {"role": f"friend-{world.tag}"}}}], "ports": [{"port": 8080}]}
    policy = world.policy(network={"ingress": [rule]})
    quota = world.quota({"resource": "networkBandwidth", "max": "200M"})
    agent = world.agent(command=SENDING, quotaRef=quota.ref, securityPolicyRef={"name": policy})
    agent.until_ready()

    pulled = visitor.script("pull", agent.pod.ips()[0], 8080, seconds=200)

    assert pulled["bytes"] == SENT
    # However slow the machine is, it takes longer: this is the least that the limit allows.
    assert pulled["bytes"] <= BURST + RATE * pulled["seconds"] * 1.1


def test_another_bandwidth_waits_for_the_next_pod(heeding: World) -> None:
    world = heeding
    quota = world.quota({"resource": "networkBandwidth", "max": "200M"})
    agent = world.agent(quotaRef=quota.ref)
    before = agent.until_ready()

    quota.change({"resource": "networkBandwidth", "max": "100M"})
    found = agent.until(lambda body: is_true(body, "LimitsOutdated"))
    agent.pod.delete()
    agent.until_pod_replaced(before)

    told = condition(found, "LimitsOutdated")
    assert told is not None
    assert told["reason"] == "NeedsNewPod"
    annotations = agent.pod.get()["metadata"]["annotations"]
    assert annotations["kubernetes.io/egress-bandwidth"] == "100M"
