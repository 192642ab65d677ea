"""What stands for the Internet: names, servers behind them, and a log of what was asked."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from devcluster.cluster import Cluster, cluster_name, find_cluster
from devcluster.outside import names
from devcluster.process import running
from tests.cluster.api_server import ApiServer, Body
from tests.cluster.outside import FETCHERS, GIT, PIP, Journal, build_ca, build_guest, in_pod
from tests.cluster.pod_network import IMAGE, pod_addresses, program

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    """The bare-machine cluster; skips where the cluster is another."""
    found = find_cluster(cluster_name())
    if found is None or "outside" not in running(found):
        pytest.skip("the outside belongs to the bare-machine cluster, which is not up")
    return found


@pytest.fixture(scope="module")
def space(kube: ApiServer, cluster: Cluster) -> Iterator[str]:
    """A namespace in which the authority of the outside is known."""
    name = f"rf-outside-{secrets.token_hex(3)}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    kube.create(body).expect()
    kube.create(build_ca(name, cluster)).expect()
    yield name
    kube.delete(body)


class Guest:
    """A pod that asks the outside."""

    def __init__(self, kubeconfig: Path, pod: Body, ips: list[str], ca: str) -> None:
        self._kubeconfig, self._pod, self._ca = kubeconfig, pod, ca
        self.ips = ips

    def run(self, command: list[str]) -> str:
        return in_pod(self._kubeconfig, self._pod, command)

    def look_up(self, *wanted: tuple[str, int]) -> list[Any]:
        """Return the addresses of each name, in the family 4 or 6."""
        return self._ask({"lookups": wanted})

    def visit(self, *wanted: tuple[str, int]) -> list[Any]:
        """Return what the server of each name and port says over TLS."""
        return self._ask({"visits": wanted, "ca": self._ca})

    def _ask(self, request: object) -> list[Any]:
        answers: list[Any] = json.loads(self.run(program("visit", json.dumps(request))))
        return answers


def _guest(kube: ApiServer, kubeconfig: Path, cluster: Cluster, pod: Body) -> Guest:
    kube.create(pod).expect()
    return Guest(kubeconfig, pod, pod_addresses(kube, pod), cluster.outside_ca.read_text())


@pytest.fixture(scope="module")
def guest(kube: ApiServer, kubeconfig: Path, cluster: Cluster, space: str) -> Guest:
    return _guest(kube, kubeconfig, cluster, build_guest(space, "guest", image=IMAGE))


@pytest.fixture(scope="module")
def traveller(kube: ApiServer, kubeconfig: Path, cluster: Cluster, space: str) -> Guest:
    """A guest with the programs that people fetch things with."""
    build = [sys.executable, "-m", "devcluster", "build", "clients"]
    subprocess.run(build, cwd=ROOT, env={**os.environ, "RINGFENCE_CLUSTER": cluster.name}, check=True, timeout=900)
    return _guest(kube, kubeconfig, cluster, build_guest(space, "traveller"))


def test_a_pod_finds_every_address_of_every_name(guest: Guest, cluster: Cluster) -> None:
    # The C library shows ::ffff:1.2.3.4 as an IPv4 address; it is for programs that look deeper.
    known = {
        name: entry.answers[0]
        for name, entry in names(cluster).items()
        if len(entry.answers) == 1 and not name.startswith("*") and "mapped" not in name
    }
    wanted = [(name, family) for name in known for family in (4, 6)]

    found = dict(zip(wanted, guest.look_up(*wanted), strict=True))

    expected = {
        (name, family): {address for address in known[name] if ip_address(address).version == family}
        for name, family in wanted
    }
    assert {question: set(answer) for question, answer in found.items()} == expected


def test_names_below_a_wildcard_exist_at_every_depth_and_others_do_not(guest: Guest) -> None:
    found = guest.look_up(("a.wild.test", 4), ("x.y.wild.test", 4), ("10-1-2-3.ip.test", 4), ("nobody.test", 4))

    assert found == [["203.0.113.13"], ["203.0.113.13"], ["10.1.2.3"], []]


def test_a_name_flips_between_public_and_private_with_each_look_up(guest: Guest) -> None:
    one, other = (f"{secrets.token_hex(4)}.flip.test" for _ in range(2))

    found = guest.look_up((one, 4), (one, 4), (other, 4), (one, 4))

    assert found == [["203.0.113.19"], ["10.66.0.1"], ["203.0.113.19"], ["203.0.113.19"]]


def test_every_question_is_in_the_log_with_who_asked(guest: Guest, cluster: Cluster) -> None:
    asked, silent = (f"{secrets.token_hex(4)}.nobody.test" for _ in range(2))
    log = Journal(cluster.query_log)

    guest.look_up((asked, 4))

    entry = next(entry for entry in log.entries() if entry["qname"] == asked)
    assert entry["source"] in guest.ips
    assert (entry["qtype"], entry["transport"]) == ("A", "udp")
    assert silent not in log.names()


@pytest.mark.parametrize("port", [443, 853, 8443])
def test_each_name_has_a_certificate_of_its_own(guest: Guest, port: int) -> None:
    wanted = ["api.test", "shop.cdn.test", "neighbour.cdn.test", "x.y.wild.test", "dual.test", "v6.test"]

    answers = guest.visit(*((name, port) for name in wanted))

    assert [(said["sni"], said["host"].partition(":")[0], said["port"]) for said in answers] == [
        (name, name, port) for name in wanted
    ]
    assert [said["server"] for said in answers[:3]] == ["203.0.113.11", "203.0.113.20", "203.0.113.20"]
    assert {said["peer"] for said in answers} == set(guest.ips)


def test_an_address_has_a_certificate_and_so_has_a_name_that_spells_one(guest: Guest) -> None:
    by_address, by_name = guest.visit(("203.0.113.10", 443), ("10-66-0-1.ip.test", 443))

    assert (by_address["server"], by_address["sni"]) == ("203.0.113.10", "")
    assert by_name["server"] == "10.66.0.1"


def test_a_private_address_answers_where_nothing_stands_in_the_way(guest: Guest, cluster: Cluster) -> None:
    log = Journal(cluster.connection_log)

    answers = guest.visit(("metadata.inside.test", 443), ("metadata6.inside.test", 443), ("ten.inside.test", 443))

    private = ["169.254.169.254", "fd00:ec2::254", "10.66.0.1"]
    assert [said["server"] for said in answers] == private
    mine = [entry for entry in log.entries() if entry["source"] in guest.ips]
    assert [(entry["server"], entry["kind"]) for entry in mine] == [(address, "https") for address in private]


@pytest.mark.parametrize("client", FETCHERS)
def test_the_programs_that_people_use_reach_the_outside(client: str, traveller: Guest) -> None:
    said = json.loads(traveller.run([*FETCHERS[client], "https://api.test/hello"]))

    assert (said["sni"], said["path"]) == ("api.test", "/hello")


def test_git_clones_and_pip_downloads_from_the_outside(traveller: Guest) -> None:
    traveller.run(GIT)
    traveller.run(PIP)

    assert traveller.run(["cat", "/tmp/sample/README"]) == "a sample repository\n"
    assert traveller.run(["ls", "/tmp/ringfence_sample-1.0-py3-none-any.whl"])
