"""Whom an agent may reach, and who may reach it."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from ringfence_operator.api.model import Items, Model, StringMap
from ringfence_operator.api.names import Port
from ringfence_operator.api.scheduling import LabelValue


class NetworkProtocol(StrEnum):
    """Protocols that a NetworkPolicy can tell apart."""

    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"


class SelectorOperator(StrEnum):
    """How a label is compared."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class Requirement(Model):
    """A condition on one label."""

    key: Annotated[str, Field(min_length=1, max_length=317)]
    """Key of the label."""

    operator: SelectorOperator
    """How the label is compared."""

    values: Annotated[Items[LabelValue], Field(max_length=32)] = ()
    """Values to compare with; needed for In and NotIn only."""


class LabelSelector(Model):
    """Selects objects by their labels; an empty one selects all of them."""

    match_labels: Annotated[StringMap[LabelValue], Field(max_length=16)] = Field(default_factory=dict)
    """Labels that must all be there, with these values."""

    match_expressions: Annotated[Items[Requirement], Field(max_length=16)] = ()
    """Conditions that must all hold."""


class NetworkPort(Model):
    """A port, or a range of ports."""

    port: Port
    """Number of the port, or of the first of the range."""

    end_port: Port | None = None
    """Number of the last port of the range."""

    protocol: NetworkProtocol = NetworkProtocol.TCP
    """TCP, UDP or SCTP."""


Cidr = Annotated[str, Field(min_length=1, max_length=43)]
Ports = Annotated[Items[NetworkPort], Field(max_length=32)]


class Destination(Model):
    """Pods in the cluster that the agent may open connections to."""

    namespace_selector: LabelSelector | None = None
    """Namespaces of the pods; an empty selector means all but the operator's, absence the agent's own."""

    pod_selector: LabelSelector | None = None
    """Labels of the pods; absence means all pods of those namespaces."""

    ports: Ports = ()
    """Ports of the pods; none means every port."""


class CidrDestination(Model):
    """Addresses that the agent may open connections to."""

    cidr: Cidr
    """The address block."""

    except_: Annotated[Items[Cidr], Field(max_length=32)] = Field((), alias="except")
    """Blocks inside it that stay closed."""

    ports: Ports = ()
    """Ports at those addresses; none means every port."""


class IngressSource(Model):
    """Who may open connections to the agent: pods by selectors, or addresses by a block."""

    namespace_selector: LabelSelector | None = None
    """Namespaces of the pods; an empty selector means all but the operator's, absence the agent's own."""

    pod_selector: LabelSelector | None = None
    """Labels of the pods; absence means all pods of those namespaces."""

    cidr: Cidr | None = None
    """An address block, instead of selectors."""

    except_: Annotated[Items[Cidr], Field(max_length=32)] = Field((), alias="except")
    """Blocks inside it that stay closed."""


class Ingress(Model):
    """One set of sources and the agent's ports that are open to them."""

    from_: Annotated[Items[IngressSource], Field(min_length=1, max_length=32)] = Field(alias="from")
    """Who may connect."""

    ports: Ports = ()
    """Ports of the agent; none means every port."""


class Network(Model):
    """What of the network the agent may use. Everything that is not named here is closed."""

    enabled: bool = True
    """False closes the network altogether."""

    destinations: Annotated[Items[Destination], Field(max_length=32)] = ()
    """Pods in the cluster that the agent may reach."""

    cidrs: Annotated[Items[CidrDestination], Field(max_length=32)] = ()
    """Addresses that the agent may reach."""

    ingress: Annotated[Items[Ingress], Field(max_length=32)] = ()
    """Who may reach the agent."""
