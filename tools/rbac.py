"""The roles of the people who use the kinds, added to Kubernetes' own view, edit and admin."""

from typing import Any

from ringfence_operator.api.agent import Agent
from ringfence_operator.api.agent_pool import AgentPool
from ringfence_operator.api.metadata import GROUP
from tools.crd import KINDS

READ = ["get", "list", "watch"]
WRITE = ["create", "update", "patch", "delete", "deletecollection"]


def build_user_roles() -> list[dict[str, Any]]:
    """Return the aggregated roles; none of them may write a status, which is the operator's to say.

    Who may edit runs agents; who may administer decides what they may touch. The policy of an author's own
    making would confine nothing.
    """
    kinds = [kind.plural for kind in KINDS]
    policies = [kind.plural for kind in KINDS if kind not in (Agent, AgentPool)]
    scales = [f"{kind.plural}/scale" for kind in KINDS if kind.scale]
    return [
        _role("view", _rule(kinds, READ), _rule([f"{kind}/status" for kind in kinds] + scales, ["get"])),
        _role("edit", _rule([Agent.plural, AgentPool.plural], WRITE), _rule(scales, ["update", "patch"])),
        _role("admin", _rule(policies, WRITE)),
    ]


def _role(name: str, *rules: dict[str, Any]) -> dict[str, Any]:
    # Kubernetes' edit takes in view, and its admin takes in edit, so each role says only what it adds.
    labels = {"app.kubernetes.io/part-of": "ringfence", f"rbac.authorization.k8s.io/aggregate-to-{name}": "true"}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"ringfence-{name}", "labels": labels},
        "rules": list(rules),
    }


def _rule(resources: list[str], verbs: list[str]) -> dict[str, Any]:
    return {"apiGroups": [GROUP], "resources": resources, "verbs": verbs}
