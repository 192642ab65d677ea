"""The volume that an agent keeps its work in."""

from typing import Any

from ringfence_operator import labels
from ringfence_operator.api.agent import Agent
from ringfence_operator.resources.pod import owner_reference
from ringfence_operator.resources.volumes import claim_name


def build_claim(agent: Agent) -> dict[str, Any] | None:
    """Return the PersistentVolumeClaim to make for `agent`; None without a workspace, and where it adopts one.

    A claim that is to be retained has no owner, so that nothing deletes it with the agent.
    """
    workspace = agent.spec.workspace
    if workspace is None or workspace.claim_name is not None:
        return None
    metadata: dict[str, Any] = {
        "name": claim_name(agent),
        "namespace": agent.metadata.namespace,
        "labels": {
            labels.MANAGED_BY: labels.MANAGER,
            labels.AGENT: agent.metadata.name,
            labels.AGENT_UID: agent.metadata.uid,
        },
    }
    if workspace.reclaim_policy == "Delete":
        metadata["ownerReferences"] = [owner_reference(agent)]
    spec: dict[str, Any] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": workspace.size}},
    }
    if workspace.storage_class_name is not None:
        spec["storageClassName"] = workspace.storage_class_name
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
