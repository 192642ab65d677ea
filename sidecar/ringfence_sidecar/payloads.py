"""Schemas that an agent registers for its own payloads: judged before a call, compiled once."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ringfence_sidecar.call import Call
from ringfence_sidecar.closed_schema import closed
from ringfence_sidecar.envelope import Notice
from ringfence_sidecar.errors import ConflictError, InvalidArgumentsError, InvalidPayloadError, UnknownError

if TYPE_CHECKING:
    from jsonschema_rs import Validator

MOST_SCHEMAS: Final = 64
LONGEST_SCHEMA: Final = 65_536
_SHOWN_ERRORS = 5
_SHOWN_CHARACTERS = 200
EVERY: Final = "*"
"""Step of a path that leads to every item of a list."""


class Mode(StrEnum):
    """What becomes of a payload that does not fit."""

    STRICT = "strict"
    """Refused, and so is one with members that the schema does not name."""
    PERMISSIVE = "permissive"
    """Refused; members that the schema does not name are let through, unless it forbids them itself."""
    LOOSE = "loose"
    """Let through, with a warning."""


class Registration(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A schema, and the payloads that it is for."""

    schema: dict[str, Any]
    """JSON Schema, 2020-12 unless `$schema` says otherwise; references stay within it."""
    mode: Mode = Mode.STRICT
    connector: str
    operation: str
    path: str = ""
    """Where in the arguments the payload is: names joined by dots, `*` for every item; the whole if empty."""
    json_text: bool = False
    """True if the payload is a string that holds JSON, such as a message's body."""


class _Compiled(msgspec.Struct, frozen=True):
    registration: Registration
    steps: tuple[str, ...]
    validator: Any


class Payloads:
    """The registered schemas, by name. They live as long as the process: an agent registers them when it starts."""

    def __init__(self) -> None:
        self._compiled: dict[str, _Compiled] = {}
        self._by_operation: dict[tuple[str, str], tuple[str, ...]] = {}

    @property
    def registrations(self) -> Mapping[str, Registration]:
        """What is registered."""
        return {name: each.registration for name, each in self._compiled.items()}

    def put(self, name: str, registration: Registration) -> None:
        """Register a schema, or replace the one of that name. Raises InvalidArgumentsError and ConflictError."""
        if name not in self._compiled and len(self._compiled) >= MOST_SCHEMAS:
            raise ConflictError(f"there are {MOST_SCHEMAS} schemas already: remove one", code="TooManySchemas")
        steps = tuple(registration.path.split(".")) if registration.path else ()
        self._compiled[name] = _Compiled(registration, steps, _compile(registration))
        self._index()

    def get(self, name: str) -> Registration:
        """Return a registration. Raises UnknownError."""
        if name not in self._compiled:
            raise UnknownError(f"no schema is registered as {name!r}")
        return self._compiled[name].registration

    def remove(self, name: str) -> None:
        """Forget a schema. Raises UnknownError."""
        self.get(name)
        del self._compiled[name]
        self._index()

    def check(self, call: Call) -> tuple[Notice, ...]:
        """Return a warning for each payload that may misfit and does. Raises InvalidPayloadError for the others."""
        warnings: list[Notice] = []
        for name in self._by_operation.get((call.connector, call.operation), ()):
            compiled = self._compiled[name]
            for path, payload in _payloads(call.arguments, compiled.steps, "arguments"):
                fault = _fault(compiled, payload)
                if not fault:
                    continue
                message = f"does not fit the schema {name!r}: {fault}"
                if compiled.registration.mode is not Mode.LOOSE:
                    raise InvalidPayloadError(f"{path} {message}", rule=name, field=path)
                warnings.append(Notice("PayloadDoesNotFit", f"{path} {message}"))
        return tuple(warnings)

    def _index(self) -> None:
        found: dict[tuple[str, str], tuple[str, ...]] = {}
        for name, each in self._compiled.items():
            key = (each.registration.connector, each.registration.operation)
            found[key] = (*found.get(key, ()), name)
        self._by_operation = found


def _compile(registration: Registration) -> "Validator":
    import jsonschema_rs  # noqa: PLC0415 - 3 MiB, for agents that register schemas

    schema = registration.schema
    if len(msgspec.json.encode(schema)) > LONGEST_SCHEMA:
        raise InvalidArgumentsError(f"the schema is longer than {LONGEST_SCHEMA} bytes", field="schema")
    if registration.mode is Mode.STRICT:
        schema = closed(schema)
    try:
        return jsonschema_rs.validator_for(
            schema,
            validate_formats=True,
            retriever=_no_reference,
            # Linear in the text's length: a pattern must not keep the sidecar from serving.
            pattern_options=jsonschema_rs.RegexOptions(),
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        reason = str(error).partition("\n")[0][:_SHOWN_CHARACTERS]
        raise InvalidArgumentsError(f"schema is no JSON Schema that can be used: {reason}", field="schema") from None


def _no_reference(uri: str) -> Any:
    raise ValueError(f"{uri} is outside of the schema: put it under $defs")


def _fault(compiled: _Compiled, payload: Any) -> str:
    """Return what does not fit: where, and which keyword says so, without the payload's own text."""
    if compiled.registration.json_text:
        if not isinstance(payload, str):
            return "it is no string that holds JSON"
        try:
            payload = msgspec.json.decode(payload)
        except msgspec.DecodeError:
            return "it is a string, but what it holds is no JSON"
    validator: Validator = compiled.validator
    if validator.is_valid(payload):
        return ""
    faults: list[str] = []
    for error in validator.iter_errors(payload):
        if len(faults) == _SHOWN_ERRORS:
            faults.append("and more")
            break
        where = "/".join(str(step) for step in error.instance_path) or "its root"
        faults.append(f"{where} against /{'/'.join(str(step) for step in error.schema_path)}")
    return "; ".join(faults)


def _payloads(value: Any, steps: tuple[str, ...], path: str) -> Iterator[tuple[str, Any]]:
    """Yield each payload and its path; nothing where the arguments hold none."""
    if not steps:
        yield path, value
        return
    step, rest = steps[0], steps[1:]
    if step == EVERY and isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _payloads(item, rest, f"{path}[{index}]")
    elif isinstance(value, Mapping) and step in value:
        yield from _payloads(value[step], rest, f"{path}.{step}")
