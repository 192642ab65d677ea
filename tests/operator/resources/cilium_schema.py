"""Cilium's published schema, as the API server would apply it, but that it tells of unknown fields."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

Raw = dict[str, Any]
FOLDER = Path(__file__).parent / "cilium"
VERSIONS = tuple(sorted(each.stem.removeprefix("ciliumnetworkpolicies-") for each in FOLDER.glob("*.json")))


def _closed(schema: Raw) -> Raw:
    """Return the schema with every object closed: the API server prunes what a schema does not name, unasked.

    What stands under anyOf, oneOf and the like only adds conditions, and closes nothing.
    """
    closed = dict(schema)
    if "properties" in closed:
        closed["properties"] = {name: _closed(each) for name, each in closed["properties"].items()}
        closed.setdefault("additionalProperties", False)
    elif closed.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    if isinstance(closed.get("additionalProperties"), dict):
        closed["additionalProperties"] = _closed(closed["additionalProperties"])
    if "items" in closed:
        closed["items"] = _closed(closed["items"])
    return closed


@cache
def _validator(version: str) -> Draft202012Validator:
    schema = _closed(json.loads((FOLDER / f"ciliumnetworkpolicies-{version}.json").read_text()))
    # In a CustomResourceDefinition, metadata is any object; the API server looks at it by itself.
    schema["properties"]["metadata"] = {"type": "object"}
    return Draft202012Validator(schema)


def mistakes(body: Raw, version: str) -> list[str]:
    """Return what is wrong with a CiliumNetworkPolicy, by the schema of that version."""
    return [f"{each.json_path}: {each.message}" for each in _validator(version).iter_errors(body)]
