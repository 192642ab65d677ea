from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import Field

from ringfence_operator.api.custom_resource import CustomResource
from ringfence_operator.api.duration import Duration
from ringfence_operator.api.model import Items, Model
from ringfence_operator.api.rule import RULES, ListMap, Rule
from tools.crd import KINDS, object_schema
from tools.schema import Schema, structural_schema


class Part(Model):
    """A part."""

    rules = (Rule("has(self.name)", "name it", ".name"),)

    name: Annotated[str, Field(max_length=9), Rule("self != 'x'", "not x")] = "a"
    """What it is called."""


class Whole(Model):
    """The whole."""

    part: Part | None = None
    """One part."""

    parts: Annotated[Items[Part], Field(max_length=3), ListMap(("name",))] = ()
    """Several parts."""

    delay: Duration = 90
    """How long to wait."""

    words: Annotated[tuple[str, ...], Field(max_length=2)]
    """Some words."""


def test_reference_is_replaced_by_what_it_names_and_null_goes() -> None:
    part = structural_schema(Whole)["properties"]["part"]

    assert part == {
        "description": "One part.",
        "type": "object",
        RULES: [{"rule": "has(self.name)", "message": "name it", "fieldPath": ".name"}],
        "properties": {
            "name": {
                "description": "What it is called.",
                "type": "string",
                "default": "a",
                "maxLength": 9,
                RULES: [{"rule": "self != 'x'", "message": "not x"}],
            }
        },
    }


def test_list_says_how_it_is_merged() -> None:
    fields = structural_schema(Whole)["properties"]

    assert fields["parts"]["x-kubernetes-list-type"] == "map"
    assert fields["parts"]["x-kubernetes-list-map-keys"] == ["name"]
    assert fields["words"]["x-kubernetes-list-type"] == "atomic"


def test_default_of_a_duration_is_written_as_people_write_it() -> None:
    assert structural_schema(Whole)["properties"]["delay"]["default"] == "1m30s"


def test_keyword_that_the_api_server_does_not_know_is_an_error() -> None:
    class Odd(Model):
        number: Annotated[float, Field(multiple_of=0.5)]

    with pytest.raises(ValueError, match="multipleOf"):
        structural_schema(Odd)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.kind)
def fields(request: pytest.FixtureRequest) -> list[tuple[str, Schema]]:
    """Every schema in a kind's, with its path."""
    kind: type[CustomResource] = request.param
    schema = object_schema(kind)
    return [*walk("spec", schema["properties"]["spec"]), *walk("status", schema["properties"]["status"])]


def test_everything_that_could_grow_is_bounded(fields: list[tuple[str, Schema]]) -> None:
    unbounded = [path for path, schema in fields if not is_bounded(schema)]

    assert unbounded == []


def test_everything_is_described_in_a_sentence(fields: list[tuple[str, Schema]]) -> None:
    named = [(path, schema) for path, schema in fields if not path.endswith(("[]", "{}"))]

    silent = [path for path, schema in named if not schema.get("description", "").endswith(".")]

    assert silent == []


def test_every_rule_has_a_message_for_people(fields: list[tuple[str, Schema]]) -> None:
    messages = [rule["message"] for _, schema in fields for rule in schema.get(RULES, [])]

    assert messages
    assert [message for message in messages if len(message) < 20 or "self" in message] == []


def is_bounded(schema: Schema) -> bool:
    if "x-kubernetes-int-or-string" in schema:
        return "maxLength" in schema
    match schema["type"]:
        case "string":
            return "maxLength" in schema or "enum" in schema or schema.get("format") == "date-time"
        case "array":
            return "maxItems" in schema
        case "object":
            return "properties" in schema or "maxProperties" in schema
        case kind:
            return kind in ("integer", "boolean")


def walk(path: str, schema: dict[str, Any]) -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from walk(f"{path}.{name}", field)
    for keyword, suffix in (("items", "[]"), ("additionalProperties", "{}")):
        if keyword in schema:
            yield from walk(f"{path}{suffix}", schema[keyword])
