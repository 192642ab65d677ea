"""Somebody with Kubernetes' own role `edit` in one namespace, and nothing else."""

from pathlib import Path

import yaml

from tests.e2e.kube import address
from tests.e2e.replica import ROOT
from tests.e2e.world import World


def tenant_kubeconfig(world: World, kubeconfig: Path, file: Path) -> Path:
    """Write a kubeconfig with the token of a service account that may edit the world's namespace, which it is for."""
    for role in yaml.safe_load_all((ROOT / "deploy/rbac-users.yaml").read_text()):
        world.kube.apply(role)
    account = world.named("ServiceAccount", "tenant")["metadata"]["name"]
    world.named(
        "RoleBinding",
        "tenant",
        api="rbac.authorization.k8s.io/v1",
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        subjects=[{"kind": "ServiceAccount", "name": account, "namespace": world.namespace}],
    )
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    answer = world.kube.request("POST", f"{address('ServiceAccount', world.namespace, account)}/token", asked)
    config = yaml.safe_load(kubeconfig.read_text())
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": answer["status"]["token"]}}]
    for each in config["contexts"]:
        each["context"]["namespace"] = world.namespace
    file.write_text(yaml.safe_dump(config))
    return file
