"""Kubernetes' objects as JSON: where they are, and what their conditions say."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

Raw = dict[str, Any]

GROUP = "/apis/ringfence.dev/v1alpha1"
KINDS = {
    "agents": "Agent",
    "agentpools": "AgentPool",
    "connectors": "Connector",
    "quotas": "Quota",
    "securitypolicies": "SecurityPolicy",
}
"""Our kinds by the names of their collections."""


def collection(resource: str, namespace: str = "", *, group: str = GROUP) -> str:
    """Return the path of a collection; without a namespace, of all of them or of a cluster-wide one."""
    return f"{group}/namespaces/{namespace}/{resource}" if namespace else f"{group}/{resource}"


def core(resource: str, namespace: str = "") -> str:
    """Return the path of a collection of Kubernetes' core group."""
    return collection(resource, namespace, group="/api/v1")


def name_of(found: Raw) -> str:
    """Return the object's name."""
    return str(found["metadata"]["name"])


def namespace_of(found: Raw) -> str:
    """Return the object's namespace; empty for a cluster-wide one."""
    return str(found["metadata"].get("namespace", ""))


def full_name(found: Raw) -> str:
    """Return how people write the object: Kind namespace/name."""
    place = f"{namespace_of(found)}/" if namespace_of(found) else ""
    return f"{found['kind']} {place}{name_of(found)}"


def named(items: Iterable[Raw], name: str, namespace: str = "") -> Raw | None:
    """Return the object of that name; of that namespace, where one is given."""
    matches = (each for each in items if name_of(each) == name and namespace in ("", namespace_of(each)))
    return next(matches, None)


def status_of(found: Raw) -> Raw:
    """Return the object's status; empty before there is one."""
    return dict(found.get("status") or {})


def condition(found: Raw, kind: str) -> Raw | None:
    """Return the condition of that type, if the object has it."""
    return next((each for each in status_of(found).get("conditions") or () if each["type"] == kind), None)


def is_true(found: Raw, kind: str) -> bool:
    """Return True if the condition is there and holds."""
    return (condition(found, kind) or {}).get("status") == "True"


def time_of(text: str) -> datetime:
    """Return the moment that the API server writes like this (RFC 3339)."""
    return datetime.fromisoformat(text).astimezone(UTC)


def is_selected(selector: Raw, labels: dict[str, str]) -> bool:
    """Return True if a label selector (metav1.LabelSelector) matches; an empty one matches everything."""
    wanted = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_holds(each, labels) for each in selector.get("matchExpressions") or ())


def _holds(expression: Raw, labels: dict[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case _:
            return value is None
