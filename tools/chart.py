"""What is made from the comments of the chart's values: their schema; and the templates of objects that are generated.

A value has a comment above it, whose last line is its type: `# @type [optional |list of ]NAME [{further keywords}]`,
the name being one of `chart_types`, the keywords JSON Schema's, in YAML. A mapping without a type holds more values.
"""

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tools.chart_types import TYPES, Schema

CHART = Path(__file__).resolve().parent.parent / "charts/ringfence"
_TYPE = re.compile(r"(?P<how>optional |list of )?(?P<name>\w+)(?: (?P<more>\{.*\}))?")
_MARK = "@type "
_HEADING = "# -- "
_METADATA = re.compile(r"^metadata:\n(?:  .*\n)+", re.MULTILINE)
_AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"


@dataclass(frozen=True, slots=True)
class Value:
    """A value of the chart, with what its comment says. `kind` is None for a mapping that holds further values."""

    path: tuple[str, ...]
    meaning: str
    kind: str | None
    default: Any
    heading: str
    values: tuple["Value", ...] = ()

    @property
    def name(self) -> str:
        """As it is written after --set."""
        return ".".join(self.path)


@functools.cache
def chart_values() -> tuple[Value, ...]:
    """Return the values of this tree's chart."""
    return read_values((CHART / "values.yaml").read_text())


def chart_version() -> str:
    """Return the version of this tree's chart."""
    return str(yaml.safe_load((CHART / "Chart.yaml").read_text())["version"])


def read_values(text: str) -> tuple[Value, ...]:
    """Return the values that a file of values holds. Raises ValueError, naming the value, for a comment that lacks."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    return _values(root, yaml.safe_load(text), text.splitlines(), ()) if root else ()


def leaves(values: tuple[Value, ...]) -> Iterator[Value]:
    """Yield the values that have a type, at any depth."""
    for each in values:
        yield from leaves(each.values) if each.kind is None else (each,)


def _values(node: Any, defaults: dict[str, Any], lines: list[str], above: tuple[str, ...]) -> tuple[Value, ...]:
    found = []
    for key, held in node.value:
        path = (*above, str(key.value))
        meaning, kind = _comment(lines, key.start_mark.line, key.start_mark.column)
        default = defaults[key.value]
        is_branch = kind is None and isinstance(default, dict) and bool(default)
        if not meaning or (kind is None and not is_branch):
            raise ValueError(f"{'.'.join(path)}: write above it what it means, and in a last line `# {_MARK}NAME`")
        inside = _values(held, default, lines, path) if is_branch else ()
        found.append(Value(path, meaning, kind, default, _heading(lines, key.start_mark.line), inside))
    return tuple(found)


def _comment(lines: list[str], row: int, column: int) -> tuple[str, str | None]:
    """Return what the comment right above a row says, and its type."""
    said: list[str] = []
    start = " " * column + "# "
    while row and lines[row - 1].startswith(start) and not lines[row - 1].startswith(_HEADING):
        row -= 1
        said.insert(0, lines[row].removeprefix(start))
    kind = said.pop().removeprefix(_MARK) if said and said[-1].startswith(_MARK) else None
    return " ".join(said), kind


def _heading(lines: list[str], row: int) -> str:
    above = (line.removeprefix(_HEADING) for line in reversed(lines[:row]) if line.startswith(_HEADING))
    return next(above, "")


def build_schema(values: tuple[Value, ...]) -> Schema:
    """Return the JSON Schema of a file of values: nothing that they do not name may be given."""
    schema = _branch(values)
    # What Helm and a chart that has this one among its dependencies add.
    schema["properties"] |= {"global": {"type": "object"}, "enabled": {"type": "boolean"}}
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the chart ringfence", **schema}


def _branch(values: tuple[Value, ...]) -> Schema:
    properties = {
        each.path[-1]: {"description": each.meaning}
        | (_branch(each.values) if each.kind is None else schema_of(each.kind, each.name))
        for each in values
    }
    return {"type": "object", "properties": properties, "additionalProperties": False}


def schema_of(kind: str, name: str) -> Schema:
    """Return the schema of a type as a comment gives it. Raises ValueError, naming the value, for one that is none."""
    found = _TYPE.fullmatch(kind)
    if found is None or found["name"] not in TYPES:
        raise ValueError(f"{name}: {kind!r} is no type; there are {', '.join(TYPES)}")
    schema = TYPES[found["name"]] | (yaml.safe_load(found["more"]) if found["more"] else {})
    match found["how"]:
        case "list of ":
            return {"type": "array", "items": schema}
        case "optional ":
            return schema | {"pattern": f"^$|{schema['pattern']}"}
        case _:
            return schema


def schema_text() -> str:
    """Return values.schema.json."""
    return json.dumps(build_schema(chart_values()), indent=2, ensure_ascii=False) + "\n"


def crd_template(manifest: str) -> str:
    """Return the chart's template of a CustomResourceDefinition, from its manifest."""
    name = yaml.safe_load(manifest)["metadata"]["name"]
    metadata = f'{{{{- include "ringfence.crdMetadata" (dict "root" . "name" "{name}") | nindent 2 }}}}'
    return _template("crds.enabled", _METADATA.sub(f"metadata:\n  {metadata}\n", _literal(manifest)))


def user_roles_template(manifest: str) -> str:
    """Return the chart's template of the roles of people, from their manifest."""
    text = _literal(manifest)
    for role in yaml.safe_load_all(manifest):
        labels = [label for label in role["metadata"]["labels"] if label.startswith(_AGGREGATE)]
        added = " ".join(f'"{label}" "true"' for label in labels)
        arguments = f'(dict "root" . "name" "{role["metadata"]["name"]}" "labels" (dict {added}))'
        metadata = f'{{{{- include "ringfence.metadata" {arguments} | nindent 2 }}}}'
        text = text.replace(_metadata_of(text), f"metadata:\n  {metadata}\n", 1)
    return _template("rbac.userRoles", text)


def _metadata_of(text: str) -> str:
    """Return the first block of metadata that is not a template yet."""
    blocks = (each[0] for each in _METADATA.finditer(text))
    return next(block for block in blocks if "{{" not in block)


def _literal(manifest: str) -> str:
    """Return a manifest that a template gives out as it is."""
    return manifest.replace("{{", '{{ "{{" }}')


def _template(condition: str, text: str) -> str:
    first, _, rest = text.partition("\n")
    return f"{first}\n{{{{- if .Values.{condition} }}}}\n{rest}{{{{- end }}}}\n"
