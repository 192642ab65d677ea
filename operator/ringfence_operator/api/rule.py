"""Marks that a field carries for the CRD only: the operator's own validation never evaluates them."""

from dataclasses import dataclass
from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

RULES = "x-kubernetes-validations"


@dataclass(frozen=True, slots=True)
class Rule:
    """A CEL rule that the API server enforces, and the message that says what to write instead."""

    expression: str
    message: str

    def to_body(self) -> dict[str, Any]:
        """Return the entry of `x-kubernetes-validations`."""
        return {"rule": self.expression, "message": self.message}

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core)
        schema[RULES] = [*schema.get(RULES, []), self.to_body()]
        return schema


@dataclass(frozen=True, slots=True)
class ListMap:
    """Elements are told apart by these keys: no two alike, and server-side apply merges them one by one."""

    keys: tuple[str, ...]

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core)
        schema["x-kubernetes-list-type"] = "map"
        schema["x-kubernetes-list-map-keys"] = list(self.keys)
        return schema
