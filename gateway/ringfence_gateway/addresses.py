"""Which addresses a name may lead Envoy to: public ones, and nothing that stands for another network (pure)."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from ringfence_gateway.port_set import Address, Network

# IANA's special-purpose registry without the documentation networks: nothing is reached there, and they stand for the
# Internet in the tests. Whoever routes them inside names them in `reserved`.
_CLOSED_IPV4 = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
)
# Only global unicast is open, which leaves out unspecified, loopback, IPv4-mapped and -compatible, NAT64, unique local,
# link-local and multicast; and of it not what carries an IPv4 address (Teredo in 2001::/23, 6to4).
_OPEN_IPV6 = IPv6Network("2000::/3")
_CLOSED_IPV6 = ("2001::/23", "2002::/16")

CLOSED: tuple[Network, ...] = tuple(ip_network(each) for each in (*_CLOSED_IPV4, *_CLOSED_IPV6))


def is_public(address: Address, *, reserved: Iterable[Network] = ()) -> bool:
    """Return True if Envoy may connect to `address` because of a name."""
    if address.version == 6 and address not in _OPEN_IPV6:  # noqa: PLR2004
        return False
    return not any(_holds(network, address) for network in (*CLOSED, *reserved))


def public_of(texts: Iterable[str], *, reserved: Iterable[Network] = ()) -> list[str]:
    """Return those of the addresses that are public."""
    closed = tuple(reserved)
    return [text for text in texts if is_public(ip_address(text), reserved=closed)]


def _holds(network: Network, address: Address) -> bool:
    if isinstance(network, IPv4Network):
        return address.version == 4 and address in network  # noqa: PLR2004
    return address.version == 6 and address in network  # noqa: PLR2004
