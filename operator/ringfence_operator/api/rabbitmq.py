"""A RabbitMQ backend, as a Connector describes it."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from ringfence_operator.api.connector_auth import PasswordAuth
from ringfence_operator.api.connector_endpoint import ENDPOINTS, NAMED, Endpoint
from ringfence_operator.api.connector_limits import Concurrency, HealthCheck, Limits
from ringfence_operator.api.duration import Duration
from ringfence_operator.api.model import Items, Model
from ringfence_operator.api.quantity import Bytes
from ringfence_operator.api.rule import ListMap, Rule


class RabbitMQEndpoint(Endpoint):
    """A broker, or a cluster of them behind one name."""

    virtual_host: Annotated[str, Field(min_length=1, max_length=255)] = "/"
    """Virtual host on the broker."""


class ExchangeVerb(StrEnum):
    """What may be done to an exchange."""

    PUBLISH = "publish"
    BIND = "bind"
    DECLARE = "declare"


class QueueVerb(StrEnum):
    """What may be done to a queue."""

    RECEIVE = "receive"
    DECLARE = "declare"
    INSPECT = "inspect"
    REPLAY = "replay"
    DROP = "drop"


NamePattern = Annotated[
    str,
    Field(min_length=1, max_length=255),
    Rule("!self.matches('[[:space:][:cntrl:]]')", "write a name such as orders, or orders.* for all that begin so"),
]


class ExchangePermission(Model):
    """What may be done to exchanges of these names."""

    pattern: NamePattern
    """A name, with * for any run of characters."""

    verbs: Annotated[Items[ExchangeVerb], Field(min_length=1, max_length=8)]
    """What may be done."""


class QueuePermission(Model):
    """What may be done to queues of these names."""

    pattern: NamePattern
    """A name, with * for any run of characters."""

    verbs: Annotated[Items[QueueVerb], Field(min_length=1, max_length=8)]
    """What may be done."""


_PATTERNS = ListMap(("pattern",))


class RabbitMQPermissions(Model):
    """What may be done. What is not named is refused."""

    exchanges: Annotated[Items[ExchangePermission], Field(max_length=64), _PATTERNS] = ()
    """Exchanges, by name."""

    queues: Annotated[Items[QueuePermission], Field(max_length=64), _PATTERNS] = ()
    """Queues, by name."""


class RabbitMQLimits(Limits):
    """What a call may take, and what an agent may hold."""

    concurrency: Concurrency = 32
    """How many calls an agent may have under way."""

    prefetch: Annotated[int, Field(ge=1, le=1000)] = 32
    """How many messages a broker may hand out ahead."""

    message_size: Bytes = "1Mi"
    """The largest message."""

    lease: Duration = 60
    """How long a received message is the agent's before it goes back to the queue."""

    leases: Annotated[int, Field(ge=1, le=10_000)] = 256
    """How many received messages an agent may hold."""

    batch: Annotated[int, Field(ge=1, le=1000)] = 100
    """How many messages a call may publish or receive."""


class RabbitMQ(Model):
    """A RabbitMQ backend."""

    endpoints: Annotated[Items[RabbitMQEndpoint], ENDPOINTS, NAMED]
    """Brokers, in the order of their priorities."""

    auth: PasswordAuth
    """How to log in."""

    permissions: RabbitMQPermissions = RabbitMQPermissions()
    """What may be done."""

    limits: RabbitMQLimits = RabbitMQLimits()
    """What a call may take, and what an agent may hold."""

    health_check: HealthCheck = HealthCheck()
    """How each endpoint is looked at."""
