"""Programs as people use them reach allowed names without a change, whether they know of proxies or not."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcluster.cluster import Cluster, cluster_name, find_cluster
from devcluster.images import CLIENTS
from tests.cluster.outside import CA_PATH, CA_VARIABLES, FETCHERS, GIT, PIP, build_ca
from tests.e2e.installation import Installation, built_image
from tests.e2e.kube import Kube
from tests.e2e.world import AgentHandle, World

NAMES = ("api.test", "git.test", "pypi.test")
WITHOUT_PROXY = [
    "env",
    *(f"--unset={name}" for each in ("http", "https") for name in (f"{each}_proxy", f"{each.upper()}_PROXY")),
]


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    found = find_cluster(cluster_name())
    if found is None:
        pytest.fail("the outside is part of the development cluster: run make up", pytrace=False)
    return found


@pytest.fixture(scope="module")
def programs(
    kube: Kube, kubeconfig: Path, namespace: str, installed: Installation, cluster: Cluster
) -> Iterator[AgentHandle]:
    """An agent that has all of the programs, trusts the outside's authority, and may reach a few names."""
    assert built_image(kubeconfig, "clients") == CLIENTS
    with World(kube, namespace) as world:
        authority = build_ca(namespace, cluster)["data"]
        config = world.named("ConfigMap", "outside-ca", data=authority)["metadata"]["name"]
        policy = world.policy(network={"allowedDomains": [{"name": name} for name in NAMES]})
        agent = world.agent(
            "programs",
            image=CLIENTS,
            securityPolicyRef={"name": policy},
            env=[{"name": name, "value": CA_PATH} for name in CA_VARIABLES],
            files=[{"path": str(Path(CA_PATH).parent), "configMap": {"name": config}}],
        )
        agent.until_ready()
        yield agent


@pytest.mark.parametrize("before", [[], WITHOUT_PROXY], ids=["proxy", "dns"])
@pytest.mark.parametrize("program", sorted(FETCHERS))
@pytest.mark.parametrize("scheme", ["https", "http"])
def test_a_program_reaches_an_allowed_name(programs: AgentHandle, program: str, scheme: str, before: list[str]) -> None:
    said = programs.pod.output(*before, *FETCHERS[program], f"{scheme}://api.test/", seconds=60)

    found = json.loads(said)
    assert found["host"] == "api.test"
    assert found["sni"] == ("api.test" if scheme == "https" else "")


@pytest.mark.parametrize("before", [[], WITHOUT_PROXY], ids=["proxy", "dns"])
@pytest.mark.parametrize("program", sorted(FETCHERS))
def test_a_program_reaches_no_other_name(programs: AgentHandle, program: str, before: list[str]) -> None:
    ran = programs.pod.exec(*before, *FETCHERS[program], "https://files.test/", seconds=60)

    assert "203.0.113.12" not in ran.out
    assert ran.code != 0


@pytest.mark.parametrize("before", [[], WITHOUT_PROXY], ids=["proxy", "dns"])
def test_git_clones_and_pip_downloads(programs: AgentHandle, before: list[str]) -> None:
    programs.pod.output("rm", "-rf", "/tmp/sample")

    programs.pod.output(*before, *GIT, seconds=60)
    programs.pod.output(*before, *PIP, seconds=60)

    found = programs.pod.output("ls", "/tmp/sample", "/tmp").split()
    assert "README" in found
    assert any(name.startswith("ringfence_sample-") for name in found)
