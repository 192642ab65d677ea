"""Isolation Secure: a sandboxed runtime, a deadline, and no network unless the policy names it.

Where the machine runs no gVisor or Kata, a RuntimeClass whose handler is runc stands in for the sandbox: what is
tested is what the operator demands and writes, not the sandbox.
"""

from tests.e2e.doors import opened, outside_doors
from tests.e2e.kube import address
from tests.e2e.operator_slot import SANDBOX
from tests.e2e.world import World, effective, message_of


def make_sandbox(world: World) -> None:
    world.make(
        {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": SANDBOX}, "handler": "runc"}
    )


def test_secure_waits_for_a_sandbox_and_starts_once_there_is_one(alone: World) -> None:
    agent = alone.agent(isolation="Secure", maxExecutionTime="1h")
    found = agent.until_reason("RuntimeClassNotFound")
    without = alone.kube.get(agent.pod.path)

    make_sandbox(alone)

    after = agent.until_ready()
    assert without is None
    assert SANDBOX in message_of(found)
    assert agent.pod.get()["spec"]["runtimeClassName"] == SANDBOX
    assert effective(after, "runtimeClass") == (SANDBOX, "Isolation")
    assert opened(agent.pod, outside_doors()) == set()


def test_secure_demands_a_deadline_from_the_agent_or_its_policy(alone: World) -> None:
    make_sandbox(alone)
    policy = alone.policy(maxExecutionTime="1h")
    agent = alone.agent(isolation="Secure")
    found = agent.until_reason("DeadlineRequired")
    without = alone.kube.get(agent.pod.path)

    agent.change(securityPolicyRef={"name": policy})

    after = agent.until_ready()
    assert without is None
    assert "maxExecutionTime" in message_of(found)
    assert effective(after, "maxExecutionTime") == ("1h", "SecurityPolicy")


def test_secure_takes_no_runtime_class_that_is_no_sandbox(alone: World) -> None:
    make_sandbox(alone)
    name = f"e2e-{alone.tag}"
    alone.make({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": name}, "handler": "runc"})
    policy = alone.policy(runtimeClassName=name)

    agent = alone.agent(isolation="Secure", maxExecutionTime="1h", securityPolicyRef={"name": policy})

    found = agent.until_ready()
    assert effective(found, "runtimeClass") == (SANDBOX, "Isolation")
    assert alone.kube.get(address("RuntimeClass", name=name)) is not None
