"""The pipeline's quota step. Where no limit holds, the step is left out."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

import msgspec

from ringfence_sidecar.call import Deadline
from ringfence_sidecar.envelope import Notice
from ringfence_sidecar.errors import LimitedError
from ringfence_sidecar.grants import Held

SCANNED = "bytesScanned"

DIVISIBLE = frozenset(
    {"rows", "bytesReturned", SCANNED, "querySeconds", "credits", "messagesReceived", "unackedLeases"}
)
"""Of these a call may be granted less than it asks for, and is cut to it; of others, all or nothing.

What is scanned cannot be cut: what is asked for is an estimate, that a smaller limit must not be refused for.
"""

LEAST: Mapping[str, float] = {"querySeconds": 0.1, "credits": 0.0001}
"""The least of them that a call can do with, unless it says so itself; of others, one."""

HELD = frozenset({"concurrentCalls", "connectorConnections", "unackedLeases", "cacheBytes"})
"""These are given back, and not added up."""

GIVEN = frozenset({"rows", "bytesReturned", "messagesReceived"})
"""What an agent is given: nothing, by a call that has no answer, whatever became of it at the backend."""

CALLS = frozenset({"apiCalls", "toolCalls", "concurrentCalls"})
"""What a call costs whether a backend is asked for it or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a call wants to use."""

    amounts: Mapping[str, float]
    """Resource → how much, at most."""
    least: Mapping[str, float] = field(default_factory=dict)
    """Of what it may be granted less: resource → how much it needs, if other than usual (`LEAST`)."""
    writes: bool
    """Whether it changes a backend: that decides what happens while the store is away, where the limit does not say."""
    deadline: Deadline
    """A Soft limit lets the call wait until its own deadline or this one, whichever is sooner."""


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """Where one limit that this sidecar keeps stands for the agent."""

    quota: str
    """Name of the Quota."""
    resource: str
    window: str
    """`None` for what is held at once."""
    scope: str
    """`PerAgent`, or `Shared` for what all agents of the quota have together."""
    enforcement: str
    limit: float
    used: float
    """By all agents that share the limit; with what calls under way have been granted."""
    remaining: float
    reset_seconds: float | None
    """Seconds until something of it is free again; None for what is held."""
    as_of: float
    """When the counters said so, in seconds since the epoch."""


class Policy(NamedTuple):
    """What of a limit stays as it is while it is in force."""

    quota: str
    resource: str
    window: str
    scope: str
    limit: float


Left = tuple[float, float | None]
"""Where a limit stands: what remains, and the seconds until something of it is free again; None for what is held."""


class LimitStanding(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Where one limit stands for this agent, as both surfaces answer it."""

    quota: str
    """Name of the Quota."""
    resource: str
    window: str
    """`None` for what is held at once."""
    scope: str
    """`PerAgent`, or `Shared` for what all agents of the quota have together."""
    enforcement: str
    limit: float
    used: float | None = None
    """By all agents that share the limit; with what calls under way have been granted. Null while nobody knows."""
    remaining: float | None = None
    reset_seconds: float | None = None
    """Seconds until something of it is free again; null for what is held, and where nobody knows."""
    as_of: str | None = None
    """When that was so, as RFC 3339 has it."""

    @classmethod
    def of(cls, budget: Budget) -> "LimitStanding":
        """Return where a limit stands that this sidecar keeps."""
        as_of = datetime.fromtimestamp(budget.as_of, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return cls(**{**msgspec.structs.asdict(budget), "as_of": as_of})


class QuotaStanding(msgspec.Struct, frozen=True, rename="camel"):
    """Every limit that holds for this agent, whoever keeps it; all must agree, so the tightest decides."""

    limits: tuple[LimitStanding, ...]


class Reservation(Held, Protocol):
    """What a call has been granted until it is settled."""

    @property
    def grants(self) -> Mapping[str, float]:
        """Resource → the most that may be used; resources without a limit are not in it."""

    @property
    def warnings(self) -> tuple[Notice, ...]:
        """What limits with enforcement Warn have to say, and percentages of `warnAt`."""

    @property
    def may_warn(self) -> bool:
        """Whether its settlement may have something to say to the call. If not, no answer need wait for it."""

    def settle(self, used: Mapping[str, float]) -> Awaitable[tuple[Notice, ...]]:
        """Replace what was granted by what was really used; nothing, for a call that did nothing.

        That is so for all that is asked from now on; what is returned must be awaited, and tells whoever counts with
        others. Of what is held (`unackedLeases`), `used` stays held until it is released, which may be before this.
        """


class Quota(Protocol):
    """Grants what calls may use."""

    def limits(self, resource: str) -> bool:
        """Return True if any limit holds for the resource: else it need not be asked for."""

    async def reserve(self, ask: Ask) -> Reservation:
        """Grant all of what is asked, or raise LimitedError and grant nothing; it waits until the ask's deadline."""

    async def hold(self, resource: str, amount: float) -> Reservation:
        """Take some of what is held outside a call, such as a connection of a pool. Raises LimitedError.

        What is returned is settled. It counts as refused only once whoever asks says so (`refused`): another
        connection may do.
        """

    def refused(self, error: LimitedError) -> None:
        """Count a refusal by a limit that had not been asked: its `details` say which."""

    async def budgets(self) -> tuple[Budget, ...]:
        """Return where every limit stands for this agent."""

    def known(self) -> tuple[Budget, ...]:
        """Return the same as of this pod's last answer, without asking anybody."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """A reservation of nothing."""

    grants: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[Notice, ...] = ()
    may_warn: bool = False

    async def settle(self, used: Mapping[str, float]) -> tuple[Notice, ...]:  # noqa: ARG002 - the interface's
        """Nothing was granted."""
        return ()

    async def release(self, amount: float) -> None:
        """Nothing is held."""
