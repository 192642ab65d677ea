"""Addresses that no SecurityPolicy can open by CIDR: the cluster's own, and those that mean this node or its cloud."""

from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address, ip_network

from ringfence_operator.resources.observed import Node

Network = IPv4Network | IPv6Network
ALWAYS = ("127.0.0.0/8", "169.254.0.0/16", "::1/128", "fe80::/10", "fd00:ec2::254/128")
"""Loopback, link-local (with the metadata services of the clouds), and AWS's metadata service on IPv6."""


@lru_cache(maxsize=4096)
def _network(cidr: str) -> Network:
    return ip_network(cidr, strict=False)


def _contains(outer: Network, inner: Network) -> bool:
    return outer.version == inner.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def _collapsed(cidrs: Iterable[str]) -> list[Network]:
    networks = [_network(cidr) for cidr in cidrs]
    four = [each for each in networks if isinstance(each, IPv4Network)]
    six = [each for each in networks if isinstance(each, IPv6Network)]
    return [*collapse_addresses(four), *collapse_addresses(six)]


PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
"""Where pods' addresses may be, when nothing says where they are."""


def reserved_cidrs(nodes: Collection[Node], *, pods: Sequence[str], others: Iterable[str]) -> list[str]:
    """Return the CIDRs that no policy opens, collapsed: the nodes', the pods', `others` and those of `ALWAYS`.

    `pods` are the pods' CIDRs where the nodes do not name them, as with some network plug-ins; where neither does,
    all private addresses are taken for theirs.
    """
    found = [*ALWAYS, *pods, *others]
    for node in nodes:
        found += node.pod_cidrs
        found += [host_cidr(address) for address in node.addresses]
    if not pods and not all(node.pod_cidrs for node in nodes):
        found += PRIVATE
    return [str(each) for each in _collapsed(found)]


def host_cidr(address: str) -> str:
    """Return the CIDR of one address."""
    return f"{address}/{ip_address(address).max_prefixlen}"


def is_reserved(cidr: str, reserved: Sequence[str]) -> bool:
    """Return True if the whole of `cidr` is reserved, so that nothing of it could be opened."""
    return any(_contains(_network(each), _network(cidr)) for each in reserved)


def remainder(cidr: str, holes: Iterable[str]) -> list[str]:
    """Return `cidr` without `holes`, as CIDRs."""
    holes = list(holes)
    if is_reserved(cidr, holes):
        return []
    left = [_network(cidr)]
    for hole in map(_network, exceptions(cidr, holes)):
        left = [part for each in left for part in (_excluding(each, hole) if _contains(each, hole) else [each])]
    return [str(each) for each in sorted(left, key=lambda it: it.network_address.packed)]


def _excluding(whole: Network, hole: Network) -> Iterable[Network]:
    return whole.address_exclude(hole)  # type: ignore[arg-type]


def exceptions(cidr: str, cidrs: Iterable[str]) -> list[str]:
    """Return those of `cidrs` that lie inside `cidr`, collapsed and in order: what an ipBlock has to leave out."""
    whole = _network(cidr)
    return [str(each) for each in _collapsed(each for each in cidrs if _contains(whole, _network(each)))]
