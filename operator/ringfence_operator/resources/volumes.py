"""What an agent's container finds mounted: its workspace, its files, and the places where it may write."""

from typing import Any

from ringfence_operator import labels
from ringfence_operator.api.agent import Agent
from ringfence_operator.resources.effective import Effective

WORKSPACE = "workspace"


def claim_name(agent: Agent) -> str | None:
    """Return the name of the agent's PersistentVolumeClaim, or None if it has no workspace."""
    workspace = agent.spec.workspace
    if workspace is None:
        return None
    return workspace.claim_name or f"{agent.metadata.name}-workspace"


def is_adopted(agent: Agent) -> bool:
    """Return True if the agent's workspace is a claim that it asks for by name."""
    return agent.spec.workspace is not None and agent.spec.workspace.claim_name is not None


def file_annotations(agent: Agent) -> dict[str, str]:
    """Return the annotations that carry the inline files: they reach the pod with no object of their own."""
    return {
        f"{labels.FILE}{index}": file.content for index, file in enumerate(agent.spec.files) if file.content is not None
    }


def writable_mounts(agent: Agent, effective: Effective) -> list[str]:
    """Return the paths that the agent can write to, the workspace first."""
    workspace = [agent.spec.workspace.mount_path] if agent.spec.workspace else []
    return workspace + [path for path, _ in effective.writable_paths.value]


def build_volumes(agent: Agent, effective: Effective) -> list[dict[str, Any]]:
    """Return the pod's volumes, in the order of `build_mounts`."""
    result: list[dict[str, Any]] = []
    claim = claim_name(agent)
    if claim:
        result.append({"name": WORKSPACE, "persistentVolumeClaim": {"claimName": claim}})
    for index, (_, size) in enumerate(effective.writable_paths.value):
        result.append({"name": f"writable-{index}", "emptyDir": {"sizeLimit": size}})
    inline = [index for index, file in enumerate(agent.spec.files) if file.content is not None]
    if inline:
        items = [
            {"path": f"file-{index}", "fieldRef": {"fieldPath": f"metadata.annotations['{labels.FILE}{index}']"}}
            for index in inline
        ]
        result.append({"name": "inline-files", "downwardAPI": {"items": items}})
    for index, file in enumerate(agent.spec.files):
        if file.config_map is not None:
            result.append({"name": f"file-{index}", "configMap": {"name": file.config_map.name}})
    return result


def build_mounts(agent: Agent, effective: Effective) -> list[dict[str, Any]]:
    """Return the container's mounts; files are read-only, always."""
    result: list[dict[str, Any]] = []
    if agent.spec.workspace:
        result.append({"name": WORKSPACE, "mountPath": agent.spec.workspace.mount_path})
    for index, (path, _) in enumerate(effective.writable_paths.value):
        result.append({"name": f"writable-{index}", "mountPath": path})
    for index, file in enumerate(agent.spec.files):
        mount: dict[str, Any] = {"mountPath": file.path, "readOnly": True}
        if file.content is not None:
            mount |= {"name": "inline-files", "subPath": f"file-{index}"}
        elif file.config_map is not None:
            mount |= {"name": f"file-{index}"} | ({"subPath": file.config_map.key} if file.config_map.key else {})
        result.append(mount)
    return result
