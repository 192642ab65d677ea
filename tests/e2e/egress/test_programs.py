"""Programs as people use them reach allowed names without a change, whether they know of proxies or not."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from devcluster.cluster import Cluster, cluster_name, find_cluster
from devcluster.images import CLIENTS
from tests.cluster.outside import CA_PATH, CA_VARIABLES, FETCHERS, GIT, PIP, build_ca
from tests.e2e.installation import Installation, built_image
from tests.e2e.kube import Kube, Ran
from tests.e2e.world import AgentHandle, World

NAMES = ("api.test", "git.test", "pypi.test")
PROXIES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
WAYS = {"proxy": [], "dns": ["env", *(f"--unset={name}" for name in PROXIES)]}
REFUSED = "https://files.test/"
Row = tuple[str, str, str]
ROWS: list[Row] = [
    (program, url, way)
    for program in sorted(FETCHERS)
    for url in ("https://api.test/", "http://api.test/", REFUSED)
    for way in WAYS
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


@pytest.fixture(scope="module")
def ran(programs: AgentHandle) -> dict[Row, Ran]:
    """What each program said; side by side, since most of them take long to begin."""

    def run(row: Row) -> Ran:
        program, url, way = row
        return programs.pod.exec(*WAYS[way], *FETCHERS[program], url, seconds=100)

    with ThreadPoolExecutor(6) as pool:
        return dict(zip(ROWS, pool.map(run, ROWS), strict=True))


@pytest.mark.parametrize("row", [row for row in ROWS if row[1] != REFUSED], ids=" ".join)
def test_a_program_reaches_an_allowed_name(ran: dict[Row, Ran], row: Row) -> None:
    assert ran[row].code == 0, ran[row].err
    found = json.loads(ran[row].out)
    assert found["host"] == "api.test"
    assert found["sni"] == ("api.test" if row[1].startswith("https") else "")


@pytest.mark.parametrize("row", [row for row in ROWS if row[1] == REFUSED], ids=" ".join)
def test_a_program_reaches_no_other_name(ran: dict[Row, Ran], row: Row) -> None:
    assert "203.0.113.12" not in ran[row].out
    assert ran[row].code != 0


@pytest.mark.parametrize("way", WAYS)
def test_git_clones_and_pip_downloads(programs: AgentHandle, way: str) -> None:
    programs.pod.output("rm", "-rf", "/tmp/sample")

    programs.pod.output(*WAYS[way], *GIT, seconds=60)
    programs.pod.output(*WAYS[way], *PIP, seconds=60)

    found = programs.pod.output("ls", "/tmp/sample", "/tmp").split()
    assert "README" in found
    assert any(name.startswith("ringfence_sample-") for name in found)
