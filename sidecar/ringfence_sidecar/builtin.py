"""What the sidecar does itself, as operations beside those of connectors: an agent's values, and its payload schemas."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final, Protocol

import msgspec

from ringfence_sidecar.call import Call
from ringfence_sidecar.connectors.base import Effect, Operation
from ringfence_sidecar.envelope import Notice
from ringfence_sidecar.errors import ConflictError, InvalidArgumentsError, UnknownError
from ringfence_sidecar.payloads import Payloads, Registration
from ringfence_sidecar.schemas import PUBLISHED

CACHE: Final = "cache"
SCHEMAS: Final = "schemas"

Key = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Tag = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Name = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Answer = tuple[msgspec.Struct, tuple[Notice, ...]]


class Values(Protocol):
    """Where an agent keeps values of its own."""

    async def get(self, key: str) -> tuple[Any, bool, tuple[Notice, ...]]:
        """Return the value, whether there is one, and what the agent should know."""

    async def set(self, key: str, value: Any, *, ttl_seconds: float, tags: frozenset[str]) -> tuple[Notice, ...]:
        """Keep a value. Raises CallError if it may not be kept."""

    async def delete(self, key: str) -> tuple[Notice, ...]:
        """Forget a value, if it is there."""

    async def invalidate_tag(self, tag: str) -> tuple[Notice, ...]:
        """Forget every value with that tag."""


class _Arguments(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    pass


class CacheGet(_Arguments, frozen=True, kw_only=True):
    """Which value."""

    key: Key


class CacheSet(_Arguments, frozen=True, kw_only=True):
    """A value, and how long to keep it."""

    key: Key
    value: Any
    ttl_seconds: Annotated[float, msgspec.Meta(gt=0, le=31_536_000)] = 300
    tags: Annotated[tuple[Tag, ...], msgspec.Meta(max_length=16)] = ()


class CacheInvalidateTag(_Arguments, frozen=True, kw_only=True):
    """Which values to forget."""

    tag: Tag


class CacheValue(msgspec.Struct, frozen=True, rename="camel"):
    """A value that was kept."""

    found: bool
    value: Any


class Done(msgspec.Struct, frozen=True, rename="camel"):
    """It is done."""


class SchemaRegister(Registration, frozen=True, kw_only=True):
    """A schema, its name, and the payloads that it is for."""

    name: Name


class SchemaName(_Arguments, frozen=True, kw_only=True):
    """Which schema."""

    name: Name


class NoArguments(_Arguments, frozen=True):
    """Nothing."""


class Registrations(msgspec.Struct, frozen=True, rename="camel"):
    """What is registered, by name."""

    schemas: dict[str, Registration]


def _operation(name: str, title: str, effect: Effect, arguments: Any, result: Any, description: str) -> Operation:
    return Operation(
        name=name,
        title=title,
        description=description,
        effect=effect,
        destructive=name in ("delete", "invalidate_tag", "remove"),
        arguments=arguments,
        result=result,
    )


_CACHE = (
    _operation("get", "Get a kept value", Effect.READ, CacheGet, CacheValue, "Returns the value kept under a key, if it is still there."),
    _operation("set", "Keep a value", Effect.IDEMPOTENT, CacheSet, Done, "Keeps a JSON value under a key for ttlSeconds, for this agent or those it shares with. Tags let many be forgotten at once."),
    _operation("delete", "Forget a kept value", Effect.IDEMPOTENT, CacheGet, Done, "Forgets the value kept under a key."),
    _operation("invalidate_tag", "Forget values by tag", Effect.IDEMPOTENT, CacheInvalidateTag, Done, "Forgets every kept value that has the tag."),
)  # fmt: skip
_SCHEMAS = (
    _operation("get", "Get a payload schema", Effect.READ, SchemaName, Registration, "Returns a payload schema that is registered."),
    _operation("register", "Register a payload schema", Effect.IDEMPOTENT, SchemaRegister, Done, "Registers a JSON Schema that payloads of an operation are judged by before it runs: strict, permissive or loose."),
    _operation("list", "List payload schemas", Effect.READ, NoArguments, Registrations, "Lists the payload schemas that are registered."),
    _operation("remove", "Remove a payload schema", Effect.IDEMPOTENT, SchemaName, Done, "Removes a payload schema; its payloads are judged no more."),
)  # fmt: skip


class Builtin:
    """Runs the sidecar's own operations."""

    operations: Mapping[str, tuple[Operation, ...]] = {CACHE: _CACHE, SCHEMAS: _SCHEMAS}

    def __init__(self, values: Values, payloads: Payloads) -> None:
        self._values = values
        self._payloads = payloads
        self._ways: Mapping[tuple[str, str], Callable[[Any], Awaitable[Answer]]] = {
            (CACHE, "get"): self._get,
            (CACHE, "set"): self._set,
            (CACHE, "delete"): self._delete,
            (CACHE, "invalidate_tag"): self._invalidate_tag,
            (SCHEMAS, "register"): self._register,
            (SCHEMAS, "get"): self._schema,
            (SCHEMAS, "list"): self._list,
            (SCHEMAS, "remove"): self._remove,
        }

    async def run(self, call: Call) -> Answer:
        """Return what the call answers, and warnings. Raises CallError."""
        found = [each for each in self.operations[call.connector] if each.name == call.operation]
        if not found:
            names = ", ".join(each.name for each in self.operations[call.connector])
            raise UnknownError(f"{call.connector} has no operation {call.operation!r}: it has {names}")
        try:
            arguments = msgspec.convert(call.arguments, found[0].arguments)
        except msgspec.ValidationError as error:
            message, _, path = str(error).partition(" - at `")
            raise InvalidArgumentsError(message, field=path.rstrip("`").replace("$", "arguments", 1)) from None
        return await self._ways[call.connector, call.operation](arguments)

    async def _get(self, wanted: CacheGet) -> Answer:
        value, found, warnings = await self._values.get(wanted.key)
        return CacheValue(found, value), warnings

    async def _set(self, wanted: CacheSet) -> Answer:
        tags = frozenset(wanted.tags)
        return Done(), await self._values.set(wanted.key, wanted.value, ttl_seconds=wanted.ttl_seconds, tags=tags)

    async def _delete(self, wanted: CacheGet) -> Answer:
        return Done(), await self._values.delete(wanted.key)

    async def _invalidate_tag(self, wanted: CacheInvalidateTag) -> Answer:
        return Done(), await self._values.invalidate_tag(wanted.tag)

    async def _register(self, wanted: SchemaRegister) -> Answer:
        if wanted.name in PUBLISHED:
            raise ConflictError(f"{wanted.name!r} is the sidecar's own schema: take another name")
        fields = {name: getattr(wanted, name) for name in Registration.__struct_fields__}
        self._payloads.put(wanted.name, Registration(**fields))
        return Done(), ()

    async def _list(self, _: NoArguments) -> Answer:
        return Registrations(dict(self._payloads.registrations)), ()

    async def _schema(self, wanted: SchemaName) -> Answer:
        return self._payloads.get(wanted.name), ()

    async def _remove(self, wanted: SchemaName) -> Answer:
        self._payloads.remove(wanted.name)
        return Done(), ()
