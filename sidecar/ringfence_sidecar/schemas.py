"""JSON Schemas of what the surfaces take and give, made from the operations' structs, once per struct."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import msgspec

from ringfence_sidecar.connectors.base import Operation
from ringfence_sidecar.envelope import Envelope
from ringfence_sidecar.problem import Document

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
PUBLISHED: Final = ("envelope", "problem")
_TEMPLATE = "#/$defs/{name}"
Schema = dict[str, Any]


@cache
def schema_of(struct: type[msgspec.Struct]) -> Schema:
    """Return the struct's schema, an object at its root; what it refers to is under `$defs`. Not to be changed."""
    (root,), components = msgspec.json.schema_components((struct,), ref_template=_TEMPLATE)
    return _inlined(root, components)


@cache
def envelope_of(result: type[msgspec.Struct]) -> Schema:
    """Return the schema of an envelope whose `data` is a `result`, or null where there is none."""
    (root, data), components = msgspec.json.schema_components((Envelope, result), ref_template=_TEMPLATE)
    schema = _inlined(root, components)
    properties = {**schema["properties"], "data": {"anyOf": [data, {"type": "null"}]}}
    return {**schema, "properties": properties}


@cache
def published(name: str) -> Schema:
    """Return a schema of `PUBLISHED`, as a document of its own."""
    return {"$schema": DIALECT, **schema_of(Envelope if name == "envelope" else Document)}


def components_of(operations: Sequence[Operation], template: str) -> tuple[Mapping[Any, Schema], Mapping[str, Schema]]:
    """Return the schema of each struct that the operations and answers use, and the named ones that those refer to."""
    structs: list[type[msgspec.Struct]] = [Envelope, Document]
    for operation in operations:
        structs += [operation.arguments, operation.result]
    structs = list(dict.fromkeys(structs))
    schemas, components = msgspec.json.schema_components(structs, ref_template=template)
    return dict(zip(structs, schemas, strict=True)), components


def _inlined(root: Schema, components: Mapping[str, Schema]) -> Schema:
    """Return the schema with its root in place: a tool's schema must say `type: object` there."""
    name = root.get("$ref", "").rpartition("/")[2]
    body = dict(components[name]) if name else dict(root)
    others = {each: schema for each, schema in components.items() if each != name or _mentions(components, name)}
    return {**body, "$defs": others} if others else body


def _mentions(components: Mapping[str, Schema], name: str) -> bool:
    return f'"#/$defs/{name}"'.encode() in msgspec.json.encode(components)
