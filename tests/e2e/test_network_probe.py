"""The network probe; a NetworkPolicy that opens the prober stands in for a network plug-in that enforces none."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.installation import built_image
from tests.e2e.kube import Body, Kube, address
from tests.e2e.operator_slot import SETTINGS, OperatorSlot
from tests.e2e.replica import ROOT, SYSTEM_NAMESPACE, Replica
from tests.e2e.world import World, condition, is_true, message_of
from tests.e2e.writes import AuditLog

PROBER = address("Pod", SYSTEM_NAMESPACE, "ringfence-network-probe")
TARGET = address("Pod", SYSTEM_NAMESPACE, "ringfence-network-probe-target")
MANIFESTS = list(yaml.safe_load_all((ROOT / "deploy/operator.yaml").read_text()))
DENY = next(each for each in MANIFESTS if each["metadata"]["name"] == "ringfence-network-probe")
Start = Callable[..., Replica]


@pytest.fixture(scope="module")
def image(kubeconfig: Path) -> str:
    return built_image(kubeconfig, "operator")


@pytest.fixture
def start(kube: Kube, operator_slot: OperatorSlot, image: str) -> Iterator[Start]:
    """Starts an operator that probes, in a namespace as it is installed, in which nothing has been probed yet."""
    operator_slot.stop()
    kube.apply(MANIFESTS[0])
    kube.apply(DENY)
    _forget(kube)
    yield lambda **settings: operator_slot.running(**SETTINGS, probe_image=image, **settings)
    operator_slot.stop()
    _forget(kube)


def _forget(kube: Kube) -> None:
    for path in (PROBER, TARGET):
        kube.delete(path, gracePeriodSeconds=0)


@pytest.fixture
def probed(kube: Kube, namespace: str, start: Start) -> Iterator[World]:
    with World(kube, namespace) as world:
        yield world


def until_enforced(replica: Replica, value: float, *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while (found := replica.metric("ringfence_network_enforced")) != value:
        assert time.monotonic() < deadline, f"after {seconds} s: {found}; see {replica.log}"
        time.sleep(0.05)


def until_probed(kube: Kube, *, after: str = "") -> str:
    """Return the UID of the prober once it has ended and its target is gone."""
    found = kube.until(PROBER, lambda it: bool(it and it["metadata"]["uid"] != after and has_ended(it)))
    kube.until(TARGET, lambda it: it is None)
    assert found is not None
    return str(found["metadata"]["uid"])


def has_ended(pod: Body) -> bool:
    return pod["status"].get("phase") in ("Succeeded", "Failed")


def open_prober(world: World) -> str:
    """Let the prober reach everything, and return the path of the NetworkPolicy that does."""
    made = world.named(
        "NetworkPolicy",
        "opens-prober",
        namespace=SYSTEM_NAMESPACE,
        api="networking.k8s.io/v1",
        spec={"podSelector": DENY["spec"]["podSelector"], "policyTypes": ["Egress"], "egress": [{}]},
    )
    return address("NetworkPolicy", SYSTEM_NAMESPACE, made["metadata"]["name"])


def test_the_verdict_comes_within_seconds_and_costs_three_writes(probed: World, start: Start, kubeconfig: Path) -> None:
    audit = AuditLog(kubeconfig)
    mark = audit.mark()
    replica = start()
    began = time.monotonic()
    agent = probed.agent()

    until_enforced(replica, 1)
    seconds = time.monotonic() - began
    agent.until_ready()
    until_probed(probed.kube)

    verdict = replica.logged("network_probe.verdict")
    assert [(each["enforced"], each["reached"], each["late"]) for each in verdict] == [(True, [], [])]
    assert seconds < 30
    if audit.exists:
        written = [each.verb for each in audit.writes_since(mark) if "ringfence-system/pods" in each.path]
        assert written == ["create", "create", "delete"]


def test_another_operator_knows_the_verdict_and_probes_no_more(probed: World, start: Start, kubeconfig: Path) -> None:
    replica = start()
    agent = probed.agent()
    agent.until_ready()
    before, mark = until_probed(probed.kube), AuditLog(kubeconfig).mark()

    replica.stop()
    replica = start()
    until_enforced(replica, 1, seconds=5)
    probed.agent("next").until_ready()

    assert until_probed(probed.kube) == before
    writes = AuditLog(kubeconfig).writes_since(mark)
    assert [each for each in writes if "/pods" in each.path and SYSTEM_NAMESPACE in each.path] == []


def test_where_nothing_is_enforced_agents_are_refused_until_it_is(probed: World, start: Start) -> None:
    replica = start()
    running = probed.agent("running")
    before = running.until_ready()
    opening = open_prober(probed)
    once = until_probed(probed.kube)

    probed.kube.delete(PROBER)
    until_enforced(replica, 0)
    refused = probed.agent("refused")
    said = refused.until_reason("NetworkNotEnforced")
    told = running.until_reason("NetworkNotEnforced")
    doubts = [each["doubted"] for each in replica.logged("network_probe.verdict")]
    twice = until_probed(probed.kube, after=once)

    assert "reached another pod and the kubelet of its node" in message_of(said)
    assert is_true(said, "Stalled")
    assert "podName" not in said["status"]
    assert told["status"]["podUID"] == before["status"]["podUID"]
    enforced = condition(told, "Enforced")
    assert enforced is not None
    assert (enforced["status"], enforced["reason"]) == ("False", "NetworkNotEnforced")
    assert doubts == [False, True, False]

    probed.kube.delete(opening)
    probed.kube.delete(PROBER)
    until_enforced(replica, 1)

    refused.until_ready()
    after = running.until(lambda it: is_true(it, "Ready") and is_true(it, "Enforced"))
    assert after["status"]["podUID"] == before["status"]["podUID"]
    assert until_probed(probed.kube, after=twice) != once


def test_where_nothing_is_enforced_agents_run_if_the_operator_was_told_so(probed: World, start: Start) -> None:
    open_prober(probed)

    until_enforced(start(allow_unenforced_network="true"), 0)
    found = probed.agent().until_ready()

    enforced = condition(found, "Enforced")
    assert enforced is not None
    assert (enforced["status"], enforced["reason"]) == ("False", "NetworkNotEnforced")


def test_nothing_is_probed_before_the_policy_that_closes_the_prober_is_there(probed: World, start: Start) -> None:
    probed.kube.delete(address("NetworkPolicy", SYSTEM_NAMESPACE, DENY["metadata"]["name"]))
    replica = start()
    waiting = probed.agent().until_reason("NetworkUnverified")

    probed.kube.apply(DENY)
    until_enforced(replica, 1)

    assert is_true(waiting, "Reconciling")
    problems = [str(each["problem"]) for each in replica.logged("network_probe.cannot_run")]
    assert "apply deploy/operator.yaml" in problems[0]
