"""Which names a policy really opens, once its blocks have been taken out."""

from collections.abc import Collection

import idna

from ringfence_operator.api.network import NetworkMode
from ringfence_operator.api.security_policy import SecurityPolicy
from ringfence_operator.resources.port_set import DEFAULT_PORTS, Domain


def uses_names(policy: SecurityPolicy) -> bool:
    """Return True if agents under `policy` reach anything by name, and so need the gateway."""
    network = policy.spec.network
    has_services = any(each.service for each in network.destinations)
    return network.enabled and bool(network.allowed_domains or has_services or network.mode is NetworkMode.AUDIT)


def blocked_domains(policy: SecurityPolicy) -> tuple[Domain, ...]:
    """Return what `policy` blocks, by name."""
    given = policy.spec.network.blocked_domains
    return tuple(sorted((Domain(each.name, tuple(sorted(each.ports))) for each in given), key=lambda each: each.name))


def allowed_domains(policy: SecurityPolicy) -> tuple[Domain, ...]:
    """Return what `policy` allows, by name, each with its ports; what a block covers whole is left out."""
    blocks = blocked_domains(policy)
    found = []
    for each in sorted(policy.spec.network.allowed_domains, key=lambda each: each.name):
        ports = tuple(port for port in sorted(each.ports or DEFAULT_PORTS) if not _is_blocked(each.name, port, blocks))
        if ports:
            found.append(Domain(each.name, ports))
    return tuple(found)


def _is_blocked(name: str, port: int, blocks: tuple[Domain, ...]) -> bool:
    return any(block.covers(name) and (not block.ports or port in block.ports) for block in blocks)


def further_ports(allowed: tuple[Domain, ...]) -> tuple[int, ...]:
    """Return the ports besides 80 and 443, in order."""
    return tuple(sorted({port for each in allowed for port in each.ports} - set(DEFAULT_PORTS)))


def on_ports(allowed: tuple[Domain, ...], ports: Collection[int]) -> tuple[Domain, ...]:
    """Return what of `allowed` is reached on the usual ports and on `ports`."""
    open_ports = {*DEFAULT_PORTS, *ports}
    kept = (Domain(each.name, tuple(port for port in each.ports if port in open_ports)) for each in allowed)
    return tuple(each for each in kept if each.ports)


def invalid_domains(policy: SecurityPolicy) -> list[str]:
    """Return the names whose `xn--` labels stand for nothing (RFC 5891)."""
    network = policy.spec.network
    names = [each.name for each in network.allowed_domains] + [each.name for each in network.blocked_domains]
    return [name for name in names if not all(map(_is_valid, name.split(".")))]


def _is_valid(label: str) -> bool:
    if not label.startswith("xn--"):
        return True
    try:
        return idna.encode(idna.decode(label)).decode() == label
    except idna.IDNAError:
        return False
