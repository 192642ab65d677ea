"""Volumes of the bare-machine cluster's storage class: of enforced size, the pod's own, and gone when reclaimed."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devcluster.cluster import cluster_name, find_cluster
from tests.cluster.api_server import Answer, ApiServer, Body, collection
from tests.cluster.pod_network import build_pod

pytestmark = pytest.mark.cluster

MIB = 1 << 20
USER, GROUP = 10001, 20002

FILL = """
import errno, os
with open("/workspace/full", "wb", buffering=0) as full:
    try:
        while True:
            full.write(bytes(1 << 20))
    except OSError as error:
        reason = errno.errorcode[error.errno]
root = os.stat("/workspace")
open("/dev/termination-log", "w").write(f"{reason} {os.path.getsize('/workspace/full')} {root.st_gid} {os.getuid()}")
"""
READ = """
import os
open("/dev/termination-log", "w").write(f"{sorted(os.listdir('/workspace'))} {os.path.getsize('/workspace/full')}")
"""


@pytest.fixture
def space(kube: ApiServer) -> Iterator[str]:
    """A namespace that goes away with everything in it."""
    if find_cluster(cluster_name()) is None:
        pytest.skip("the provisioner belongs to the bare-machine cluster, which is not up")
    name = f"rf-volume-{secrets.token_hex(3)}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    kube.apply(body).expect()
    yield name
    kube.delete(body)


def test_a_full_volume_refuses_more_and_keeps_its_data_for_the_next_pod(kube: ApiServer, space: str) -> None:
    kube.create(_claim(space, "work", "48Mi")).expect()

    reason, size, group, user = _run(kube, _worker(space, "filler", FILL)).split()
    again = _run(kube, _worker(space, "reader", READ))

    assert (reason, int(group), int(user)) == ("ENOSPC", GROUP, USER)
    assert 40 * MIB < int(size) < 48 * MIB  # what is missing is the file system's own
    assert again == f"['full'] {size}"


def test_a_deleted_claim_takes_its_volume_and_its_data_with_it(kube: ApiServer, space: str) -> None:
    claim = _claim(space, "work", "8Mi")
    kube.create(claim).expect()
    worker = _worker(space, "filler", FILL)
    _run(kube, worker)
    volume = kube.request("GET", f"{collection(claim)}/work").expect()["spec"]["volumeName"]
    path = Path(_volume(kube, volume).expect()["spec"]["local"]["path"])
    assert path.is_mount()

    kube.delete(worker)
    kube.delete(claim)

    kube.wait(f"/api/v1/persistentvolumes/{volume}", _is_gone)
    assert not path.exists()
    assert not path.with_suffix(".img").exists()


def test_a_volume_is_made_only_when_a_pod_needs_it(kube: ApiServer, space: str) -> None:
    first = _claim(space, "unused", "8Mi")
    kube.create(first).expect()
    kube.create(_claim(space, "work", "8Mi")).expect()

    _run(kube, _worker(space, "filler", FILL))

    assert kube.request("GET", f"{collection(first)}/unused").expect()["status"]["phase"] == "Pending"


def _claim(namespace: str, name: str, size: str) -> Body:
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": "local", "resources": {"requests": {"storage": size}}}
    metadata = {"namespace": namespace, "name": name}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def _worker(namespace: str, name: str, program: str) -> Body:
    """Return a pod of a user without rights that has the claim `work` at /workspace."""
    mounts = [{"name": "work", "mountPath": "/workspace"}]
    pod = build_pod(namespace, name, {}, ["python3", "-c", program], volumeMounts=mounts)
    pod["spec"]["volumes"] = [{"name": "work", "persistentVolumeClaim": {"claimName": "work"}}]
    pod["spec"]["securityContext"] = {"runAsUser": USER, "runAsGroup": USER, "runAsNonRoot": True, "fsGroup": GROUP}
    return pod


def _run(kube: ApiServer, pod: Body) -> str:
    """Return what the pod's container says when it has ended well."""

    def has_ended(answer: Answer) -> bool:
        return answer.body.get("status", {}).get("phase") in ("Succeeded", "Failed")

    kube.create(pod).expect()
    ended: Any = kube.wait(f"{collection(pod)}/{pod['metadata']['name']}", has_ended, seconds=60).body["status"]
    assert ended["phase"] == "Succeeded", ended
    return str(ended["containerStatuses"][0]["state"]["terminated"]["message"])


def _volume(kube: ApiServer, name: str) -> Answer:
    return kube.request("GET", f"/api/v1/persistentvolumes/{name}")


def _is_gone(answer: Answer) -> bool:
    return answer.status == 404
