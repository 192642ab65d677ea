"""The Service through which others reach an agent, where its policy admits them."""

from typing import Any

from ringfence_operator import labels
from ringfence_operator.api.agent import Agent
from ringfence_operator.resources.pod import owner_reference


def build_service(agent: Agent) -> dict[str, Any] | None:
    """Return the Service of an agent that names ports, else None."""
    if not agent.spec.ports:
        return None
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": agent.metadata.name,
            "namespace": agent.metadata.namespace,
            "labels": {labels.MANAGED_BY: labels.MANAGER, labels.AGENT: agent.metadata.name},
            "ownerReferences": [owner_reference(agent)],
        },
        "spec": {
            "type": "ClusterIP",
            "ipFamilyPolicy": "PreferDualStack",
            "selector": {labels.AGENT: agent.metadata.name, labels.MANAGED_BY: labels.MANAGER},
            "ports": [
                {"name": port.name, "port": port.port, "targetPort": port.port, "protocol": port.protocol}
                for port in agent.spec.ports
            ],
        },
    }
