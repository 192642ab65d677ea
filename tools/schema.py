"""From a pydantic model to the structural OpenAPI v3 schema of a CustomResourceDefinition."""

from typing import Any

from pydantic import BaseModel

from ringfence_operator.api.duration import format_duration
from ringfence_operator.api.rule import RULES

Schema = dict[str, Any]

_ORDER = (
    "description",
    "type",
    "x-kubernetes-int-or-string",
    "anyOf",
    "enum",
    "format",
    "default",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "maxProperties",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    "x-kubernetes-preserve-unknown-fields",
    RULES,
    "required",
    "properties",
    "items",
    "additionalProperties",
)
"""Every keyword that the API server is sent, in the order in which people read them."""


def structural_schema(model: type[BaseModel]) -> Schema:
    """Return the schema of `model`: no references, no nulls, every list's merge strategy spelt out."""
    schema = model.model_json_schema(by_alias=True)
    return _structural(schema, schema.get("$defs", {}))


def _structural(schema: Schema, definitions: Schema) -> Schema:
    schema = _merged(schema, definitions)
    if "properties" in schema:
        schema["properties"] = {name: _structural(it, definitions) for name, it in schema["properties"].items()}
    if isinstance(schema.get("additionalProperties"), dict):
        schema["additionalProperties"] = _structural(schema["additionalProperties"], definitions)
    if "items" in schema:
        schema["items"] = _structural(schema["items"], definitions)
        schema.setdefault("x-kubernetes-list-type", "atomic")
    if "default" in schema:
        schema["default"] = _default(schema)
        if schema["default"] in (None, "", [], {}):
            del schema["default"]
    return _in_order(schema)


def _merged(schema: Schema, definitions: Schema) -> Schema:
    """Return `schema` with what it refers to in its place; what stands beside the reference wins."""
    schema = {key: value for key, value in schema.items() if key not in ("title", "$defs")}
    target: Schema | None = None
    if "$ref" in schema:
        target = definitions[schema.pop("$ref").rpartition("/")[2]]
    elif {"type": "null"} in schema.get("anyOf", []):
        (target,) = (branch for branch in schema.pop("anyOf") if branch != {"type": "null"})
    return schema if target is None else {**_merged(target, definitions), **schema}


def _default(schema: Schema) -> Any:
    default = schema["default"]
    if schema.get("type") == "string" and isinstance(default, int):
        return format_duration(default)  # the only strings that the operator holds as numbers
    return _without_empty(default)


def _without_empty(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    kept = {key: _without_empty(each) for key, each in value.items()}
    return {key: each for key, each in kept.items() if each not in (None, "", [], {})}


def _in_order(schema: Schema) -> Schema:
    unknown = schema.keys() - set(_ORDER)
    if unknown:
        raise ValueError(f"no place in a structural schema: {', '.join(sorted(unknown))}")
    return {key: schema[key] for key in _ORDER if key in schema}
