"""A pod of a pool: all that an agent's pod is, but for the agent."""

from typing import Any

from ringfence_operator import labels
from ringfence_operator.api.agent_pool import AgentPool
from ringfence_operator.api.security_policy import SecurityPolicy
from ringfence_operator.resources.effective import Effective
from ringfence_operator.resources.pod import build_pod
from ringfence_operator.resources.pool import member, record_template, template_hash
from ringfence_operator.resources.sidecar import Sidecar, build_sidecar, unassigned
from ringfence_operator.resources.starter import Starter, build_starter, build_starter_volumes, waiting


def pool_labels(pool: AgentPool) -> dict[str, str]:
    """Return the labels of a warm pod. None opens anything to it but the control server, and none is an agent's."""
    return {
        **pool.spec.template.pod_metadata.labels,
        labels.MANAGED_BY: labels.MANAGER,
        labels.POOL: pool.metadata.name,
        labels.STARTER: "true",
        labels.CONFINED: "true",
    }


def pool_selector(pool: AgentPool) -> str:
    """Return what selects the pool's pods that no agent has."""
    return f"{labels.POOL}={pool.metadata.name},!{labels.AGENT}"


def build_pool_pod(
    pool: AgentPool,
    policy: SecurityPolicy | None,
    effective: Effective,
    starter: Starter,
    *,
    name: str,
    sidecar: Sidecar | None = None,
) -> dict[str, Any]:
    """Return the pod `name`, which starts and waits for an agent, confined as `effective` says.

    `sidecar` is there where the template names connectors, with the credentials of all of them.
    """
    pod = build_pod(member(pool, name), policy, effective, sidecar=sidecar)
    spec = pod["spec"]
    spec["containers"] = [waiting(spec["containers"][0])]
    spec["initContainers"] = [build_starter(starter), *([build_sidecar(sidecar, unassigned())] if sidecar else [])]
    spec["volumes"] = [*spec["volumes"], *build_starter_volumes()]
    if pool.spec.refill.priority_class_name:
        spec["priorityClassName"] = pool.spec.refill.priority_class_name
    if pool.spec.template.topology_spread_constraints:
        spec["topologySpreadConstraints"] = _spread(pool)
    pod["metadata"] = {
        "name": name,
        "namespace": pool.metadata.namespace,
        "labels": pool_labels(pool),
        "annotations": {
            **pool.spec.template.pod_metadata.annotations,
            labels.TEMPLATE: record_template(pool.spec.template),
            labels.TEMPLATE_HASH: template_hash(pool, policy, effective, sidecar.connectors if sidecar else ()),
            **({labels.SIDECAR_HASH: sidecar.hash} if sidecar else {}),
        },
        "ownerReferences": [_owner(pool)],
    }
    return pod


def _spread(pool: AgentPool) -> list[dict[str, Any]]:
    """Have warm pods counted, and no claimed ones: where those are says nothing about the next claim."""
    warm = [{"key": labels.POOL, "operator": "In", "values": [pool.metadata.name]}]
    no_agent = [{"key": labels.AGENT, "operator": "DoesNotExist"}]
    selector = {"matchExpressions": [*warm, *no_agent]}
    given = pool.spec.template.topology_spread_constraints
    return [{**each.to_body(), "labelSelector": selector} for each in given]


def _owner(pool: AgentPool) -> dict[str, Any]:
    return {
        "apiVersion": labels.API_VERSION,
        "kind": "AgentPool",
        "name": pool.metadata.name,
        "uid": pool.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
