"""What a kind of backend implements; found by the entry point group `ringfence.connectors`."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from ringfence_sidecar.call import Context
from ringfence_sidecar.configuration import Connector as Configuration
from ringfence_sidecar.configuration import Endpoint
from ringfence_sidecar.envelope import Notice
from ringfence_sidecar.holding import Holding

S = TypeVar("S")
"""A session of a kind with an endpoint: a connection, or whatever it keeps for one."""


class Effect(StrEnum):
    """What a call does to the backend; it decides whether it may be tried elsewhere."""

    READ = "read"
    IDEMPOTENT = "idempotent"
    """Twice is as good as once: retried, elsewhere too, even if its outcome is unknown."""
    WRITE = "write"
    """Never tried again once it may have been sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Something that a kind can do. MCP's tool is named `<connector>_<operation>`, REST's path ends in it."""

    name: str
    """Lower case with underscores."""
    title: str
    description: str
    """For the model that chooses tools: what it does, what it answers, what it costs."""
    effect: Effect
    destructive: bool = False
    arguments: type[msgspec.Struct]
    """Its JSON Schema is the tool's input schema; use `forbid_unknown_fields=True` and `msgspec.Meta` for bounds."""
    result: type[msgspec.Struct]
    """The shape of the envelope's `data`."""
    streams: bool = False
    """True if `stream` serves it besides."""
    waits: bool = False
    """True if it may wait for something to come: how long it takes says nothing of the endpoint then."""
    takes_key: bool = False
    """True if a call may have an idempotency key (`Context.idempotency_key`); it is refused to all others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cacheable:
    """What makes the answer: `material` is all that changes it, besides the connector's UID and generation.

    `tags` name what it was made from (tables, for SQL), so that a write can drop it.
    """

    material: tuple[str, ...]
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A call that policy lets through, ready to run on any endpoint."""

    operation: Operation
    effect: Effect
    """Of this very call: an `execute` of an idempotent statement may be less than its operation's effect says."""
    payload: Any
    """The kind's own."""
    rule: str
    """Which rule let it through, for the audit line."""
    summary: str
    """What was asked, without literals or payloads, for the audit line."""
    estimate: Mapping[str, float] = field(default_factory=dict)
    """Quota resources (`queries`, `rows`, `messagesPublished` …) → what to reserve: all that it may use.

    The names are those of a Quota's limits; others are not counted. A grant may be less (`Context.grants`).
    """
    credits_per_second: Mapping[str, float] = field(default_factory=dict)
    """Endpoint → credits that a second of `querySeconds` costs there; empty if not known of each that may serve it."""
    bytes_scanned_per_second: float = 0.0
    """What counts as `bytesScanned` for each second of a call of which nobody says it, such as one that timed out."""
    cache: Cacheable | None = None
    invalidates: frozenset[str] = frozenset()
    """Tags to drop once it has been done, or may have been."""
    lasts_seconds: float = 60.0
    """How long the backend may go on with it once nobody waits: what it invalidates is not kept again until then."""
    endpoint: str | None = None
    """The only endpoint that can serve it: where a lease or an open result lives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the backend answered."""

    data: Any
    """An instance of the operation's `result`."""
    message: str = ""
    warnings: tuple[Notice, ...] = ()
    partial: bool = False
    backend_id: str | None = None
    used: Mapping[str, float] = field(default_factory=dict)
    """Quota resources → what was really used; of what it leaves out, the estimate counts."""
    details: Mapping[str, Any] = field(default_factory=dict)
    cacheable: bool = True
    """False if this very answer must not be kept, such as one that was cut."""
    last: bool = False
    """Of a stream: True if nothing comes after this piece, so that no quota need be asked for more."""


class Connector(ABC, Generic[S]):
    """One bound backend. Made anew when its configuration changes; the one before ends its calls and is closed.

    Errors are those of `ringfence_sidecar.errors`: BackendLostError for what another endpoint may serve, BackendError
    for what none would. Cancellation of `execute` must reach the driver.
    """

    kind: ClassVar[str]
    settings_schema: ClassVar[Mapping[str, Any] | None] = None
    """JSON Schema of `configuration.settings`, for kinds that third parties add."""
    sessions: ClassVar[int] = 4
    """Most sessions with an endpoint; 1 if a session serves many calls at once (then `shared` is True)."""
    shared: ClassVar[bool] = False
    caches: ClassVar[bool] = False

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.holding = Holding()
        """What it holds of quotas outside of calls; the framework puts the agent's there before the first session."""

    @abstractmethod
    def operations(self) -> tuple[Operation, ...]:
        """Return the operations that the configuration permits; what is not here is no tool and no path."""

    @abstractmethod
    def prepare(self, operation: Operation, arguments: Any, context: Context) -> Prepared:
        """Judge the call; `arguments` is an instance of `operation.arguments`. Pure, no I/O.

        Raises RefusedError or InvalidArgumentsError.
        """

    def is_long(self, operation: Operation, arguments: Any) -> bool:  # noqa: ARG002 - a kind may know better
        """Return True if `prepare` would keep other calls waiting for 20 ms and more.

        It is called in a thread then, one call at a time, and must be safe there.
        """
        return False

    @abstractmethod
    async def connect(self, endpoint: Endpoint) -> S:
        """Return a session that is logged in. Raises BackendLostError, or BackendError if the login is refused."""

    @abstractmethod
    async def disconnect(self, session: S) -> None:
        """Close a session; never raises."""

    @abstractmethod
    async def health_check(self, session: S) -> None:
        """Ask for something cheap that needs the backend's work. Raises as `execute` does."""

    @abstractmethod
    async def execute(self, session: S, prepared: Prepared, context: Context) -> Outcome:
        """Do it, within `context.deadline`."""

    def is_usable(self, session: S) -> bool:  # noqa: ARG002 - a kind may know better
        """Return False for a session that must not be given out again."""
        return True

    def is_busy(self, session: S) -> bool:  # noqa: ARG002 - a kind may know better
        """Return True while something lives on a shared session that a later call ends, such as a lease.

        A session that is replaced (its credentials have changed, or `take_over`) is kept open for so long, within a
        bound.
        """
        return False

    def take_over(self, before: "Connector[S]") -> bool:  # noqa: ARG002 - a kind may know better
        """Go on with what calls at the one before have begun, such as leases; return whether there is such a thing.

        It is asked once, before the first call, and only where nothing but limits, cache and health check differs.
        """
        return False

    def stream(self, session: S, prepared: Prepared, context: Context) -> AsyncIterator[Outcome]:
        """Do it piece by piece, for operations that stream."""
        raise NotImplementedError

    def metrics(self) -> Mapping[str, float]:
        """Return the kind's own gauges, by name."""
        return {}
