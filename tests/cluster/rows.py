"""What a row of the tables of objects is, and how it becomes an object."""

from dataclasses import dataclass, field
from typing import Any

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bad:
    """An object that the API server must refuse, the field it must name and what it must say."""

    title: str
    spec: Body
    path: str
    says: str
    name: str = "sample"
    without: str = ""
    status: Body = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Good:
    """An object that the API server must accept, and what it must add on its own."""

    title: str
    spec: Body
    adds: Body = field(default_factory=dict)
    name: str = "sample"


def agent(namespace: str, spec: Body, *, name: str = "sample") -> Body:
    """Return an Agent that is complete apart from what `spec` overrides, or takes away by None."""
    given = {"image": "busybox", **spec}
    return _object("Agent", namespace, name, {key: value for key, value in given.items() if value is not None})


def policy(namespace: str, spec: Body, *, name: str = "sample") -> Body:
    """Return a SecurityPolicy."""
    return _object("SecurityPolicy", namespace, name, spec)


def pool(namespace: str, spec: Body, *, name: str = "sample") -> Body:
    """Return an AgentPool that is complete apart from what `spec` overrides."""
    return _object("AgentPool", namespace, name, {"template": {"image": "busybox"}, **spec})


def connector(namespace: str, spec: Body, *, name: str = "sample") -> Body:
    """Return a Connector for every agent of its namespace."""
    return _object("Connector", namespace, name, {"agentSelector": {}, **spec})


def quota(namespace: str, spec: Body, *, name: str = "sample") -> Body:
    """Return a Quota."""
    return _object("Quota", namespace, name, spec)


def _object(kind: str, namespace: str, name: str, spec: Body) -> Body:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "ringfence.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}
