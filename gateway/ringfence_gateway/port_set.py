"""What the control process says: one port set for each policy, and the settings for all of them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from ringfence_gateway.names import DEFAULT_CLUSTER_DOMAIN, NameList, Verdict, is_allowed, normalize, service_names

FIRST_PORT = 10_000
PORTS = 16
BLOCKS = 1_875
TLS = 2
"""Offset from the first port of a block."""
_NAME = re.compile(r"p-([0-9]{5})")

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def first_port(block: int) -> int:
    """Return the first of the block's ports, which is its DNS port."""
    return FIRST_PORT + PORTS * block


def block_name(block: int) -> str:
    """Return the name of the block's resources."""
    return f"p-{block:05}"


def block_of(name: str) -> int | None:
    """Return the block of the port set `name`, such as `p-00017`, or None if it is not one's name."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found and int(found[1]) < BLOCKS else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PortSet:
    """One policy's port set, as far as this process serves it."""

    block: int
    policy: str
    """Namespace, a slash, and name."""
    address: Address
    """What allowed names resolve to: the address of the policy's Service."""
    is_audit: bool
    allowed: NameList
    blocked: NameList
    services: Mapping[str, Address]
    """`name.namespace` → address."""
    tls_ports: Mapping[int, int]
    """Offset in the block → port that it serves TLS for."""

    @classmethod
    def from_json(cls, text: bytes) -> "PortSet":
        """Return the port set that the control process sent. Raises ValueError saying what is wrong."""
        try:
            wire = json.loads(text)
            block = int(wire["block"])
            if not 0 <= block < BLOCKS:
                raise ValueError(f"block {block} is not below {BLOCKS}")
            return cls(
                block=block,
                policy=str(wire["policy"]),
                address=ip_address(wire["address"]),
                is_audit=bool(wire["audit"]),
                allowed=NameList.of(wire["allowed"]),
                blocked=NameList.of(wire["blocked"]),
                services={_service(name): ip_address(address) for name, address in wire["services"].items()},
                tls_ports={TLS: 443} | {int(offset): int(port) for port, offset in wire["further"].items()},
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a port set: {error!r}") from error

    @property
    def namespace(self) -> str:
        """Return the policy's namespace."""
        return self.policy.partition("/")[0]

    def judge(self, name: str, port: int | None = None) -> Verdict:
        """Return what becomes of a request for the normalized `name` on `port`, None: of a look-up of it."""
        if is_allowed(name, allowed=self.allowed, blocked=self.blocked, port=port):
            return Verdict.ALLOWED
        return Verdict.AUDITED if self.is_audit else Verdict.DENIED

    def service_addresses(self, cluster_domain: str) -> dict[str, Address]:
        """Return the address of each name that an in-cluster service has for the policy's pods."""
        return {
            name: address
            for service, address in self.services.items()
            for name in service_names(service, namespace=self.namespace, cluster_domain=cluster_domain)
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What holds for all port sets."""

    reserved: tuple[Network, ...] = ()
    """Addresses that no name may resolve to, besides those that are private anyway."""
    resolvers: tuple[str, ...] = ()
    """Addresses of DNS servers; none means the pod's own."""
    cluster_domain: str = DEFAULT_CLUSTER_DOMAIN

    @classmethod
    def from_json(cls, text: bytes) -> "Settings":
        """Return the settings that the control process sent. Raises ValueError saying what is wrong."""
        try:
            wire: dict[str, Any] = json.loads(text)
            domain = normalize(wire.get("clusterDomain") or DEFAULT_CLUSTER_DOMAIN)
            if domain is None:
                raise ValueError(f"clusterDomain {wire['clusterDomain']!r} is no DNS name")
            return cls(
                reserved=tuple(ip_network(cidr, strict=False) for cidr in wire["reserved"]),
                resolvers=tuple(str(ip_address(address)) for address in wire["resolvers"]),
                cluster_domain=domain,
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not settings: {error!r}") from error


def _service(text: str) -> str:
    name = normalize(text)
    if name is None or name.count(".") != 1:
        raise ValueError(f"service {text!r} is not name.namespace")
    return name
