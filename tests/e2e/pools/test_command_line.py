"""What the command line tells of a pool, and of the agents that have their pods from it, on a real cluster."""

from pathlib import Path

from tests.e2e.cli.program import Program
from tests.e2e.pools.pools import claimant, claimed, pool
from tests.e2e.world import World


def test_an_agents_pool_is_told_and_what_keeps_another_from_a_pod(alone: World, kubeconfig: Path) -> None:
    ringfence = Program(kubeconfig, alone.namespace)
    of = pool(alone, 1)
    got = claimed(alone, of)
    of.empty()
    waiting = claimant(alone, of, name="waiting")
    waiting.until_reason("NoWarmPod")

    pod, *_ = ringfence.run("explain", got.agent.name, "-o", "json").document()["pool"]
    (row,) = ringfence.run("top", "--pools", of.name, "-o", "json").document()
    findings = ringfence.run("doctor", "-o", "json").document()

    assert pod["source"] == f"Pod {got.pod.name}"
    assert pod["value"].startswith(f"warm, from pool {of.name}, claimed at ")
    assert (row["size"], row["warm"]) == (0, 0)
    (told,) = [each for each in findings if each["check"] == "pools" and of.name in each["sentence"]]
    assert told["sentence"] == f"AgentPool {alone.namespace}/{of.name} has size 0, and agents wait for a pod of it: 1"
    assert told["fix"] == f"kubectl -n {alone.namespace} scale agentpool {of.name} --replicas=1"
