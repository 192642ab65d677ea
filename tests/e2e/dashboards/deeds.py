"""A run in which everything happens that a dashboard shows: calls, claims, refusals, ways out, floods, failures."""

import time
from dataclasses import dataclass

from tests.e2e.connectors import backend
from tests.e2e.connectors.backend import until, using
from tests.e2e.connectors.calls import do, filled, queue_with_a_message, rabbitmq, snowflake
from tests.e2e.escape.ways import look_up, tls
from tests.e2e.kube import Body
from tests.e2e.pools.pools import PoolHandle, claimant, pool
from tests.e2e.world import AgentHandle, World

LIMITS: tuple[Body, ...] = (
    {"resource": "messagesPublished", "max": 2, "window": "Hour"},
    {"resource": "queries", "max": 2, "window": "Hour", "enforcement": "Warn"},
    {"resource": "querySeconds", "max": 1000, "window": "Day"},
)
LIST = {"allowedDomains": [{"name": "api.test"}]}
CLOSED = 50


@dataclass(frozen=True, slots=True)
class Deeds:
    """Agents at work."""

    worker: AgentHandle
    """Has two connectors that serve, one that does not, and a Quota."""
    traveller: AgentHandle
    auditor: AgentHandle
    sales: str
    events: str
    away: str
    queue: str
    world: World
    pool: PoolHandle
    """Of one warm pod: of two agents that come at once, one waits."""

    def again(self, turn: int) -> None:
        """Do all that is quick, so that each counter grows between two scrapes."""
        for _ in range(2):  # the second is in the cache
            done = counted(self.worker, self.sales, "query", {"sql": f"SELECT COUNT(*) AS n{turn} FROM orders"})
            assert done["status"] == "ok", done
        message = {"exchange": "", "routingKey": self.queue, "payload": {"n": turn}}
        counted(self.worker, self.events, "publish", {"messages": [message]})
        lost = counted(self.worker, self.away, "declare", {"queue": {"name": self.queue}})
        assert lost["status"] in {"unavailable", "timeout"}, lost
        for agent in (self.traveller, self.auditor):
            agent.pod.script("fetch", [tls("api.test"), tls("files.test"), look_up("files.test")], seconds=60)
        self.claim(turn)

    def claim(self, turn: int) -> None:
        """Have two agents come for the pool's one warm pod, and leave again."""
        self.pool.until_warm(1)
        found = [claimant(self.world, self.pool, name=f"claims-{turn}-{number}") for number in range(2)]
        for each in found:
            each.until_ready()
        for each in found:
            each.delete()


def begun(world: World) -> Deeds:
    """Return agents at work, after all that takes a while."""
    failing = world.agent("failing", mode="Task", command=["false"], backoff={"limit": 0})
    sales, events, away = snowflake(world), rabbitmq(world), silent(world)
    worker = using(world, sales, events, away, agent="worker")
    traveller = world.agent("traveller", securityPolicyRef={"name": world.policy("enforced", network=LIST)})
    audited = world.policy("audited", network={"mode": "Audit", **LIST})
    auditor = world.agent("auditor", securityPolicyRef={"name": audited})
    for each in (worker, traveller, auditor):
        each.until_ready()
    until(worker, "Connector", events, "EndpointsHealthy")
    filled(worker, sales)
    queue = queue_with_a_message(world, worker, events)
    # It comes later, so that what is made ready does not count.
    worker.change(quotaRef=world.quota(*LIMITS).ref)
    flood(traveller)
    failing.until_reason("BackoffLimitExceeded")
    return Deeds(worker, traveller, auditor, sales, events, away, queue, world, pool(world, 1))


def silent(world: World) -> str:
    """Create a Connector to what takes connections and says nothing; return its name."""
    service = backend.backend(world)["metadata"]["name"]
    queues = {"queues": [{"pattern": "t-*", "verbs": ["Declare"]}]}
    return backend.connector(world, backend.rabbitmq(service, backend.secret(world), permissions=queues))


def counted(agent: AgentHandle, connector: str, operation: str, arguments: Body) -> Body:
    """Return the envelope of a call; again, while the counters, which have just been made, count as away."""
    end = time.monotonic() + 60
    while True:
        found = do(agent, connector, operation, arguments)
        if found.get("code") != "QuotaStoreUnavailable" or time.monotonic() > end:
            return found
        time.sleep(0.2)


def flood(agent: AgentHandle) -> None:
    """Ask and connect more than a policy may."""
    (gateway,) = agent.pod.script("fetch", [look_up("api.test")])
    agent.pod.script("flood", gateway["address"], 443, CLOSED, seconds=120)
    agent.pod.script("flood_dns", gateway["address"], "api.test", seconds=60)
