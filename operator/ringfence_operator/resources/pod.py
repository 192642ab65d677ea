"""The pod of an agent."""

from collections.abc import Sequence
from typing import Any

from ringfence_operator import labels
from ringfence_operator.api.agent import Agent, Isolation, Mode
from ringfence_operator.api.security_policy import SecurityPolicy
from ringfence_operator.resources import volumes
from ringfence_operator.resources.container import build_container
from ringfence_operator.resources.effective import Effective
from ringfence_operator.resources.observed import digest
from ringfence_operator.resources.sidecar import (
    Sidecar,
    build_sidecar,
    build_sidecar_volumes,
    file_mode,
    looks_inside,
    sidecar_labels,
)
from ringfence_operator.resources.way_out import WayOut

USER_ID = 65532
"""The agent's user and group from Basic up, whatever the image says, so that volumes are writable and root is not."""
GRACE_SECONDS = 10
NOWHERE = WayOut("127.0.0.1", has_proxy=False)
"""For a pod without a name server: look-ups fail at once instead of after a timeout."""

# Changing one of these fields never replaces a running pod: it acts on the agent, or on the pod in place.
_KEEPS_POD: Any = {
    "suspend": True,
    "ttl_after_finished": True,
    "backoff": True,
    "security_policy_ref": True,
    "quota_ref": True,
    "sidecar": True,
    "on_miss": True,
    "workspace": {"reclaim_policy"},
}


def spec_hash(agent: Agent) -> str:
    """Return the digest of the agent's fields that a pod is made from."""
    return digest(agent.spec.model_dump(mode="json", exclude=_KEEPS_POD, exclude_defaults=True))


def pod_hash(agent: Agent, policy: SecurityPolicy | None) -> str:
    """Return the digest of every user's field that a pod is made from: the agent's, a dot, and its policy's.

    Only a user's change replaces a pod: settings, the operator's version and what the cluster can do stay outside.
    """
    fields = policy_fields(policy)
    return f"{spec_hash(agent)}.{digest(fields)}" if fields else spec_hash(agent)


def policy_fields(policy: SecurityPolicy | None) -> dict[str, Any]:
    """Return those fields of a policy that a pod is made from."""
    if policy is None:
        return {}
    return policy.spec.model_dump(mode="json", exclude={"network", "cache"}, exclude_defaults=True)


def pod_labels(
    agent: Agent,
    effective: Effective,
    *,
    cluster_policy: str | None,
    connectors: Sequence[str] = (),
    has_sidecar: bool = False,
    quotas: Sequence[str] = (),
    pool: str = "",
) -> dict[str, str]:
    """Return the labels of the agent's pod; the operator's own win over the user's.

    `connectors` are those that it may reach now: of those that it names, the ones that exist and permit it.
    `has_sidecar`: it has a sidecar without naming any, since a quota counts its calls. `pool` is what it comes from.
    """
    result = {
        **agent.spec.pod_metadata.labels,
        labels.MANAGED_BY: labels.MANAGER,
        labels.AGENT: agent.metadata.name,
    }
    if effective.isolation.value is not Isolation.NONE:
        result[labels.CONFINED] = "true"
    if agent.spec.security_policy_ref:
        result[labels.POLICY] = agent.spec.security_policy_ref.name
    elif cluster_policy:
        result[labels.CLUSTER_POLICY] = cluster_policy
    if agent.spec.connectors or has_sidecar:
        result |= sidecar_labels(connectors)
    if pool:
        result |= {labels.POOL: pool, labels.STARTER: "true"}
    result |= {labels.QUOTAS + name: "true" for name in quotas}
    return result


