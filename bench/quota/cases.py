"""For each resource that sidecars count: the calls that use up a small limit, and the one that is to be refused."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.sidecar.bed import CREDITS_PER_SECOND
from bench.sidecar.client import Client

QUEUE, EMPTY_QUEUE = "bench-quota", "bench-quota-empty"
SLOW_SECONDS = 30.0
STATEMENT_SECONDS = 0.5
HELD_SECONDS = 1.0
"""How long the call lasts that holds the one place of concurrentCalls."""

Make = Callable[[Client, str], bytes]
"""Returns a request of one client; the other argument is the name of the Connector to the warehouse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A limit of `most`, which the calls of `use` use up, so that `over` is refused."""

    resource: str
    most: float
    use: tuple[Make, ...] = ()
    over: Make
    window: str = "Day"
    is_shared: bool = True
    """False where the limit is one agent's, who is refused himself."""
    before: tuple[Make, ...] = ()
    """Calls that no limit counts."""
    during: Make | None = None
    """A call under way while `over` is tried: it uses the limit up."""
    is_cut: bool = False
    """True where the last call of `use` is itself ended at the limit."""
    is_fresh: bool = False
    """True where the Connector to the warehouse has to be one that nobody has a session with."""


def _value(key: str, value: object) -> Make:
    return lambda client, _: client.rest("PUT", f"/v1/cache/{key}", {"value": value})


def _query(sql: str) -> Make:
    return lambda client, name: client.rest("POST", f"/v1/connectors/{name}/query", {"sql": sql})


def _events(operation: str, **arguments: Any) -> Make:
    return lambda client, _: client.rest("POST", f"/v1/connectors/events/{operation}", arguments)


def _publish(count: int) -> Make:
    message = {"exchange": "", "routingKey": QUEUE, "payload": "a"}
    return _events("publish", messages=[message] * count)


def _tool(client: Client, _: str) -> bytes:
    return client.mcp("cache_set", {"key": "k", "value": 1})


_CALL = _value("k", 1)
_ITEMS = _query("SELECT id, name FROM items ORDER BY id LIMIT 10")
_RECEIVE = _events("receive", queue=QUEUE, count=2)

CASES: tuple[Case, ...] = (
    Case(resource="apiCalls", most=3, use=(_CALL,) * 3, over=_CALL),
    Case(resource="toolCalls", most=3, use=(_tool,) * 3, over=_tool),
    Case(
        resource="concurrentCalls",
        most=1,
        window="None",
        during=_events("receive", queue=EMPTY_QUEUE, waitSeconds=HELD_SECONDS),
        over=_CALL,
    ),
    Case(resource="connectorConnections", most=1, window="None", use=(_ITEMS,), over=_ITEMS, is_fresh=True),
    Case(resource="queries", most=2, use=(_ITEMS,) * 2, over=_ITEMS),
    Case(resource="rows", most=10, use=(_ITEMS,), over=_ITEMS),
    # Ten rows such as [0,"item 0"], with what stands between and around them: where anything is left, the warehouse is
    # asked before it shows that no row fits.
    Case(resource="bytesReturned", most=131, use=(_ITEMS,), over=_ITEMS),
    Case(
        resource="querySeconds",
        most=STATEMENT_SECONDS,
        use=(_query("SELECT COUNT(*) AS slow_count FROM items"),),
        over=_ITEMS,
        is_cut=True,
    ),
    Case(
        resource="credits",
        most=STATEMENT_SECONDS * CREDITS_PER_SECOND,
        use=(_query("SELECT COUNT(*) AS slow_count FROM items"),),
        over=_ITEMS,
        is_cut=True,
    ),
    # The stand-in says of each query that it read a megabyte.
    Case(resource="bytesScanned", most=1_500_000, use=(_ITEMS,) * 2, over=_ITEMS),
    Case(resource="messagesPublished", most=2, use=(_publish(2),), over=_publish(1)),
    Case(resource="messagesReceived", most=2, before=(_publish(3),), use=(_RECEIVE,), over=_RECEIVE),
    Case(resource="messageBytes", most=6, use=(_publish(2),), over=_publish(1)),
    Case(resource="unackedLeases", most=2, window="None", before=(_publish(3),), use=(_RECEIVE,), over=_RECEIVE),
    # Calls of other cases have left a value of one byte.
    Case(
        resource="cacheBytes",
        most=11,
        window="None",
        use=(_value("room", "12345678"),),
        over=_value("more", "12345678"),
        is_shared=False,
    ),
)
