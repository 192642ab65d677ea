"""From a kind to its CustomResourceDefinition."""

from typing import Any

from ringfence_operator.api.agent import Agent
from ringfence_operator.api.agent_pool import AgentPool
from ringfence_operator.api.connector import Connector
from ringfence_operator.api.custom_resource import Column, CustomResource
from ringfence_operator.api.metadata import GROUP, VERSION
from ringfence_operator.api.quota import Quota
from ringfence_operator.api.rule import RULES
from ringfence_operator.api.security_policy import SecurityPolicy
from tools.schema import Schema, structural_schema

KINDS: tuple[type[CustomResource], ...] = (Agent, AgentPool, Connector, Quota, SecurityPolicy)
STATUS_DEFAULT = {"observedGeneration": -1, "state": "Pending"}
"""Makes kstatus, and people, see that an object is new before the operator has written anything."""


def build_crd(kind: type[CustomResource]) -> dict[str, Any]:
    """Return the CustomResourceDefinition of `kind`."""
    names = {
        "kind": kind.kind,
        "listKind": f"{kind.kind}List",
        "plural": kind.plural,
        "singular": kind.kind.lower(),
        "shortNames": [kind.short_name],
        "categories": ["ringfence"],
    }
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": _subresources(kind),
        "additionalPrinterColumns": [_column(each) for each in kind.columns],
        "schema": {"openAPIV3Schema": object_schema(kind)},
    }
    if kind.selectable_fields:
        version["selectableFields"] = [{"jsonPath": path} for path in kind.selectable_fields]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}", "labels": {"app.kubernetes.io/part-of": "ringfence"}},
        "spec": {"group": GROUP, "names": names, "scope": "Namespaced", "versions": [version]},
    }


def object_schema(kind: type[CustomResource]) -> Schema:
    """Return the schema of the whole object, in which the API server keeps the metadata to itself."""
    schema = structural_schema(kind)
    spec, status = schema["properties"]["spec"], schema["properties"]["status"]
    spec.setdefault("default", {})
    if "spec" in schema["required"]:
        del spec["default"]
    status["default"] = {name: value for name, value in STATUS_DEFAULT.items() if name in status["properties"]}
    return {
        "description": schema["description"],
        "type": "object",
        RULES: schema[RULES],
        "required": [field for field in schema["required"] if field == "spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        },
    }


def _subresources(kind: type[CustomResource]) -> dict[str, Any]:
    scale = kind.scale
    if scale is None:
        return {"status": {}}
    paths = {"specReplicasPath": scale.spec, "statusReplicasPath": scale.status, "labelSelectorPath": scale.selector}
    return {"status": {}, "scale": paths}


def _column(column: Column) -> dict[str, Any]:
    entry = {"name": column.name, "type": column.type, "jsonPath": column.path, "description": column.description}
    return {**entry, "priority": 1} if column.wide else entry
