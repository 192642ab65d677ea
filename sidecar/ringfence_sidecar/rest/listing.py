"""What GET /v1/connectors answers."""

from collections.abc import Mapping
from typing import Any

import msgspec

from ringfence_sidecar import schemas
from ringfence_sidecar.connectors.base import Operation


class Summary(msgspec.Struct, frozen=True, rename="camel"):
    """One operation, in short."""

    name: str
    title: str
    effect: str
    streams: bool


class ConnectorSummary(msgspec.Struct, frozen=True, rename="camel"):
    """One connector, in short."""

    name: str
    operations: tuple[Summary, ...]


class Connectors(msgspec.Struct, frozen=True, rename="camel"):
    """The connectors that are bound."""

    connectors: tuple[ConnectorSummary, ...]


class Description(msgspec.Struct, frozen=True, rename="camel"):
    """One operation, with what it takes and answers."""

    name: str
    title: str
    description: str
    effect: str
    destructive: bool
    streams: bool
    arguments: dict[str, Any]
    """JSON Schema of the body."""
    envelope: dict[str, Any]
    """JSON Schema of the answer."""


class ConnectorDescription(msgspec.Struct, frozen=True, rename="camel"):
    """One connector, with its operations' schemas."""

    name: str
    operations: tuple[Description, ...]


def summarise(bound: Mapping[str, tuple[Operation, ...]]) -> Connectors:
    """Return the list of what is bound and permitted."""
    return Connectors(
        tuple(
            ConnectorSummary(
                name, tuple(Summary(each.name, each.title, each.effect.value, each.streams) for each in operations)
            )
            for name, operations in bound.items()
        )
    )


def describe(name: str, operations: tuple[Operation, ...]) -> ConnectorDescription:
    """Return a connector's operations with their schemas."""
    return ConnectorDescription(
        name,
        tuple(
            Description(
                each.name,
                each.title,
                each.description,
                each.effect.value,
                each.destructive,
                each.streams,
                schemas.schema_of(each.arguments),
                schemas.envelope_of(each.result),
            )
            for each in operations
        ),
    )
