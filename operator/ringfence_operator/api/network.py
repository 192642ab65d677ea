"""Whom an agent may reach, and who may reach it."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from ringfence_operator.api.domain import AllowedDomains, BlockedDomains
from ringfence_operator.api.model import Items, Model
from ringfence_operator.api.names import Label, Port
from ringfence_operator.api.rule import Rule
from ringfence_operator.api.scheduling import LabelKey, LabelMap


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


# A pattern, though its message helps less than a rule's: so deep down, a rule is past the API server's cost budget.
SelectorValue = Annotated[str, Field(max_length=63, pattern="^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")]


class Requirement(Model):
    """A condition on one label."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!(self.operator in ['In', 'NotIn']) || (has(self.values) && size(self.values) > 0)",
            "In and NotIn compare with values: write at least one",
        ),
        Rule(
            "self.operator in ['In', 'NotIn'] || !has(self.values) || size(self.values) == 0",
            "Exists and DoesNotExist compare with nothing: leave values out",
        ),
    )

    key: LabelKey
    """Key of the label."""

    operator: SelectorOperator
    """How the label is compared."""

    values: Annotated[Items[SelectorValue], Field(max_length=16)] = ()
    """Values to compare with; needed for In and NotIn only."""


class LabelSelector(Model):
    """Selects objects by their labels; an empty one selects all of them."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})

    match_labels: Annotated[LabelMap, Field(max_length=16)] = Field(default_factory=dict)
    """Labels that must all be there, with these values."""

    match_expressions: Annotated[Items[Requirement], Field(max_length=8)] = ()
    """Conditions that must all hold."""


class NetworkPort(Model):
    """A port, or a range of ports."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("!has(self.endPort) || self.endPort >= self.port", "write an endPort that is at least port", ".endPort"),
    )

    port: Port
    """Number of the port, or of the first of the range."""

    end_port: Port | None = None
    """Number of the last port of the range."""

    protocol: NetworkProtocol = NetworkProtocol.TCP
    """TCP, UDP or SCTP."""


Cidr = Annotated[
    str,
    Field(min_length=1, max_length=43),
    Rule("isCIDR(self)", "write an address block, such as 10.1.0.0/16 or fd00::/64"),
    Rule(
        "!isCIDR(self) || string(cidr(self).masked()) == self",
        "write the block's first address and its length in the shortest form, such as 10.1.0.0/16, not 10.1.2.3/16",
    ),
]
Except = Annotated[Items[Cidr], Field(max_length=32)]
_EXCEPT_INSIDE = Rule(
    "!has(self.except) || !has(self.cidr) || !isCIDR(self.cidr) || self.except.all(block, !isCIDR(block)"
    " || (cidr(self.cidr).containsCIDR(block) && cidr(block).prefixLength() > cidr(self.cidr).prefixLength()))",
    "a block is not inside cidr: write smaller blocks that lie in it",
    ".except",
)
_SELECTED = "has(self.namespaceSelector) || has(self.podSelector)"
Ports = Annotated[Items[NetworkPort], Field(max_length=32)]


class ServiceRef(Model):
    """A Service of the cluster, by name."""

    name: Label
    """Name of the Service."""

    namespace: Label | None = None
    """Its namespace; absence means the policy's own."""


class Destination(Model):
    """Pods in the cluster that the agent may open connections to: by selectors, or those behind a Service."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"has(self.service) || {_SELECTED}",
            "write a service, or a namespaceSelector or a podSelector; an empty one, {}, selects all",
        ),
        Rule(
            f"!has(self.service) || !({_SELECTED} || has(self.ports) && size(self.ports) > 0)",
            "a service says which pods and ports: leave selectors and ports out",
        ),
    )

    service: ServiceRef | None = None
    """A Service: its name resolves for the agent, and its ports on the pods behind it are open."""

    namespace_selector: LabelSelector | None = None
    """Namespaces of the pods; an empty selector means all but the operator's, absence the agent's own."""

    pod_selector: LabelSelector | None = None
    """Labels of the pods; absence means all pods of those namespaces."""

    ports: Ports = ()
    """Ports of the pods; none means every port."""


class CidrDestination(Model):
    """Addresses that the agent may open connections to."""

    rules: ClassVar[tuple[Rule, ...]] = (_EXCEPT_INSIDE,)

    cidr: Cidr
    """The address block."""

    except_: Except = Field((), alias="except")
    """Blocks inside it that stay closed."""

    ports: Ports = ()
    """Ports at those addresses; none means every port."""


class IngressSource(Model):
    """Who may open connections to the agent: pods by selectors, or addresses by a block."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(f"has(self.cidr) != ({_SELECTED})", "write either selectors or a cidr"),
        Rule(
            "!has(self.except) || has(self.cidr)", "except takes blocks out of a cidr: write the cidr, too", ".except"
        ),
        _EXCEPT_INSIDE,
    )

    namespace_selector: LabelSelector | None = None
    """Namespaces of the pods; an empty selector means all but the operator's, absence the agent's own."""

    pod_selector: LabelSelector | None = None
    """Labels of the pods; absence means all pods of those namespaces."""

    cidr: Cidr | None = None
    """An address block, instead of selectors."""

    except_: Except = Field((), alias="except")
    """Blocks inside it that stay closed."""


class Ingress(Model):
    """One set of sources and the agent's ports that are open to them."""

    from_: Annotated[Items[IngressSource], Field(min_length=1, max_length=16)] = Field(alias="from")
    """Who may connect."""

    ports: Ports = ()
    """Ports of the agent; none means every port."""


class NetworkMode(StrEnum):
    """What happens to names that are not allowed."""

    ENFORCE = "Enforce"
    AUDIT = "Audit"


_OPENINGS = ("allowedDomains", "destinations", "cidrs", "ingress")


class Network(Model):
    """What of the network the agent may use. Everything that is not named here is closed."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.enabled || " + " && ".join(f"(!has(self.{it}) || size(self.{it}) == 0)" for it in _OPENINGS),
            "enabled: false closes the network: leave out allowedDomains, destinations, cidrs and ingress, "
            "or write enabled: true",
            ".enabled",
        ),
        Rule(
            "self.enabled || self.mode == 'Enforce'",
            "enabled: false closes the network, mode: Audit opens it: write one of them",
            ".mode",
        ),
    )

    enabled: bool = True
    """False closes the network altogether."""

    mode: NetworkMode = NetworkMode.ENFORCE
    """Enforce refuses names that are not allowed. Audit lets every name through and reports what would be refused, so
    that an allowlist can be written from what was seen; destinations and cidrs are enforced all the same."""

    allowed_domains: AllowedDomains = ()
    """Names that the agent may reach through the egress gateway."""

    blocked_domains: BlockedDomains = ()
    """Names that stay closed whatever allowedDomains says."""

    destinations: Annotated[Items[Destination], Field(max_length=32)] = ()
    """Pods in the cluster that the agent may reach."""

    cidrs: Annotated[Items[CidrDestination], Field(max_length=32)] = ()
    """Addresses that the agent may reach."""

    ingress: Annotated[Items[Ingress], Field(max_length=16)] = ()
    """Who may reach the agent."""
