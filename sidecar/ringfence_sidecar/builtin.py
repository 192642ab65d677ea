"""What the sidecar does itself, as operations like those of connectors: an agent's values, its payload schemas."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final

import msgspec

from ringfence_sidecar.arguments import check_key, converted
from ringfence_sidecar.cache.values import MOST_KEY_CHARACTERS, MOST_TAG_CHARACTERS, MOST_TAGS, Values
from ringfence_sidecar.call import Call
from ringfence_sidecar.connectors.base import Effect, Operation
from ringfence_sidecar.envelope import CacheInfo, Notice
from ringfence_sidecar.errors import ConflictError, UnknownError
from ringfence_sidecar.payload_target import Bound, check_target
from ringfence_sidecar.payloads import Payloads, Registration
from ringfence_sidecar.schemas import PUBLISHED

CACHE: Final = "cache"
SCHEMAS: Final = "schemas"

Key = Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_KEY_CHARACTERS)]
Tag = Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_TAG_CHARACTERS)]
Name = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Answer = tuple[msgspec.Struct, tuple[Notice, ...], CacheInfo | None]


class _Arguments(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    pass


class CacheGet(_Arguments, frozen=True, kw_only=True):
    """Which value."""

    key: Key


class CacheSet(_Arguments, frozen=True, kw_only=True):
    """A value, and how long to keep it."""

    key: Key
    value: Any
    ttl_seconds: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """An hour unless it is said, and never longer than this agent may."""
    tags: Annotated[tuple[Tag, ...], msgspec.Meta(max_length=MOST_TAGS)] = ()


class CacheInvalidateTag(_Arguments, frozen=True, kw_only=True):
    """Which values to forget."""

    tag: Tag


class CacheValue(msgspec.Struct, frozen=True, rename="camel"):
    """A value that was kept."""

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


_CACHE = (
    Operation(
        name="get",
        title="Get a kept value",
        description="Returns the value kept under a key, if it is still there.",
        effect=Effect.READ,
        arguments=CacheGet,
        result=CacheValue,
    ),
    Operation(
        name="set",
        title="Keep a value",
        description="Keeps a JSON value under a key for ttlSeconds, for this agent or those that it shares with. "
        "Values with a tag can be forgotten at once.",
        effect=Effect.IDEMPOTENT,
        arguments=CacheSet,
        result=Done,
    ),
    Operation(
        name="delete",
        title="Forget a kept value",
        description="Forgets the value kept under a key.",
        effect=Effect.IDEMPOTENT,
        destructive=True,
        arguments=CacheGet,
        result=Done,
    ),
    Operation(
        name="invalidate_tag",
        title="Forget values by tag",
        description="Forgets every kept value that has the tag.",
        effect=Effect.IDEMPOTENT,
        destructive=True,
        arguments=CacheInvalidateTag,
        result=Done,
    ),
)
_SCHEMAS = (
    Operation(
        name="get",
        title="Get a payload schema",
        description="Returns a payload schema that is registered.",
        effect=Effect.READ,
        arguments=SchemaName,
        result=Registration,
    ),
    Operation(
        name="register",
        title="Register a payload schema",
        description="Registers a JSON Schema by which payloads of an operation are judged before it runs: strict, "
        "permissive or loose.",
        effect=Effect.IDEMPOTENT,
        arguments=SchemaRegister,
        result=Done,
    ),
    Operation(
        name="list",
        title="List payload schemas",
        description="Lists the payload schemas that are registered.",
        effect=Effect.READ,
        arguments=NoArguments,
        result=Registrations,
    ),
    Operation(
        name="remove",
        title="Remove a payload schema",
        description="Removes a payload schema: its payloads are judged no more.",
        effect=Effect.IDEMPOTENT,
        destructive=True,
        arguments=SchemaName,
        result=Done,
    ),
)


class Builtin:
    """Runs the sidecar's own operations."""

    operations: Mapping[str, tuple[Operation, ...]] = {CACHE: _CACHE, SCHEMAS: _SCHEMAS}

    def __init__(self, values: Callable[[], Values], payloads: Payloads, bound: Callable[[], Bound]) -> None:
        self._values = values
        self._bound = bound
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
        check_key(found[0], call.idempotency_key)
        arguments = converted(found[0], call.arguments)
        return await self._ways[call.connector, call.operation](arguments)

    async def _get(self, wanted: CacheGet) -> Answer:
        found = await self._values().get(wanted.key)
        return CacheValue(msgspec.Raw(found.body)), found.warnings, found.info

    async def _set(self, wanted: CacheSet) -> Answer:
        body = msgspec.json.encode(wanted.value)
        return _done(await self._values().set(wanted.key, body, ttl_seconds=wanted.ttl_seconds, tags=wanted.tags))

    async def _delete(self, wanted: CacheGet) -> Answer:
        return _done(await self._values().delete(wanted.key))

    async def _invalidate_tag(self, wanted: CacheInvalidateTag) -> Answer:
        return _done(await self._values().invalidate_tag(wanted.tag))

    async def _register(self, wanted: SchemaRegister) -> Answer:
        if wanted.name in PUBLISHED:
            raise ConflictError(f"{wanted.name!r} is the sidecar's own schema: take another name")
        fields = {name: getattr(wanted, name) for name in Registration.__struct_fields__}
        registration = Registration(**fields)
        check_target(registration, self._bound())
        self._payloads.put(wanted.name, registration)
        return _done()

    async def _list(self, _: NoArguments) -> Answer:
        return Registrations(dict(self._payloads.registrations)), (), None

    async def _schema(self, wanted: SchemaName) -> Answer:
        return self._payloads.get(wanted.name), (), None

    async def _remove(self, wanted: SchemaName) -> Answer:
        self._payloads.remove(wanted.name)
        return _done()


def _done(warnings: tuple[Notice, ...] = ()) -> Answer:
    return Done(), warnings, None
