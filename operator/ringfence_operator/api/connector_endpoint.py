"""Where a backend can be had: outside the cluster by its name, inside as a Service."""

from typing import Annotated, ClassVar

from pydantic import Field

from ringfence_operator.api.model import Model
from ringfence_operator.api.names import DNS_LABEL, Label, Port
from ringfence_operator.api.rule import ListMap, Rule

_PART = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
HOST = f"({_PART}[.])+[a-z]([-a-z0-9]{{0,61}}[a-z0-9])?"
"""Pattern of a whole name."""
_INSIDE = "[.](svc|cluster[.]local)$"

HostName = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Rule(
        f"self.matches('^{HOST}$') && !self.matches('{_INSIDE}')",
        "write a name of the outside such as db.example.com, in lower case and without scheme, port and wildcard; "
        "an address has no name to check, and what is inside the cluster is a service: {name, namespace, port}",
    ),
]
"""A whole name of the outside: the egress gateway lets a connector through by it."""


class BackendService(Model):
    """A Service of the cluster that a backend is behind."""

    name: Label
    """Name of the Service."""

    namespace: Label | None = None
    """Its namespace; absence means the connector's own."""

    port: Port
    """Port of the Service."""


class Endpoint(Model):
    """One place where the backend can be had."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.host) != has(self.service)",
            "write either a host, for a backend outside the cluster, or a service, for one inside",
        ),
        Rule("!has(self.port) || !has(self.service)", "a service says its port: write service.port alone", ".port"),
        Rule(
            "!has(self.host) || self.tls",
            "what leaves the cluster is encrypted: leave tls out, or write a service for a backend inside",
            ".tls",
        ),
    )

    name: Annotated[Label, Field(max_length=40)]
    """Name of the endpoint, as status, metrics and answers tell it."""

    host: HostName | None = None
    """Name of a backend outside the cluster; it is reached through the egress gateway, on the connector's own ports: by
    CONNECT, with a credential that only sidecars hold, or for RabbitMQ by a listener that leads to this host alone."""

    service: BackendService | None = None
    """Service of a backend inside the cluster; the pods behind it are opened to the sidecars, and nothing else."""

    port: Port | None = None
    """Port of the host; without it, the one that is usual for the kind."""

    tls: bool = True
    """Whether the backend speaks TLS; outside the cluster it must."""

    priority: Annotated[int, Field(ge=0, le=100)] = 0
    """Which is tried first: the lowest; the next ones where no healthy endpoint of it is left."""

    weight: Annotated[int, Field(ge=1, le=1000)] = 1
    """Share of the calls among the endpoints of one priority."""


NAMED = ListMap(("name",))
ENDPOINTS = Field(min_length=1, max_length=16)
CONNECTOR_NAME = Rule(
    f"self.metadata.name.matches('{DNS_LABEL}') && size(self.metadata.name) <= 40",
    "tools and labels carry the connector's name: write metadata.name with at most 40 lower-case letters, digits and -",
)
