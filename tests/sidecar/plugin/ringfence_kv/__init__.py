"""A kind of connector as a third party writes one: keys and values, over a protocol of lines.

`ID TRACEPARENT VERB WORDS…` is answered by `ID OK WORDS…` or `ID ERR WORDS…`; `ID - CANCEL` stops a request.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, ClassVar

import msgspec

from ringfence_sidecar.call import Context
from ringfence_sidecar.configuration import Connector as Configuration
from ringfence_sidecar.configuration import Endpoint
from ringfence_sidecar.connectors.base import Cacheable, Connector, Effect, Operation, Outcome, Prepared
from ringfence_sidecar.connectors.dialling import dialled
from ringfence_sidecar.errors import RefusedError

from .session import Session

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern="^[a-z0-9-]+$")]


class Key(msgspec.Struct, forbid_unknown_fields=True):
    key: Word


class Pair(msgspec.Struct, forbid_unknown_fields=True):
    key: Word
    value: Word


class Watched(msgspec.Struct, forbid_unknown_fields=True):
    key: Word
    pieces: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 3


class Value(msgspec.Struct):
    value: str | None


GET = Operation(name="get", title="Get", description="A key's value.", effect=Effect.READ, arguments=Key, result=Value)
PUT = Operation(
    name="put", title="Put", description="Set a key.", effect=Effect.IDEMPOTENT, arguments=Pair, result=Value
)
APPEND = Operation(
    name="append",
    title="Append",
    description="Add to a key's value.",
    effect=Effect.WRITE,
    destructive=True,
    arguments=Pair,
    result=Value,
)
WATCH = Operation(
    name="watch",
    title="Watch",
    description="A key's value, again and again.",
    effect=Effect.READ,
    arguments=Watched,
    result=Value,
    streams=True,
)
BREAK = Operation(
    name="break", title="Break", description="Fails as no kind should.", effect=Effect.READ, arguments=Key, result=Value
)


class Kv(Connector[Session]):
    kind = "kv"
    sessions = 4
    caches = True
    settings_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {"prefix": {"type": "string", "maxLength": 16}},
        "required": ["prefix"],
        "additionalProperties": False,
    }

    def __init__(self, configuration: Configuration) -> None:
        super().__init__(configuration)
        self._prefix: str = configuration.settings["prefix"]
        self._costs: Mapping[str, float] = configuration.permissions.get("costs", {})

    def operations(self) -> tuple[Operation, ...]:
        verbs = self.configuration.permissions.get("operations", ["get", "put", "append", "watch", "break"])
        return tuple(each for each in (GET, PUT, APPEND, WATCH, BREAK) if each.name in verbs)

    def prepare(self, operation: Operation, arguments: Any, context: Context) -> Prepared:  # noqa: ARG002 - the class's
        if arguments.key.startswith("secret"):
            raise RefusedError("keys that begin with 'secret' are not for agents", rule="keys")
        key = f"{self._prefix}{arguments.key}"
        reads = operation in {GET, WATCH, BREAK}
        return Prepared(
            operation=operation,
            effect=operation.effect,
            payload=(operation.name.upper(), key, *([] if reads else [arguments.value])),
            rule=f"operations.{operation.name}",
            summary=f"{operation.name} of a key",
            estimate={"queries": 1, **self._costs},
            credits_per_second=dict.fromkeys((each.name for each in self.configuration.endpoints), 1.0),
            cache=Cacheable(material=(key,), tags=frozenset({key})) if operation is GET else None,
            invalidates=frozenset() if reads else frozenset({key}),
            endpoint=self.configuration.permissions.get("pin"),
        )

    async def connect(self, endpoint: Endpoint) -> Session:
        session = Session(*await dialled(self.configuration, endpoint))
        auth = self.configuration.auth
        try:
            await session.ask("AUTH", auth.read("password").decode() if auth.method == "password" else "-")
        except BaseException:
            session.close()
            raise
        return session

    async def disconnect(self, session: Session) -> None:
        session.close()

    def is_usable(self, session: Session) -> bool:
        return not session.is_lost

    async def health_check(self, session: Session) -> None:
        await session.ask("PING")

    async def execute(self, session: Session, prepared: Prepared, context: Context) -> Outcome:
        if prepared.operation is BREAK:
            raise RuntimeError("SELECT secret FROM the_other_tenant")
        words = await session.ask(*prepared.payload, traceparent=context.trace.traceparent)
        return Outcome(data=Value(words or None), backend_id=f"kv-{session.last}", used=prepared.estimate)

    async def stream(self, session: Session, prepared: Prepared, context: Context) -> AsyncIterator[Outcome]:
        while True:
            words = await session.ask(*prepared.payload, traceparent=context.trace.traceparent)
            if words == "end":
                return
            yield Outcome(data=Value(words or None), used=prepared.estimate)

    def metrics(self) -> Mapping[str, float]:
        return {"prefix_length": len(self._prefix)}


class SharedKv(Kv):
    kind = "kv-shared"
    sessions = 1
    shared = True
