"""A second cluster is killed while it comes up, comes up again, is used, and goes without a trace."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devcluster.cluster import Cluster, find_cluster, state_home
from devcluster.process import running, start_time
from tests.cluster.leftovers import snapshot

ROOT = Path(__file__).resolve().parents[2]
PYTHON = "docker.io/library/python:3.11-slim-bookworm"
REACH = """
import sys, urllib.request
for url in sys.argv[1:]:
    print(urllib.request.urlopen(url, timeout=5).read().decode().strip())
"""

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces and mounts"),
]


class Devcluster:
    """The command line, for a cluster of the test's own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.env = {**os.environ, "RINGFENCE_CLUSTER": name}
        self.env.pop("KUBECONFIG", None)

    @property
    def cluster(self) -> Cluster:
        found = find_cluster(self.name)
        assert found
        return found

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        argv = [sys.executable, "-m", "devcluster", *arguments]
        return subprocess.Popen(
            argv, cwd=ROOT, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self, *arguments: str) -> str:
        with self.start(*arguments) as process:
            output, _ = process.communicate(timeout=240)
        assert process.returncode == 0, output
        return output

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        argv = [str(ROOT / ".devcluster/bin/kubectl"), f"--kubeconfig={self.cluster.kubeconfig}", *arguments]
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def pids(self) -> dict[str, int]:
        return {name: record.pid for name, record in running(self.cluster).items() if record.is_alive()}


def others(name: str) -> list[str]:
    return [path.parent.name for path in state_home().glob("*/cluster.json") if path.parent.name != name]


@pytest.fixture(scope="module")
def name() -> str:
    return f"t-{secrets.token_hex(3)}"


@pytest.fixture(scope="module")
def before(name: str) -> dict[str, set[str]]:
    return snapshot(name, ignore=others(name))


@pytest.fixture(scope="module")
def devcluster(name: str, before: dict[str, set[str]]) -> Iterator[Devcluster]:
    """A cluster whose first `up` was killed in the middle and whose second one went through."""
    made = Devcluster(name)
    try:
        with made.start("up") as first:
            wait_until(lambda: "kube-apiserver" in running_names(name), "the API server was started")
            first.send_signal(signal.SIGKILL)
        assert "kubelet" not in running_names(name), "killed too late to prove anything"
        made.run("up")
        yield made
    finally:
        made.run("down", "--purge")


def running_names(name: str) -> set[str]:
    found = find_cluster(name)
    return set(running(found)) if found else set()


