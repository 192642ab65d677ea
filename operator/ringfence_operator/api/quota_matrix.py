"""Which resource goes with which window, scope and enforcement: the one source of the CRD's rules and of the docs."""

from dataclasses import dataclass
from enum import StrEnum


class Resource(StrEnum):
    """What a limit may be about."""

    MEMORY = "memory"
    CPU = "cpu"
    EPHEMERAL_STORAGE = "ephemeralStorage"
    PIDS = "pids"
    AGENTS = "agents"
    POD_SECONDS = "podSeconds"
    NETWORK_BYTES = "networkBytes"
    NETWORK_BANDWIDTH = "networkBandwidth"
    NETWORK_CONNECTIONS = "networkConnections"
    API_CALLS = "apiCalls"
    TOOL_CALLS = "toolCalls"
    CONCURRENT_CALLS = "concurrentCalls"
    CONNECTOR_CONNECTIONS = "connectorConnections"
    QUERIES = "queries"
    ROWS = "rows"
    BYTES_RETURNED = "bytesReturned"
    QUERY_SECONDS = "querySeconds"
    BYTES_SCANNED = "bytesScanned"
    CREDITS = "credits"
    MESSAGES_PUBLISHED = "messagesPublished"
    MESSAGES_RECEIVED = "messagesReceived"
    MESSAGE_BYTES = "messageBytes"
    UNACKED_LEASES = "unackedLeases"
    CACHE_BYTES = "cacheBytes"


class Window(StrEnum):
    """Over which time use is added up; None means what is held at once."""

    NONE = "None"
    SECOND = "Second"
    MINUTE = "Minute"
    HOUR = "Hour"
    DAY = "Day"
    MONTH = "Month"


class Scope(StrEnum):
    """Whether each agent has the limit to itself."""

    PER_AGENT = "PerAgent"
    SHARED = "Shared"


class Enforcement(StrEnum):
    """What happens at the limit."""

    HARD = "Hard"
    SOFT = "Soft"
    WARN = "Warn"


class Enforcer(StrEnum):
    """Which part of the system keeps the limit."""

    NODE = "node"
    OPERATOR = "operator"
    GATEWAY = "gateway"
    SIDECAR = "sidecar"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What goes with a resource."""

    enforcer: Enforcer
    windows: tuple[Window, ...]
    scopes: tuple[Scope, ...]
    enforcements: tuple[Enforcement, ...]
    is_measured: bool = True
    """Whether use is known as it happens, so that `warnAt` says something."""


_HELD = (Window.NONE,)
_SHORT = (Window.SECOND, Window.MINUTE, Window.HOUR, Window.DAY, Window.MONTH)
_BOTH = (Scope.PER_AGENT, Scope.SHARED)
_EACH = (Scope.PER_AGENT,)
_HARD = (Enforcement.HARD,)
_HARD_WARN = (Enforcement.HARD, Enforcement.WARN)
_ANY = (Enforcement.HARD, Enforcement.SOFT, Enforcement.WARN)

_CALLS = Row(enforcer=Enforcer.SIDECAR, windows=_SHORT, scopes=_BOTH, enforcements=_ANY)
_AT_ONCE = Row(enforcer=Enforcer.SIDECAR, windows=_HELD, scopes=_BOTH, enforcements=_ANY)

MATRIX: dict[Resource, Row] = {
    Resource.MEMORY: Row(enforcer=Enforcer.NODE, windows=_HELD, scopes=_EACH, enforcements=_HARD),
    Resource.CPU: Row(enforcer=Enforcer.NODE, windows=_HELD, scopes=_EACH, enforcements=_HARD, is_measured=False),
    Resource.EPHEMERAL_STORAGE: Row(
        enforcer=Enforcer.NODE, windows=_HELD, scopes=_EACH, enforcements=_HARD, is_measured=False
    ),
    Resource.PIDS: Row(enforcer=Enforcer.NOTHING, windows=(), scopes=(), enforcements=(), is_measured=False),
    Resource.AGENTS: Row(enforcer=Enforcer.OPERATOR, windows=_HELD, scopes=(Scope.SHARED,), enforcements=_HARD_WARN),
    Resource.POD_SECONDS: Row(
        enforcer=Enforcer.OPERATOR,
        windows=(Window.HOUR, Window.DAY, Window.MONTH),
        scopes=_BOTH,
        enforcements=_HARD_WARN,
    ),
    Resource.NETWORK_BYTES: Row(
        enforcer=Enforcer.GATEWAY,
        windows=(Window.MINUTE, Window.HOUR, Window.DAY, Window.MONTH),
        scopes=_BOTH,
        enforcements=_HARD_WARN,
    ),
    Resource.NETWORK_BANDWIDTH: Row(
        enforcer=Enforcer.NODE, windows=_HELD, scopes=_EACH, enforcements=_HARD, is_measured=False
    ),
    Resource.NETWORK_CONNECTIONS: Row(enforcer=Enforcer.GATEWAY, windows=_HELD, scopes=_EACH, enforcements=_HARD_WARN),
    Resource.API_CALLS: _CALLS,
    Resource.TOOL_CALLS: _CALLS,
    Resource.CONCURRENT_CALLS: _AT_ONCE,
    Resource.CONNECTOR_CONNECTIONS: Row(
        enforcer=Enforcer.SIDECAR, windows=_HELD, scopes=_BOTH, enforcements=_HARD_WARN
    ),
    Resource.QUERIES: _CALLS,
    Resource.ROWS: _CALLS,
    Resource.BYTES_RETURNED: _CALLS,
    Resource.QUERY_SECONDS: _CALLS,
    Resource.BYTES_SCANNED: _CALLS,
    Resource.CREDITS: _CALLS,
    Resource.MESSAGES_PUBLISHED: _CALLS,
    Resource.MESSAGES_RECEIVED: _CALLS,
    Resource.MESSAGE_BYTES: _CALLS,
    Resource.UNACKED_LEASES: Row(enforcer=Enforcer.SIDECAR, windows=_HELD, scopes=_BOTH, enforcements=_HARD_WARN),
    Resource.CACHE_BYTES: Row(enforcer=Enforcer.SIDECAR, windows=_HELD, scopes=_EACH, enforcements=_HARD_WARN),
}
"""Every combination that is not in it is refused by the API server."""


def resources_of(enforcer: Enforcer) -> tuple[Resource, ...]:
    """Return the resources that a part of the system keeps the limits of."""
    return tuple(resource for resource, row in MATRIX.items() if row.enforcer is enforcer)
