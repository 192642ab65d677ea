"""A RabbitMQ backend, as a Connector describes it."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from ringfence_operator.api.connector_auth import RabbitMQAuth
from ringfence_operator.api.connector_endpoint import ENDPOINTS, NAMED, Endpoint
from ringfence_operator.api.connector_limits import Concurrency, HealthCheck, Limits
from ringfence_operator.api.duration import Duration
from ringfence_operator.api.model import Items, Model
from ringfence_operator.api.quantity import Held
from ringfence_operator.api.rule import ListMap, Rule


class RabbitMQEndpoint(Endpoint):
    """A broker, or a cluster of them behind one name."""

    virtual_host: Annotated[str, Field(min_length=1, max_length=255)] = "/"
    """Virtual host on the broker."""


class ExchangeVerb(StrEnum):
    """What may be done to an exchange."""

    PUBLISH = "Publish"
    DECLARE = "Declare"
    BIND = "Bind"


class QueueVerb(StrEnum):
    """What may be done to a queue."""

    PUBLISH = "Publish"
    DECLARE = "Declare"
    BIND = "Bind"
    RECEIVE = "Receive"
    INSPECT = "Inspect"
    DEAD_LETTERS = "DeadLetters"
    REPLAY = "Replay"
    DROP = "Drop"


NamePattern = Annotated[
    str,
    Field(min_length=1, max_length=255),
    Rule(
        "self.matches('^[^*[:space:]]*[*]?([.][^*[:space:]]*[*]?)*$')",
        "write a name, with * at the end of one of its parts: orders.eu, orders.*, or app-*.events",
    ),
]


class ExchangePermission(Model):
    """What may be done to exchanges of these names."""

    pattern: NamePattern
    """A name; * at the end of a part stands for the rest of that part, and at the end of all for everything."""

    verbs: Annotated[Items[ExchangeVerb], Field(min_length=1, max_length=8)]
    """What may be done."""


class QueuePermission(Model):
    """What may be done to queues of these names."""

    pattern: NamePattern
    """A name; * at the end of a part stands for the rest of that part, and at the end of all for everything."""

    verbs: Annotated[Items[QueueVerb], Field(min_length=1, max_length=8)]
    """What may be done."""


_PATTERNS = ListMap(("pattern",))


class RabbitMQPermissions(Model):
    """What may be done. What is not named is refused."""

    exchanges: Annotated[Items[ExchangePermission], Field(max_length=64), _PATTERNS] = ()
    """Exchanges, by name."""

    queues: Annotated[Items[QueuePermission], Field(max_length=64), _PATTERNS] = ()
    """Queues, by name."""


Lease = Annotated[
    Duration,
    Rule("duration(self) <= duration('25m')", "a broker ends channels that hold a message for long: write at most 25m"),
]


class RabbitMQLimits(Limits):
    """What a call may take, and what an agent may hold."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("duration(self.lease) <= duration(self.maxLease)", "write a maxLease that is at least lease", ".maxLease"),
    )

    concurrency: Concurrency = 32
    """How many calls an agent may have under way."""

    prefetch: Annotated[int, Field(ge=1, le=1000)] = 32
    """How many messages one receive may hold back for its agent."""

    message_size: Held = "1Mi"
    """The largest message that is published or shown. One receive brings as many as have 32Mi if all are as large."""

    lease: Lease = 60
    """How long a received message is the agent's before it goes back to the queue, where the call does not say."""

    max_lease: Lease = 600
    """The longest that a call may ask for."""

    leases: Annotated[int, Field(ge=1, le=10_000)] = 256
    """How many received messages an agent may hold."""

    batch: Annotated[int, Field(ge=1, le=1000)] = 100
    """How many messages a call may publish or receive."""

    subscriptions: Annotated[int, Field(ge=1, le=1000)] = 16
    """How many queues of its own an agent may have made by subscribing."""


class RabbitMQ(Model):
    """A RabbitMQ backend."""

    endpoints: Annotated[Items[RabbitMQEndpoint], ENDPOINTS, NAMED]
    """Brokers, in the order of their priorities."""

    auth: RabbitMQAuth
    """How to log in."""

    permissions: RabbitMQPermissions = RabbitMQPermissions()
    """What may be done."""

    limits: RabbitMQLimits = RabbitMQLimits()
    """What a call may take, and what an agent may hold."""

    health_check: HealthCheck = HealthCheck()
    """How each endpoint is looked at."""
