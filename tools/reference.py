"""From a kind to its reference page: every field, its type, default and bounds, and what is refused."""

import json
from collections.abc import Iterator, Sequence

from ringfence_operator.api.conditions import ConditionType, Documented, Reason
from ringfence_operator.api.custom_resource import CustomResource
from ringfence_operator.api.metadata import API_VERSION
from ringfence_operator.api.quota_matrix import MATRIX, Enforcer, Resource, Row
from ringfence_operator.api.rule import RULES
from tools.crd import object_schema
from tools.schema import Schema

HEADER = "<!-- Made by `make generate` from operator/ringfence_operator/api: change it there. -->\n\n"
_RANGES = (
    ("minLength", "maxLength", "characters"),
    ("minItems", "maxItems", "items"),
    ("minimum", "maximum", ""),
    ("minProperties", "maxProperties", "entries"),
)


def kind_page(kind: type[CustomResource], *sections: str) -> str:
    """Return the reference page of `kind` in Markdown; `sections` stand before what the operator says."""
    schema = object_schema(kind)
    fields = schema["properties"]
    selectable = ", ".join(f"`{path[1:]}`" for path in kind.selectable_fields)
    columns = [(each.name.upper(), each.description, "-o wide" if each.wide else "always") for each in kind.columns]
    parts = [
        f"# {kind.kind}\n",
        f"{schema['description']}\n",
        f"`apiVersion: {API_VERSION}`, `kind: {kind.kind}`; namespaced; "
        f"`kubectl get {kind.short_name}`, or `kubectl get ringfence` for all kinds.\n",
        *([f"Selectable by `--field-selector`: {selectable}.\n"] if selectable else []),
        *_refusals(schema, "the object"),
        "## What you write\n",
        *_sections("spec", fields["spec"]),
        *sections,
        "## What the operator says\n",
        *_sections("status", fields["status"]),
        "The condition types and every reason that they may give are listed in [conditions](conditions.md).\n",
        "## Columns\n",
        _table(("Column", "Shows", "When"), columns),
    ]
    return HEADER + "\n".join(parts)


def conditions_page() -> str:
    """Return the page of condition types and reasons in Markdown."""
    parts = [
        "# Conditions\n",
        "Every kind's `status.conditions` holds these, in this order. `Reconciling` and `Stalled` are there only while"
        " they are true, so `kubectl wait --for=condition=Ready`, Argo CD and Flux need no plug-in.\n",
        _table(("Type", "True means"), _meanings(ConditionType)),
        "## Reasons\n",
        "Programs may rely on these words; messages are for people and may change. What to do about each is in"
        " [troubleshooting](../operations/troubleshooting.md).\n",
        _table(("Reason", "Means"), _meanings(Reason)),
    ]
    return HEADER + "\n".join(parts)


def matrix_section() -> str:
    """Return the table of what goes with which resource of a Quota."""
    rows = [_matrix_row(resource, row) for resource, row in MATRIX.items()]
    return "\n".join(
        (
            "## What goes with what\n",
            "Every other combination is refused.\n",
            _table(("Resource", "Kept by", "`window`", "`scope`", "`enforcement`", "`warnAt`"), rows),
        )
    )


def _matrix_row(resource: Resource, row: Row) -> tuple[str, ...]:
    if row.enforcer is Enforcer.NOTHING:
        return f"`{resource}`", "nothing: refused", "", "", "", ""
    words = [" ".join(f"`{each}`" for each in given) for given in (row.windows, row.scopes, row.enforcements)]
    return f"`{resource}`", f"the {row.enforcer}", *words, "yes" if row.is_measured else "no"


def _meanings(words: type[Documented]) -> list[tuple[str, ...]]:
    return [(f"`{each.value}`", each.meaning) for each in words]


def _sections(path: str, schema: Schema) -> Iterator[str]:
    """Yield the section of the object at `path`, then those of the objects in it."""
    yield f"### {path}\n"
    yield f"{schema['description']}\n"
    rows = [_row(name, field, name in schema.get("required", [])) for name, field in schema["properties"].items()]
    yield _table(*_filled(("Field", "Meaning", "Type", "Default", "Bounds"), rows))
    yield from _refusals(schema, f"`{path.rpartition('.')[2]}`")
    for name, field in schema["properties"].items():
        inner, suffix = (field["items"], "[]") if "items" in field else (field, "")
        if "properties" in inner:
            yield from _sections(f"{path}.{name}{suffix}", inner)


def _row(name: str, field: Schema, required: bool) -> tuple[str, ...]:
    default = "required" if required else f"`{json.dumps(field['default'])}`" if "default" in field else ""
    return f"`{name}`", field.get("description", ""), _type(field), default, _bounds(field)


def _filled(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return a table without the columns in which no row says anything: they would take room from the others."""
    kept = [number for number in range(len(head)) if any(row[number] for row in rows)]
    return tuple(head[number] for number in kept), [tuple(row[number] for number in kept) for row in rows]


def _type(field: Schema) -> str:
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "x-kubernetes-int-or-string" in field:
        return "quantity"
    if "items" in field:
        return f"list of {_type(field['items'])}"
    if "additionalProperties" in field:
        return f"map of {_type(field['additionalProperties'])}"
    return "time" if field.get("format") == "date-time" else str(field["type"])


def _bounds(field: Schema) -> str:
    inner = field.get("items") or field.get("additionalProperties") or {}
    parts = [*_ranges(field), *(f"each {bound}" for bound in _ranges(inner))]
    if "x-kubernetes-list-map-keys" in field:
        parts.append("no two with the same " + " and ".join(f"`{key}`" for key in field["x-kubernetes-list-map-keys"]))
    return "; ".join(parts)


def _ranges(field: Schema) -> Iterator[str]:
    for low, high, unit in _RANGES:
        least, most = field.get(low), field.get(high)
        if least is not None and most is not None:
            yield f"{least} to {most} {unit}".rstrip()
        elif most is not None:
            yield f"at most {most} {unit}".rstrip()
        elif least is not None:
            yield f"at least {least} {unit}".rstrip()


def _refusals(schema: Schema, whole: str) -> list[str]:
    """Return the messages of the rules about the object and about its fields, as one list."""
    found = [
        (f"`{rule['fieldPath'][1:]}`" if "fieldPath" in rule else whole, rule["message"])
        for rule in schema.get(RULES, [])
    ]
    for name, field in schema.get("properties", {}).items():
        inner = field.get("items") or field.get("additionalProperties") or {}
        deep = [] if "properties" in inner or "properties" in field else inner.get(RULES, [])
        own = [] if "properties" in field else field.get(RULES, [])
        found += [(f"`{name}`", rule["message"]) for rule in [*own, *deep]]
    return (
        [
            "What breaks one of these rules is refused with its words:\n",
            "\n".join(f"- {field}: {message}" for field, message in found) + "\n",
        ]
        if found
        else []
    )


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(_cell(each) for each in line) + " |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
