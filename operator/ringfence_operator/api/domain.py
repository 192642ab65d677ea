"""Names of the outside that an agent may reach, or may not."""

from typing import Annotated, ClassVar

from pydantic import Field

from ringfence_operator.api.model import Items, Model
from ringfence_operator.api.names import Port
from ringfence_operator.api.rule import ListMap, Rule

_LABEL = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_FORM = f"^([*][.])?({_LABEL}[.])+[a-z]([-a-z0-9]{{0,61}}[a-z0-9])?$"
_CLUSTER = "[.](svc|cluster[.]local)$"

# Asked in this order, so that of several mistakes the first to mend is told.
_ADVICE = (
    ("isIP(self) || self.matches('^[0-9.]+$')", "'an address has no name to check: write it under network.cidrs'"),
    ("self.contains('/')", "'write the name alone, without scheme and path, such as api.example.com'"),
    ("self.matches(':[0-9]+$')", "'write the port under ports, such as {name: api.example.com, ports: [8443]}'"),
    ("self != self.lowerAscii()", "'write it in lower case: ' + self.lowerAscii()"),
    ("self.endsWith('.')", "'write it without the dot at its end: ' + self.substring(0, size(self) - 1)"),
    (
        "self.matches('^[*][^.]|.[*]')",
        "'a wildcard stands first and for whole labels: write *.example.com for every name below example.com'",
    ),
    (
        "!self.contains('.') || self == '*.'",
        "'write the whole name, such as api.example.com; to learn which names are asked for, write mode: Audit'",
    ),
    (
        f"self.matches('{_CLUSTER}')",
        "'a name of the cluster is a Service: write network.destinations with service: {name: db, namespace: data}'",
    ),
)


def _advice() -> str:
    rest = "'write letters a-z, digits, - and dots, such as api.example.com; other letters in their xn-- form'"
    for condition, text in reversed(_ADVICE):
        rest = f"{condition} ? {text} : {rest}"
    return rest


DomainName = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Rule(
        f"self.matches('{_FORM}') && !self.matches('{_CLUSTER}')",
        "write a name such as api.example.com, or *.example.com for every name below example.com",
        message_expression=_advice(),
    ),
]

# Where TLS begins inside another protocol, if at all. Not 5432 and 1433: PostgreSQL and SQL Server can begin with TLS.
_NAMELESS = "21, 22, 23, 25, 53, 110, 143, 389, 587, 3128, 3306, 5222"
_CHECKABLE = Rule(
    f"!has(self.ports) || self.ports.all(port, !(port in [{_NAMELESS}]))",
    f"on ports {_NAMELESS} nothing says the name, so it cannot be checked: reach such a server by its address, "
    "under network.cidrs",
    ".ports",
)
_PORTS = Field(max_length=8)


class AllowedDomain(Model):
    """A name that agents may reach, or with `*.` every name below one, at every depth, but not that one itself."""

    rules: ClassVar[tuple[Rule, ...]] = (_CHECKABLE,)

    name: DomainName
    """The name in lower case, such as api.example.com. `*.example.com` covers a.example.com and b.a.example.com, but
    not example.com itself."""

    ports: Annotated[Items[Port], _PORTS] = ()
    """Ports; none means 80 and 443. Port 80 carries HTTP, all others TLS in which the client says the name (SNI). All
    names of a policy together may use 12 other ports."""


class BlockedDomain(Model):
    """A name that agents may not reach, although a wildcard covers it; `*.` blocks every name below one."""

    name: DomainName
    """The name in lower case, or `*.` and a name for all below that."""

    ports: Annotated[Items[Port], _PORTS] = ()
    """Ports; none means all of them."""


AllowedDomains = Annotated[Items[AllowedDomain], Field(max_length=512), ListMap(("name",))]
BlockedDomains = Annotated[Items[BlockedDomain], Field(max_length=512), ListMap(("name",))]
