"""The types that the comments of the chart's values name, as JSON Schema.

Patterns are in what Go, Python and ECMAScript have in common. Where Kubernetes' own types stand, the keys that a user
writes by hand are closed; what lies deeper is for the API server to judge.
"""

from typing import Any

Schema = dict[str, Any]

_NAME = r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?"
_HOST = r"[A-Za-z0-9.-]+(:[0-9]{1,5})?"
_REDIS = rf"{_HOST}(,{_HOST})*(/[A-Za-z0-9._-]*)*"
_QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|Ki|[MGTPE]i?)?$"


def _text(pattern: str, **more: Any) -> Schema:
    return {"type": "string", "pattern": pattern, **more}


def _closed(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _pairs(*foreign: str) -> Schema:
    """Return the schema of strings by key, without the keys that any of these patterns match."""
    pairs: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
    return pairs | {"patternProperties": {"|".join(foreign): False}} if foreign else pairs


_STRING: Schema = {"type": "string"}
_INTEGER: Schema = {"type": "integer"}
_ANY: Schema = {"type": "object"}
_QUANTITIES = {"type": ["string", "integer"], "pattern": _QUANTITY, "minimum": 0}
_AMOUNTS = _closed(**dict.fromkeys(("cpu", "memory", "ephemeral-storage"), _QUANTITIES))
_LABEL_SELECTOR = _closed(matchLabels=_pairs(), matchExpressions=_list(_ANY))
_PEER = _closed(
    namespaceSelector=_LABEL_SELECTOR,
    podSelector=_LABEL_SELECTOR,
    ipBlock=_closed(cidr=_STRING, **{"except": _list(_STRING)}),
)
_PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
_NAMED_PORT: Schema = {"type": ["string", "integer"], "minimum": 1, "maximum": 65535}
_PROTOCOL: Schema = {"enum": ["TCP", "UDP", "SCTP"]}
_KEY_OF = _closed(name=_STRING, key=_STRING, optional={"type": "boolean"})
_SOURCE = _closed(
    fieldRef=_closed(apiVersion=_STRING, fieldPath=_STRING),
    resourceFieldRef=_closed(containerName=_STRING, resource=_STRING, divisor=_QUANTITIES),
    configMapKeyRef=_KEY_OF,
    secretKeyRef=_KEY_OF,
)
_VARIABLE = _text(r"^[A-Za-z_][A-Za-z0-9_.-]*$", **{"not": {"pattern": "^RINGFENCE_"}})
_REQUIRED, _PREFERRED = (f"{word}DuringSchedulingIgnoredDuringExecution" for word in ("required", "preferred"))
_AMONG_PODS = _closed(**{_REQUIRED: _list(_ANY), _PREFERRED: _list(_ANY)})
_OURS = r"(^|\.)ringfence\.dev/"
_RELEASE = r"(^|\.)helm\.sh/"
_CHART = r"^app\.kubernetes\.io/(name|instance|version|component|part-of|managed-by)$"

TYPES: dict[str, Schema] = {
    "boolean": {"type": "boolean"},
    "integer": _INTEGER,
    "string": _STRING,
    "object": {"type": ["object", "string"]},
    "port": _PORT,
    "count": {"type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]+%$"},
    "quantity": _QUANTITIES | {"not": {"type": "string", "pattern": r"^[0.]+[A-Za-z]*$"}, "minimum": 1},
    "duration": _text(r"^([0-9]+(ms|s|m|h))+$"),
    "logLevel": {"type": "string", "enum": ["debug", "info", "warning", "error"]},
    "name": _text(f"^{_NAME}$", maxLength=253),
    "namePath": _text(r"^[a-z0-9.-]+/[a-z0-9.-]+$"),
    "key": _text(r"^[A-Za-z0-9._-]+$", maxLength=253),
    "cidr": _text(r"^[0-9a-fA-F.:]+(/[0-9]{1,3})?$"),
    "address": _text(r"^[0-9a-fA-F.:]+$"),
    "redisUrl": _text(rf"^((redis|rediss|redis\+cluster)://{_REDIS}(\?tls)?|redis\+sentinel://{_REDIS}\?tls)$"),
    "image": _text(r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$"),
    "repository": _text(r"^[a-z0-9][a-z0-9._-]*((:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+)?$"),
    "tag": _text(r"^$|^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"),
    "digest": _text(r"^$|^sha256:[0-9a-f]{64}$"),
    "pullPolicy": {"type": "string", "enum": ["Always", "IfNotPresent", "Never"]},
    "pullSecret": _closed(name=_text(f"^{_NAME}$")) | {"required": ["name"]},
    "labels": _pairs(_OURS, _RELEASE, _CHART),
    "annotations": _pairs(_OURS, _RELEASE),
    "selector": _pairs(),
    "resources": _closed(requests=_AMOUNTS, limits=_AMOUNTS),
    "env": _closed(name=_VARIABLE, value=_STRING, valueFrom=_SOURCE) | {"required": ["name"]},
    "toleration": _closed(
        key=_STRING,
        operator={"enum": ["Exists", "Equal", "Lt", "Gt"]},
        value=_STRING,
        effect={"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]},
        tolerationSeconds=_INTEGER,
    ),
    "affinity": _closed(
        nodeAffinity=_closed(**{_REQUIRED: _ANY, _PREFERRED: _list(_ANY)}),
        podAffinity=_AMONG_PODS,
        podAntiAffinity=_AMONG_PODS,
    ),
    "spread": _closed(
        maxSkew={"type": "integer", "minimum": 1},
        topologyKey=_STRING,
        whenUnsatisfiable={"enum": ["DoNotSchedule", "ScheduleAnyway"]},
        minDomains={"type": "integer", "minimum": 1},
        nodeAffinityPolicy={"enum": ["Honor", "Ignore"]},
        nodeTaintsPolicy={"enum": ["Honor", "Ignore"]},
    )
    | {"required": ["maxSkew", "topologyKey", "whenUnsatisfiable"]},
    "peer": _PEER | {"minProperties": 1},
    "egressRule": _closed(to=_list(_PEER), ports=_list(_closed(port=_NAMED_PORT, endPort=_PORT, protocol=_PROTOCOL))),
}
"""The schema by the name that a comment gives it."""
