"""A JSON Schema made strict: members that it does not name are refused, at every depth."""

from collections.abc import Mapping
from typing import Any

from ringfence_sidecar.errors import InvalidArgumentsError

KEYWORD = "unevaluatedProperties"
_OPEN = (KEYWORD, "additionalProperties")
"""What says already what becomes of other members."""
_OF_OBJECTS = ("properties", "patternProperties", "$ref", "allOf", "anyOf", "oneOf", "if", "dependentSchemas")
_PARTS = ("items", "prefixItems", "additionalProperties", KEYWORD)
_NAMED_PARTS = ("properties", "patternProperties")
_TOGETHER = ("allOf", "anyOf", "oneOf", "then", "else")
"""Judged together with what stands around them, so they are closed inside only; so are these, by name:"""
_NAMED_TOGETHER = ("$defs", "definitions", "dependentSchemas")
_OLD = ("draft-03", "draft-04", "draft-06", "draft-07")


def closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema, closed where a payload or a part of one is judged by it. Raises InvalidArgumentsError.

    Alternatives and definitions are not closed themselves: each is judged together with what stands around it.
    """
    if any(old in str(schema.get("$schema", "")) for old in _OLD):
        raise InvalidArgumentsError(
            "strict needs a schema of draft 2019-09 or 2020-12: earlier ones cannot say what else is in an object; "
            "register it as permissive, or name a later draft in $schema",
            field="schema.$schema",
        )
    return {KEYWORD: False, **_inside(schema)}


def _part(schema: Any) -> Any:
    """Return the schema of a part, closed if it is one of objects; of a list, each of it."""
    if isinstance(schema, list):
        return [_part(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    found = _inside(schema)
    says_more = any(each in schema for each in _OF_OBJECTS)
    return {**found, KEYWORD: False} if says_more and not any(each in schema for each in _OPEN) else found


def _together(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_together(each) for each in schema]
    return _inside(schema) if isinstance(schema, Mapping) else schema


def _inside(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema with its parts closed, but not itself."""
    found = dict(schema)
    found |= {keyword: _part(schema[keyword]) for keyword in _PARTS if keyword in schema}
    found |= {keyword: _together(schema[keyword]) for keyword in _TOGETHER if keyword in schema}
    for keyword in (*_NAMED_PARTS, *_NAMED_TOGETHER):
        if isinstance(named := schema.get(keyword), Mapping):
            close = _part if keyword in _NAMED_PARTS else _together
            found[keyword] = {name: close(each) for name, each in named.items()}
    return found
