"""Marks that a field carries for the CRD only: the operator's own validation never evaluates them."""

from dataclasses import dataclass
from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

RULES = "x-kubernetes-validations"


@dataclass(frozen=True, slots=True)
class Rule:
    """A CEL rule that the API server enforces, and the message that says what to write instead.

    `path` names the field below that the message is about, such as `.requests.cpu`. `message_expression` is CEL for a
    message that depends on the value; `message` stands in where it cannot be evaluated.
    """

    expression: str
    message: str
    path: str = ""
    message_expression: str = ""

    def to_body(self) -> dict[str, Any]:
        """Return the entry of `x-kubernetes-validations`."""
        entry = {"rule": self.expression, "message": self.message}
        further = {"messageExpression": self.message_expression, "fieldPath": self.path}
        return entry | {key: value for key, value in further.items() if value}

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return add_rules(handler(core), (self,))


@dataclass(frozen=True, slots=True)
class ListMap:
    """Elements are told apart by these keys: no two alike, and server-side apply merges them one by one."""

    keys: tuple[str, ...]

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        listed = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(self.keys)}
        return {**handler(core), **listed}


def add_rules(schema: JsonSchemaValue, rules: tuple[Rule, ...]) -> JsonSchemaValue:
    """Return `schema` with `rules` after those that it has already."""
    return {**schema, RULES: [*schema.get(RULES, []), *(rule.to_body() for rule in rules)]} if rules else schema
