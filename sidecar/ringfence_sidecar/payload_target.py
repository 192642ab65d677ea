"""Which payloads a schema may be registered for: those that a call of this agent can have."""

from collections.abc import Iterator, Mapping
from typing import Any

from ringfence_sidecar.connectors.base import Operation
from ringfence_sidecar.errors import InvalidArgumentsError
from ringfence_sidecar.payloads import EVERY, Registration
from ringfence_sidecar.schemas import Schema, schema_of

Bound = Mapping[str, tuple[Operation, ...]]
"""Each connector's permitted operations."""
_SHOWN_CHARACTERS = 63


def check_target(registration: Registration, bound: Bound) -> None:
    """Raise InvalidArgumentsError, which lists what there is, if no call has the registration's payloads."""
    if registration.connector not in bound:
        raise _unknown("connector", registration.connector, "no connector that is bound", bound)
    operations = {each.name: each for each in bound[registration.connector]}
    if registration.operation not in operations:
        raise _unknown("operation", registration.operation, f"no operation of {registration.connector}", operations)
    schema = schema_of(operations[registration.operation].arguments)
    at, found = "arguments", list(_resolved(schema, schema))
    for step in registration.path.split(".") if registration.path else ():
        found, before = [each for one in found for each in _beneath(one, step, schema)], found
        if not found:
            raise _unknown("path", step, f"nothing in {at}", sorted({name for one in before for name in _steps(one)}))
        at = f"{at}.{step}"


def _resolved(schema: Schema, root: Schema) -> Iterator[Schema]:
    """Yield what a schema may stand for."""
    if "$ref" in schema:
        yield from _resolved(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    elif "anyOf" in schema:
        for each in schema["anyOf"]:
            yield from _resolved(each, root)
    else:
        yield schema


def _beneath(schema: Schema, step: str, root: Schema) -> Iterator[Schema]:
    """Yield what may be found one step on."""
    kind = schema.get("type")
    if kind is None:
        yield {}
    elif kind == "array" and step == EVERY:
        yield from _resolved(schema.get("items") or {}, root)
    elif kind == "object" and step in schema.get("properties", {}):
        yield from _resolved(schema["properties"][step], root)
    elif kind == "object" and schema.get("additionalProperties", True) is not False:
        more = schema.get("additionalProperties", True)
        yield from _resolved(more if isinstance(more, dict) else {}, root)


def _steps(schema: Schema) -> Iterator[str]:
    """Yield which steps lead on, where they can be named."""
    if schema.get("type") == "array":
        yield EVERY
    yield from schema.get("properties", {})


def _unknown(field: str, given: str, what: str, there: Any) -> InvalidArgumentsError:
    names = ", ".join(there) or "nothing"
    return InvalidArgumentsError(
        f"{given[:_SHOWN_CHARACTERS]!r} is {what}: there is {names}", field=f"arguments.{field}"
    )
