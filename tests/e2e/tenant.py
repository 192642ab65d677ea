"""Somebody with Kubernetes' own role `edit` in one namespace, and nothing else."""

from pathlib import Path

import yaml

from tests.e2e.kube import Body, Kube, address
from tests.e2e.replica import ROOT
from tests.e2e.world import World

RBAC = "rbac.authorization.k8s.io"


def tenant(world: World) -> Kube:
    """Return the API server as it is to a user who may edit the world's namespace."""
    name = f"tenant-{world.tag}"
    _may_edit(world, {"apiGroup": RBAC, "kind": "User", "name": name})
    return world.kube.as_user(name)


def tenant_kubeconfig(world: World, kubeconfig: Path, file: Path) -> Path:
    """Write a kubeconfig with the token of a service account that may edit the world's namespace, which it is for."""
    for role in yaml.safe_load_all((ROOT / "deploy/rbac-users.yaml").read_text()):
        world.kube.apply(role)
    account = world.named("ServiceAccount", "tenant")["metadata"]["name"]
    _may_edit(world, {"kind": "ServiceAccount", "name": account, "namespace": world.namespace})
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    answer = world.kube.request("POST", f"{address('ServiceAccount', world.namespace, account)}/token", asked)
    config = yaml.safe_load(kubeconfig.read_text())
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": answer["status"]["token"]}}]
    for each in config["contexts"]:
        each["context"]["namespace"] = world.namespace
    file.write_text(yaml.safe_dump(config))
    return file


def _may_edit(world: World, subject: Body) -> None:
    role = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "edit"}
    world.named("RoleBinding", "tenant", api=f"{RBAC}/v1", roleRef=role, subjects=[subject])
