"""The schemas that are made of operations' structs: of the real kinds, too."""

from collections.abc import Iterator
from typing import Any, cast

import jsonschema
import msgspec
import pytest

from ringfence_sidecar import schemas
from ringfence_sidecar.builtin import Builtin
from ringfence_sidecar.connectors.base import Effect, Operation
from ringfence_sidecar.connectors.rabbitmq import operations as rabbitmq
from ringfence_sidecar.connectors.snowflake import analysis, batch, catalog, change, query, usage
from ringfence_sidecar.envelope import Envelope, Metadata, encode
from ringfence_sidecar.errors import Status
from ringfence_sidecar.mcp.surface import definition_of
from ringfence_sidecar.rest.app import Rest
from ringfence_sidecar.rest.openapi import document_of

MODULES = (rabbitmq, analysis, batch, catalog, change, query, usage)
REAL = [each for module in MODULES for each in vars(module).values() if isinstance(each, Operation)]
OWN = [each for group in Builtin.operations.values() for each in group]


class Leaf(msgspec.Struct, rename="camel"):
    long_name: int


class Tree(msgspec.Struct):
    leaves: list[Leaf]
    child: "Tree | None" = None


def operation(struct: type[msgspec.Struct]) -> Operation:
    return Operation(name="o", title="O", description="O.", effect=Effect.READ, arguments=struct, result=struct)


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from [value for key, value in node.items() if key == "$ref" and isinstance(value, str)]
        node = list(node.values())
    for each in node if isinstance(node, list) else []:
        yield from references(each)


def resolve(document: Any, reference: str) -> Any:
    for step in reference.removeprefix("#/").split("/"):
        document = document[step]
    return document


@pytest.mark.parametrize("each", [*REAL, *OWN], ids=lambda each: each.name)
def test_a_tools_schemas_are_objects_and_whole(each: Operation) -> None:
    tool = definition_of("sales", each)

    for schema in (tool["inputSchema"], tool["outputSchema"]):
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["type"] == "object"
        for reference in references(schema):
            resolve(schema, reference)


def test_names_are_those_of_the_wire_and_what_refers_to_itself_still_does() -> None:
    schema = schemas.schema_of(Tree)

    jsonschema.validate({"leaves": [{"longName": 1}], "child": {"leaves": []}}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"leaves": [], "child": {"leaves": [{"long_name": 1}]}}, schema)


@pytest.mark.parametrize("data", [Tree([Leaf(1)]), None])
def test_an_envelope_fits_the_schema_with_or_without_data(data: Tree | None) -> None:
    envelope = Envelope(Status.OK, data, "", (), (), Metadata("r", "t"))

    jsonschema.validate(msgspec.json.decode(encode(envelope)), schemas.envelope_of(Tree))


def test_an_envelope_with_other_data_does_not_fit() -> None:
    envelope = Envelope(Status.OK, Leaf(1), "", (), (), Metadata("r", "t"))

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(msgspec.json.decode(encode(envelope)), schemas.envelope_of(Tree))


def test_the_document_of_all_kinds_together_is_whole() -> None:
    bound = {"sales": tuple(REAL), "other": (operation(Tree),)}

    document = document_of(bound, Rest(cast("Any", None)).routes)

    for reference in set(references(document)):
        resolve(document, reference)
    assert len([path for path in document["paths"] if path.startswith("/v1/connectors/sales/")]) >= len(REAL)
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
