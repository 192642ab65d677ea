"""The command line in the hands of somebody with Kubernetes' own role `edit` in one namespace, and nothing else."""

from pathlib import Path

import pytest

from tests.e2e.cli.program import Program
from tests.e2e.tenant import tenant_kubeconfig
from tests.e2e.world import IMAGE, World


@pytest.fixture
def tenant(alone: World, kubeconfig: Path, tmp_path: Path) -> Program:
    """`ringfence` with the token of a service account that may edit its namespace."""
    return Program(tenant_kubeconfig(alone, kubeconfig, tmp_path / "tenant.kubeconfig"), alone.namespace)


def test_doctor_says_what_a_tenant_may_not_see_and_judges_the_rest(alone: World, tenant: Program) -> None:
    agent = alone.agent()
    agent.until_ready()

    ran = tenant.run("doctor", "-o", "json")

    levels: dict[str, set[str]] = {}
    for each in ran.document():
        levels.setdefault(each["check"], set()).add(each["level"])
    assert {levels[name].pop() for name in ("kubernetes", "kinds", "policies")} == {"ok"}
    for name in ("operator", "operator-rights", "leader", "certificates", "guard", "runtime-classes", "network"):
        assert levels[name] == {"unknown"}, (name, ran.out)


def test_a_tenant_explains_and_runs_agents(alone: World, tenant: Program) -> None:
    policy = alone.policy(network={"cidrs": [{"cidr": "203.0.113.0/24"}]})
    agent = alone.agent(securityPolicyRef={"name": policy})
    agent.until_ready()

    explained = tenant.run("explain", agent.name, "-o", "json").document()
    ran = tenant.run("run", IMAGE, "--", "echo", "done")

    assert explained["unseen"] == []
    assert explained["network"][0]["source"] == f"SecurityPolicy {policy}"
    assert (ran.code, ran.out) == (0, "done\n"), ran.err