def wait_until(is_true: Callable[[], bool], what: str, *, timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not is_true():
        assert time.monotonic() < deadline, f"not within {timeout:.0f} s: {what}"
        time.sleep(0.01)


def test_up_after_a_killed_up_gives_a_cluster_that_is_well(devcluster: Devcluster) -> None:
    output = devcluster.run("status")

    assert f"cluster {devcluster.name}: up" in output


def test_up_of_a_running_cluster_starts_nothing_anew(devcluster: Devcluster) -> None:
    pids = devcluster.pids()

    output = devcluster.run("up")

    assert devcluster.pids() == pids
    assert "build" not in output


def test_up_replaces_a_part_that_a_killed_up_started_but_did_not_record(devcluster: Devcluster) -> None:
    stray = devcluster.pids()["outside"]
    (devcluster.cluster.state / "processes/outside.json").unlink()

    devcluster.run("up")

    assert start_time(stray) is None
    assert f"cluster {devcluster.name}: up" in devcluster.run("status")


def test_up_brings_back_a_part_that_has_died(devcluster: Devcluster) -> None:
    pids = devcluster.pids()
    os.kill(pids["kube-scheduler"], signal.SIGKILL)

    devcluster.run("up")

    now = devcluster.pids()
    assert now.pop("kube-scheduler") != pids.pop("kube-scheduler")
    assert now == pids


def test_pods_reach_the_outside_and_the_service_network_in_both_families(devcluster: Devcluster) -> None:
    urls = ["http://203.0.113.10:80", "http://198.51.100.10:443", "http://[2001:db8::10]:8080"]
    pod = python_pod("reach", ["sleep", "infinity"])
    devcluster.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    devcluster.kubectl("wait", "--for=condition=Ready", "pod/reach", "--timeout=60s")

    said = devcluster.kubectl("exec", "reach", "--", "python3", "-c", REACH, *urls).splitlines()
    looked_up = devcluster.kubectl(
        "exec", "reach", "--", "python3", "-c", "import socket; print(socket.gethostbyname('kubernetes.default.svc'))"
    )

    own = json.loads(devcluster.kubectl("get", "pod", "reach", "-o", "json"))["status"]["podIPs"]
    v4, v6 = (address["ip"] for address in own)
    assert said == [f"outside: you are {address}" for address in (v4, v4, v6)]
    assert looked_up.strip() == devcluster.cluster.addresses.api_service


def test_pods_outlive_the_container_runtime_and_the_kubelet(devcluster: Devcluster) -> None:
    before = pod_containers(devcluster, "reach")
    pids = devcluster.pids()
    for part in ("containerd", "kubelet"):
        os.kill(pids[part], signal.SIGKILL)

    devcluster.run("up")

    assert devcluster.kubectl("exec", "reach", "--", "echo", "alive") == "alive\n"
    assert pod_containers(devcluster, "reach") == before


def test_a_pod_with_a_volume_runs_and_its_output_can_be_read(devcluster: Devcluster) -> None:
    pod = python_pod("writer", ["sh", "-c", "echo kept > /data/file && cat /data/file && sleep infinity"])
    pod["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}},
    }

    objects = {"apiVersion": "v1", "kind": "List", "items": [claim, pod]}
    devcluster.kubectl("apply", "-f", "-", stdin=json.dumps(objects))
    devcluster.kubectl("wait", "--for=condition=Ready", "pod/writer", "--timeout=60s")

    assert devcluster.kubectl("logs", "writer") == "kept\n"


def test_every_write_is_in_the_audit_log_once_and_no_read_is(devcluster: Devcluster) -> None:
    devcluster.kubectl("create", "configmap", "audited")
    devcluster.kubectl("get", "configmap", "audited")

    events = [json.loads(line) for line in devcluster.cluster.audit_log.read_text().splitlines()]
    mine = [event for event in events if event["requestURI"].startswith("/api/v1/namespaces/default/configmaps")]
    verbs = [event["verb"] for event in mine if event["objectRef"].get("name") == "audited"]
    assert verbs == ["create"]
    assert "get" not in {event["verb"] for event in events}


def test_fake_nodes_run_pods_and_go_again(devcluster: Devcluster) -> None:
    devcluster.run("kwok", "--nodes", "2")
    pod = python_pod("fake", ["sleep"])
    pod["spec"]["nodeSelector"] = {"type": "kwok"}
    pod["spec"]["tolerations"] = [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}]
    devcluster.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    devcluster.kubectl("wait", "--for=condition=Ready", "pod/fake", "--timeout=30s")
    during = devcluster.kubectl("get", "nodes", "-l", "type=kwok", "-o", "name").split()

    devcluster.run("kwok", "--nodes", "0")

    assert during == ["node/kwok-000", "node/kwok-001"]
    assert devcluster.kubectl("get", "nodes", "-o", "name").split() == [f"node/{devcluster.cluster.node_name}"]


def test_a_mount_of_another_program_is_not_taken_for_a_cluster_s(tmp_path: Path, devcluster: Devcluster) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(tmp_path)], check=True, timeout=20)
    try:
        mounts = snapshot(devcluster.name, ignore=others(devcluster.name))["mounts"]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True, timeout=20)

    assert mounts, "the cluster is up and has some"
    assert [line for line in mounts if str(tmp_path) in line] == []


def test_down_leaves_nothing_behind(devcluster: Devcluster, before: dict[str, set[str]]) -> None:
    during = snapshot(devcluster.name, ignore=others(devcluster.name))
    assert {kind for kind in before if during[kind] - before[kind]} >= {
        "links", "routes", "routes6", "namespaces", "mounts", "cgroups", "processes", "loop devices", "cni", "sockets"
    }, "the snapshot does not see what a cluster makes"  # fmt: skip

    devcluster.run("down", "--purge")

    after = snapshot(devcluster.name, ignore=others(devcluster.name))
    assert {kind: after[kind] - before[kind] for kind in before if after[kind] - before[kind]} == {}
    assert not (state_home() / devcluster.name).exists()


def pod_containers(devcluster: Devcluster, name: str) -> list[tuple[str, int]]:
    """Return id and restarts of the pod's containers."""
    status = json.loads(devcluster.kubectl("get", "pod", name, "-o", "json"))["status"]
    return [(container["containerID"], container["restartCount"]) for container in status["containerStatuses"]]


def python_pod(name: str, command: list[str]) -> dict[str, Any]:
    container = {"name": "main", "image": PYTHON, "command": command}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
    }
