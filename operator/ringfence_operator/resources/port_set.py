"""A port set on the egress gateway: what the operator hands to the control process, and nothing else."""

from dataclasses import dataclass, field
from typing import Any

FIRST_PORT = 10_000
PORTS = 16
BLOCKS = 1_875
DNS, HTTP, TLS, FURTHER = 0, 1, 2, 3
"""Offsets from the first port of a block."""
MOST_FURTHER = 12
PROXY_PORT = 3128
HTTP_PORT, TLS_PORT, DNS_PORT = 80, 443, 53
DEFAULT_PORTS = (HTTP_PORT, TLS_PORT)


def first_port(block: int) -> int:
    """Return the first of the block's ports on the gateway's pods."""
    return FIRST_PORT + PORTS * block


def block_name(block: int) -> str:
    """Return the name of the block, which is the name of its Service, and of its resources in Envoy."""
    return f"p-{block:05}"


_CONNECTOR = "Connector/"
"""No namespace begins so: it tells connectors from policies."""


def connector_holder(namespace: str, name: str) -> str:
    """Return what a port set of a connector says whose it is."""
    return f"{_CONNECTOR}{namespace}/{name}"


def connector_of(holder: str) -> tuple[str, str] | None:
    """Return namespace and name of the connector that a port set is of, None if it is a policy's."""
    if not holder.startswith(_CONNECTOR):
        return None
    namespace, _, name = holder.removeprefix(_CONNECTOR).partition("/")
    return namespace, name


@dataclass(frozen=True, slots=True)
class Domain:
    """A name or a wildcard (`*.` and a suffix: every depth below it, not itself), and ports; none means all."""

    name: str
    ports: tuple[int, ...] = ()

    @property
    def is_wildcard(self) -> bool:
        """True if it stands for the names below one."""
        return self.name.startswith("*.")

    def covers(self, name: str) -> bool:
        """Return True if `name`, exact or a wildcard itself, lies in it."""
        return name == self.name or (self.is_wildcard and name.endswith(self.name[1:]) and name != self.name[2:])


@dataclass(frozen=True, slots=True)
class Listener:
    """A TCP port of a connector's port set, which leads to one host and port and nowhere else."""

    offset: int
    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """What a connector's port set opens: CONNECT to the allowed names, for who shows the credential, and listeners."""

    authorization: str = field(repr=False)
    """What Proxy-Authorization has to be, whole."""
    listeners: tuple[Listener, ...] = ()

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form."""
        listeners = [[each.offset, each.host, each.port] for each in self.listeners]
        return {"authorization": self.authorization, "listeners": listeners}

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> "Doors":
        """Return what `to_wire` made `wire` of. Raises KeyError, TypeError or ValueError."""
        if not wire["authorization"]:
            raise ValueError("a connector's port set without a credential would be open to everybody")
        listeners = tuple(Listener(int(offset), str(host), int(port)) for offset, host, port in wire["listeners"])
        return cls(authorization=str(wire["authorization"]), listeners=listeners)


@dataclass(frozen=True, slots=True, kw_only=True)
class PortSet:
    """One policy's port set, or one connector's. `address` is its Service's; `version` tells its contents apart."""

    block: int
    policy: str
    """Namespace, a slash, and name; of a connector, as `connector_holder` has it."""
    version: str
    address: str
    is_audit: bool
    allowed: tuple[Domain, ...]
    """Each with its ports; nothing that a block covers whole."""
    blocked: tuple[Domain, ...]
    services: dict[str, str]
    """In-cluster names that the policy's DNS answers: `name.namespace` → address."""
    further: dict[int, int]
    """Further TLS ports → offset in the block."""
    is_metered: bool = False
    """True if what its agents move has to be counted, agent by agent."""
    doors: Doors | None = None
    """Only for a connector's: then nothing is answered for by DNS, and nothing else is open."""

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form."""
        doors = {"doors": self.doors.to_wire()} if self.doors else {}
        # Said only where it is so: what has not changed is not to look as if it had, to an operator that is newer.
        metered = {"metered": True} if self.is_metered else {}
        return {
            **doors,
            **metered,
            "block": self.block,
            "policy": self.policy,
            "version": self.version,
            "address": self.address,
            "audit": self.is_audit,
            "allowed": [[each.name, list(each.ports)] for each in self.allowed],
            "blocked": [[each.name, list(each.ports)] for each in self.blocked],
            "services": self.services,
            "further": {str(port): offset for port, offset in self.further.items()},
        }

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> "PortSet":
        """Return the port set that `to_wire` made `wire` of. Raises KeyError, TypeError or ValueError."""
        return cls(
            block=int(wire["block"]),
            policy=wire["policy"],
            version=wire["version"],
            address=wire["address"],
            is_audit=bool(wire["audit"]),
            allowed=tuple(Domain(name, tuple(ports)) for name, ports in wire["allowed"]),
            blocked=tuple(Domain(name, tuple(ports)) for name, ports in wire["blocked"]),
            services=dict(wire["services"]),
            further={int(port): offset for port, offset in wire["further"].items()},
            is_metered=bool(wire.get("metered")),
            doors=Doors.from_wire(wire["doors"]) if "doors" in wire else None,
        )
