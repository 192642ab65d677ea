"""From the operations of the sidecar to their reference page, and to an OpenAPI document of all of them."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from ringfence_sidecar import schemas
from ringfence_sidecar.builtin import Builtin
from ringfence_sidecar.connectors.base import Effect, Operation
from ringfence_sidecar.connectors.rabbitmq import operations as rabbitmq
from ringfence_sidecar.connectors.snowflake import analysis, batch, catalog, change, query, usage
from ringfence_sidecar.rest.app import Rest
from ringfence_sidecar.rest.openapi import document_of

Schema = Mapping[str, Any]

HEADER = "<!-- Made by `make generate` from the operations of ringfence_sidecar: change it there. -->\n\n"
_INTRODUCTION = """\
# Operations

What an agent may ask of its connectors and of the sidecar itself. Each operation is there over REST
(`POST /v1/connectors/CONNECTOR/OPERATION`; the sidecar's own have [paths of their own](sidecar-rest.md)) and as a
tool of MCP (`CONNECTOR_OPERATION`, [more](sidecar-mcp.md)), with the same arguments and the same
[envelope](sidecar-rest.md#the-envelope) as answer. An agent finds those that its Connector permits; all of them
together are in [an OpenAPI document](openapi.json), with every schema.

*Effect* says what a second try could do: what only reads, and what is idempotent, may be tried at another endpoint.
"""
_MODULES = {"snowflake": (query, change, batch, analysis, catalog, usage), "rabbitmq": (rabbitmq,)}
_TITLES = {
    "snowflake": "Connectors of kind `snowflake`",
    "rabbitmq": "Connectors of kind `rabbitmq`",
    "cache": "The agent's own values: `cache`",
    "schemas": "Payload schemas: `schemas`",
}
_EFFECTS = {Effect.READ: "reads", Effect.IDEMPOTENT: "idempotent", Effect.WRITE: "writes"}
_BOUNDS = (
    ("minLength", "maxLength", "characters"),
    ("minItems", "maxItems", "items"),
    ("minimum", "maximum", ""),
    ("minProperties", "maxProperties", "entries"),
)


def operations_page() -> str:
    """Return the page in Markdown."""
    parts = [_INTRODUCTION]
    for group, operations in {**_of_kinds(), **Builtin.operations}.items():
        parts.append(f"## {_TITLES[group]}\n")
        for operation in operations:
            parts += _section(group, operation)
    return HEADER + "\n".join(parts)


def openapi_document() -> str:
    """Return the document of a sidecar that has one connector of each kind, called by its kind, with all permitted."""
    document = document_of(_of_kinds(), Rest(cast("Any", None)).routes)
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _of_kinds() -> dict[str, tuple[Operation, ...]]:
    return {
        kind: tuple(each for module in modules for each in vars(module).values() if isinstance(each, Operation))
        for kind, modules in _MODULES.items()
    }


def _section(group: str, operation: Operation) -> Iterator[str]:
    words = [_EFFECTS[operation.effect], *(["may destroy"] if operation.destructive else [])]
    words += ["streams"] if operation.streams else []
    words += ["takes an idempotency key"] if operation.takes_key else []
    yield f"### {group}: {operation.name}\n"
    yield f"{operation.description}\n"
    yield f"Effect: {', '.join(words)}.\n"
    schema = schemas.schema_of(operation.arguments)
    yield from _arguments(schema, schema.get("$defs", {}))


def _arguments(schema: Schema, others: Mapping[str, Schema]) -> Iterator[str]:
    """Yield the table of a struct's members, then those of the structs in it."""
    members = schema.get("properties", {})
    if not members:
        yield "It takes no arguments.\n"
        return
    yield _table(schema)
    for name in others:
        yield f"Each `{name}`:\n"
        yield _table(others[name])


def _table(schema: Schema) -> str:
    rows = ["| Argument | Type | Default | Bounds |", "| --- | --- | --- | --- |"]
    for name, member in schema.get("properties", {}).items():
        default = "required" if name in schema.get("required", ()) else _default(member)
        cells = (f"`{name}`", _type(member), default, _bounds(member))
        rows.append("|" + "".join(f" {cell} |" if cell else " |" for cell in cells))
    return "\n".join(rows) + "\n"


def _default(member: Schema) -> str:
    return f"`{json.dumps(member['default'])}`" if member.get("default") not in (None, "", [], {}) else ""


def _type(member: Schema) -> str:
    """Return what a member may be, in a word or two."""
    if "$ref" in member:
        return f"`{member['$ref'].rpartition('/')[2]}`"
    if "enum" in member:
        return ", ".join(f"`{value}`" for value in member["enum"])
    if "anyOf" in member:
        return " or ".join(dict.fromkeys(_type(each) for each in member["anyOf"] if each.get("type") != "null"))
    if "items" in member and isinstance(member["items"], Mapping):
        return f"list of {_grouped(member['items'])}"
    if isinstance(member.get("additionalProperties"), Mapping):
        return f"map of {_grouped(member['additionalProperties'])}"
    return str(member.get("type", "any JSON"))


def _grouped(member: Schema) -> str:
    words = _type(member)
    return f"({words})" if " or " in words else words


def _bounds(member: Schema) -> str:
    inner = [each for each in member.get("anyOf", ()) if each.get("type") != "null"]
    items = member.get("items")
    own = list(_ranges(member)) or [bound for each in inner for bound in _ranges(each)]
    each_of = [f"each {bound}" for bound in _ranges(items)] if isinstance(items, Mapping) else []
    return "; ".join([*own, *each_of])


def _ranges(member: Schema) -> Iterator[str]:
    for low, high, unit in _BOUNDS:
        least, most = member.get(low), member.get(high)
        if least is not None and most is not None:
            yield f"{least} to {most} {unit}".rstrip()
        elif most is not None:
            yield f"at most {most} {unit}".rstrip()
        elif least is not None:
            yield f"at least {least} {unit}".rstrip()
    if "exclusiveMinimum" in member:
        yield f"more than {member['exclusiveMinimum']}"
