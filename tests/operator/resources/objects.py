"""Objects as the API server would send them, with everything that a test does not care about filled in."""

from datetime import UTC, datetime
from typing import Any

from ringfence_operator import labels
from ringfence_operator.api.agent import Agent
from ringfence_operator.api.model import format_timestamp
from ringfence_operator.api.quota import Quota
from ringfence_operator.api.security_policy import SecurityPolicy
from ringfence_operator.resources.effective import Effective, Surroundings, effective
from ringfence_operator.settings import Settings

Raw = dict[str, Any]
NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
AGENT_UID = "agent-uid"
SETTINGS = Settings(egress_backend="none")
CAPABLE = Surroundings(runtime_classes=frozenset({"gvisor"}), has_user_namespaces=True)


def agent_body(name: str = "a", *, namespace: str = "team", status: Raw | None = None, **spec: Any) -> Raw:
    """Return an Agent; `spec` is in the API's own names."""
    body: Raw = {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": AGENT_UID if name == "a" else f"{name}-uid",
            "resourceVersion": "1",
            "generation": 1,
            "creationTimestamp": format_timestamp(NOW),
        },
        "spec": {"image": "registry.example/agent:1"} | spec,
    }
    return body | ({"status": status} if status is not None else {})


def make_agent(name: str = "a", *, namespace: str = "team", status: Raw | None = None, **spec: Any) -> Agent:
    return Agent.from_body(agent_body(name, namespace=namespace, status=status, **spec))


def policy_body(name: str = "p", *, namespace: str = "team", **spec: Any) -> Raw:
    """Return a SecurityPolicy; `spec` is in the API's own names."""
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"{name}-uid",
            "resourceVersion": "1",
            "generation": 1,
            "creationTimestamp": format_timestamp(NOW),
        },
        "spec": spec,
    }


def make_policy(name: str = "p", *, namespace: str = "team", **spec: Any) -> SecurityPolicy:
    return SecurityPolicy.from_body(policy_body(name, namespace=namespace, **spec))


def quota_body(name: str = "q", *limits: Raw, namespace: str = "team", status: Raw | None = None, **spec: Any) -> Raw:
    """Return a Quota of 100 calls an hour, unless `limits` say otherwise; `spec` is in the API's own names."""
    body: Raw = {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"{name}-uid",
            "resourceVersion": "1",
            "generation": 1,
            "creationTimestamp": format_timestamp(NOW),
        },
        "spec": {"limits": list(limits) or [{"resource": "apiCalls", "max": 100, "window": "Hour"}]} | spec,
    }
    return body | ({"status": status} if status is not None else {})


def make_quota(name: str = "q", *limits: Raw, status: Raw | None = None, **spec: Any) -> Quota:
    return Quota.from_body(quota_body(name, *limits, status=status, **spec))


def effective_of(
    agent: Agent,
    policy: SecurityPolicy | None = None,
    *,
    settings: Settings = SETTINGS,
    around: Surroundings = CAPABLE,
) -> Effective:
    return effective(agent, policy, settings, around)


def pod_body(name: str = "a", *, uid: str = "pod-1", owner: str = AGENT_UID, **changes: Any) -> Raw:
    """Return a pod that has been made and nothing more; `changes` go into its status, but for the names of metadata.

    `deleted` is a deletionTimestamp, `spec_hash` the annotation, `node` the node that it is bound to.
    """
    metadata: Raw = {
        "name": name,
        "namespace": changes.pop("namespace", "team"),
        "uid": uid,
        "resourceVersion": changes.pop("version", "2"),
        "creationTimestamp": format_timestamp(NOW),
        "labels": changes.pop("labels", {labels.AGENT: name, labels.MANAGED_BY: labels.MANAGER}),
        "annotations": {labels.SPEC_HASH: changes.pop("spec_hash", "")},
    }
    if owner:
        metadata["ownerReferences"] = [{"kind": "Agent", "name": name, "uid": owner, "controller": True}]
    deleted = changes.pop("deleted", None)
    if deleted:
        metadata["deletionTimestamp"] = deleted
    node = changes.pop("node", None)
    spec = {"nodeName": node} if node else {}
    return {"kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": "Pending"} | changes}


def container_status(state: Raw, *, restarts: int = 0, last: Raw | None = None, name: str = "agent") -> list[Raw]:
    return [{"name": name, "state": state, "lastState": last or {}, "restartCount": restarts, "ready": False}]


def terminated(code: int, *, reason: str = "", at: str = "2026-11-23T12:00:00Z", **more: Any) -> Raw:
    found = reason or ("Completed" if code == 0 else "Error")
    return {"terminated": {"exitCode": code, "reason": found, "finishedAt": at, **more}}


READY = [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-23T12:00:00Z"}]
RUNNING = {"running": {"startedAt": "2026-11-23T12:00:00Z"}}


def node_body(name: str = "n1", **changes: Any) -> Raw:
    """Return a node; `changes` are `labels`, `addresses`, `pod_cidrs` and `handlers`."""
    handlers = changes.get("handlers", [{"name": "", "features": {"userNamespaces": True}}])
    return {
        "metadata": {"name": name, "uid": f"{name}-uid", "resourceVersion": "1", "labels": changes.get("labels", {})},
        "spec": {"podCIDRs": changes.get("pod_cidrs", ["10.244.0.0/24"])},
        "status": {
            "addresses": changes.get("addresses", [{"type": "InternalIP", "address": "10.201.0.2"}]),
            "runtimeHandlers": handlers,
        },
    }