def owner_reference(agent: Agent) -> dict[str, Any]:
    """Return the reference that makes an object go when its agent goes."""
    return {
        "apiVersion": labels.API_VERSION,
        "kind": "Agent",
        "name": agent.metadata.name,
        "uid": agent.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _annotations(
    agent: Agent, effective: Effective, way_out: WayOut | None, sidecar: Sidecar | None, *, made_from: str
) -> dict[str, str]:
    return {
        **agent.spec.pod_metadata.annotations,
        **(dict.fromkeys(labels.BANDWIDTH, effective.bandwidth.value) if effective.bandwidth else {}),
        **volumes.file_annotations(agent),
        labels.SPEC_HASH: made_from,
        **({labels.GATEWAY_ADDRESS: way_out.address} if way_out else {}),
        **({labels.SIDECAR_HASH: sidecar.hash} if sidecar else {}),
    }


def _seccomp(effective: Effective) -> dict[str, str]:
    kind, _, profile = effective.seccomp.value.partition("/")
    return {"type": kind, "localhostProfile": profile} if profile else {"type": kind}


def _security_context(effective: Effective) -> dict[str, Any]:
    context: dict[str, Any] = {"seccompProfile": _seccomp(effective)}
    if effective.isolation.value is not Isolation.NONE:
        context |= {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "fsGroupChangePolicy": "OnRootMismatch",
        }
    return context


def restart_policy(agent: Agent) -> str:
    """Return who restarts a failed container: a Task's pod is replaced as a whole, a Service's by the kubelet."""
    return "Never" if agent.spec.mode is Mode.TASK else agent.spec.effective_restart_policy


def build_pod(
    agent: Agent,
    policy: SecurityPolicy | None,
    effective: Effective,
    *,
    cluster_policy: str | None = None,
    seconds_left: int | None = None,
    way_out: WayOut | None = None,
    sidecar: Sidecar | None = None,
    quotas: Sequence[str] = (),
    made_from: str = "",
    template: str = "",
) -> dict[str, Any]:
    """Return the pod that runs `agent`, confined as `effective` says.

    `way_out` is its policy's port set on the egress gateway, or the cluster's DNS. `cluster_policy` names the default
    SecurityPolicy where the agent names none. `seconds_left` is what remains of the agent's execution time; the kubelet
    ends the pod then, with the operator there or not. `sidecar` is there where the agent names connectors, or a quota
    limits calls. `quotas` are those that it counts for while it runs. Of an agent with the fields of a pool's template,
    `made_from` is the digest of what itself says, and `template` the record of the other.
    """
    spec: dict[str, Any] = {
        "restartPolicy": restart_policy(agent),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": _security_context(effective),
        "containers": [build_container(agent, effective, way_out, has_sidecar=sidecar is not None)],
        "volumes": volumes.build_volumes(agent, effective),
        **_scheduling(agent),
    }
    if effective.isolation.value is not Isolation.NONE:
        spec |= {"dnsPolicy": "None", "dnsConfig": (way_out or NOWHERE).dns_config()}
    if effective.has_user_namespace.value:
        spec["hostUsers"] = False
    if effective.runtime_class:
        spec["runtimeClassName"] = effective.runtime_class.value
    if seconds_left is not None:
        spec["activeDeadlineSeconds"] = max(1, seconds_left)
    if sidecar:
        is_confined = effective.isolation.value is not Isolation.NONE
        spec["initContainers"] = [build_sidecar(sidecar, looks_inside(way_out) if is_confined else ())]
        mode = file_mode(has_group=is_confined)
        spec["volumes"] += build_sidecar_volumes(sidecar, mode=mode)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": agent.metadata.name,
            "namespace": agent.metadata.namespace,
            "labels": pod_labels(
                agent,
                effective,
                cluster_policy=cluster_policy,
                connectors=sidecar.names if sidecar else (),
                has_sidecar=sidecar is not None,
                quotas=quotas,
            ),
            "annotations": _annotations(
                agent, effective, way_out, sidecar, made_from=made_from or pod_hash(agent, policy)
            )
            | ({labels.TEMPLATE: template} if template else {}),
            "ownerReferences": [owner_reference(agent)],
        },
        "spec": spec,
    }


def _scheduling(agent: Agent) -> dict[str, Any]:
    spec = agent.spec
    result: dict[str, Any] = {}
    if spec.node_selector:
        result["nodeSelector"] = dict(spec.node_selector)
    if spec.tolerations:
        result["tolerations"] = [each.to_body() for each in spec.tolerations]
    if spec.priority_class_name:
        result["priorityClassName"] = spec.priority_class_name
    if spec.image_pull_secrets:
        result["imagePullSecrets"] = [{"name": each.name} for each in spec.image_pull_secrets]
    return result
