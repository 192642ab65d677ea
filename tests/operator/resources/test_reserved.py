from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence_operator.resources.observed import observe_node
from ringfence_operator.resources.reserved import (
    ALWAYS,
    PRIVATE,
    exceptions,
    host_cidr,
    is_reserved,
    remainder,
    reserved_cidrs,
)
from tests.operator.resources.objects import node_body

Network = IPv4Network | IPv6Network


def small_networks(family: int) -> st.SearchStrategy[str]:
    """Networks of at most 64 addresses, so close together that they overlap often."""
    bits = 32 if family == 4 else 128
    base = int(ip_address("198.51.100.0" if family == 4 else "2001:db8::"))
    kind = IPv4Network if family == 4 else IPv6Network

    def network(offset: int, length: int) -> str:
        return str(kind((base + offset, bits - length), strict=False))

    return st.builds(network, st.integers(0, 63), st.integers(0, 6))


def addresses(cidrs: list[str]) -> set[str]:
    return {str(address) for cidr in cidrs for address in ip_network(cidr)}


@pytest.mark.parametrize("family", [4, 6])
@given(data=st.data())
def test_what_is_opened_is_the_cidr_without_everything_reserved_and_excepted(family: int, data: st.DataObject) -> None:
    networks = small_networks(family)
    cidr = data.draw(networks)
    inside = networks.filter(lambda it: addresses([it]) <= addresses([cidr]))
    given_exceptions = data.draw(st.lists(inside, max_size=4))
    reserved = data.draw(st.lists(networks, max_size=4))

    opened = set() if is_reserved(cidr, reserved) else addresses([cidr])
    opened -= addresses(exceptions(cidr, [*given_exceptions, *reserved]))

    assert opened == addresses([cidr]) - addresses(given_exceptions) - addresses(reserved)


@pytest.mark.parametrize("family", [4, 6])
@given(data=st.data())
def test_a_remainder_is_the_cidr_without_its_holes(family: int, data: st.DataObject) -> None:
    networks = small_networks(family)
    cidr, holes = data.draw(networks), data.draw(st.lists(networks, max_size=4))

    assert addresses(remainder(cidr, holes)) == addresses([cidr]) - addresses(holes)


@given(cidr=small_networks(4), reserved=st.lists(small_networks(4), max_size=6))
def test_a_cidr_is_reserved_if_no_address_of_it_is_left(cidr: str, reserved: list[str]) -> None:
    collapsed = reserved_cidrs([], pods=[], others=reserved)

    assert is_reserved(cidr, collapsed) is (addresses([cidr]) <= addresses(reserved))


@given(cidr=small_networks(4), cidrs=st.lists(small_networks(4), max_size=6))
def test_exceptions_lie_inside_the_cidr_in_order_and_do_not_overlap(cidr: str, cidrs: list[str]) -> None:
    found = [IPv4Network(each) for each in exceptions(cidr, cidrs)]

    assert all(each.subnet_of(IPv4Network(cidr)) for each in found)
    assert found == sorted(found)
    assert not any(one.overlaps(other) for one, other in pairwise(found))


@pytest.mark.parametrize(
    ("cidr", "cidrs", "expected"),
    [
        ("10.0.0.0/8", [], []),
        ("10.0.0.0/8", ["10.1.0.0/16"], ["10.1.0.0/16"]),
        ("10.0.0.0/8", ["10.1.0.0/17", "10.1.128.0/17"], ["10.1.0.0/16"]),
        ("10.0.0.0/8", ["10.1.0.0/16", "10.1.2.0/24"], ["10.1.0.0/16"]),
        ("10.0.0.0/8", ["11.0.0.0/8", "0.0.0.0/0"], []),
        ("10.0.0.0/8", ["2001:db8::/32"], []),
        ("2001:db8::/32", ["2001:db8:1::/48", "10.0.0.0/8"], ["2001:db8:1::/48"]),
        ("::/0", ["fe80::/10", "::1/128"], ["::1/128", "fe80::/10"]),
        ("10.0.0.7/32", ["10.0.0.7/32"], ["10.0.0.7/32"]),
    ],
)
def test_exceptions_are_collapsed(cidr: str, cidrs: list[str], expected: list[str]) -> None:
    assert exceptions(cidr, cidrs) == expected


@pytest.mark.parametrize(
    ("cidr", "expected"),
    [
        ("169.254.169.254/32", True),
        ("169.254.0.0/16", True),
        ("169.254.0.0/15", False),
        ("127.0.0.1/32", True),
        ("::1/128", True),
        ("fe80::/10", True),
        ("fe80::/9", False),
        ("fd00:ec2::254/128", True),
        ("0.0.0.0/0", False),
        ("::/0", False),
        ("198.51.100.0/24", False),
    ],
)
def test_loopback_link_local_and_metadata_addresses_are_reserved_always(cidr: str, expected: bool) -> None:
    assert is_reserved(cidr, ALWAYS) is expected


@pytest.mark.parametrize("cidr", ["0.0.0.0/0", "::/0"])
def test_opening_everything_leaves_every_reserved_address_out(cidr: str) -> None:
    node = observe_node(
        node_body(
            addresses=[
                {"type": "InternalIP", "address": "10.201.0.2"},
                {"type": "InternalIP", "address": "fd52::2"},
                {"type": "Hostname", "address": "n1"},
            ],
            pod_cidrs=["10.244.0.0/24", "fd53::/64"],
        )
    )
    others = ["10.96.0.0/16", "fd54::/112", host_cidr("203.0.113.9"), host_cidr("2001:db8::9"), "192.168.7.0/24"]
    reserved = reserved_cidrs([node], pods=[], others=others)

    left_out = [ip_network(each) for each in exceptions(cidr, reserved)]

    expected = {
        4: [
            "10.201.0.2",
            "10.244.0.0",
            "10.244.0.255",
            "10.96.255.255",
            "203.0.113.9",
            "192.168.7.1",
            "169.254.169.254",
        ],
        6: ["fd52::2", "fd53::1", "fd54::ffff", "2001:db8::9", "::1", "fe80::1", "fd00:ec2::254"],
    }[ip_network(cidr).version]
    assert [each for each in expected if not any(ip_address(each) in network for network in left_out)] == []


def test_reserved_cidrs_are_collapsed_and_in_order() -> None:
    found = reserved_cidrs([], pods=["10.96.0.0/17"], others=["10.96.128.0/17", "10.96.0.1/32", "fe80::/64"])

    assert found == ["10.96.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "::1/128", "fd00:ec2::254/128", "fe80::/10"]


def test_a_setting_with_host_bits_is_taken_as_its_network() -> None:
    assert is_reserved("10.1.2.0/24", reserved_cidrs([], pods=[], others=["10.1.2.3/16"]))


@pytest.mark.parametrize(
    ("node_cidrs", "pods", "is_private_open"),
    [
        ([["10.244.0.0/24"], ["10.244.1.0/24"]], [], True),
        ([["10.244.0.0/24"], []], [], False),
        ([[]], [], False),
        ([[]], ["10.244.0.0/16"], True),
    ],
)
def test_where_nothing_says_which_addresses_are_pods_every_private_one_may_be(
    node_cidrs: list[list[str]], pods: list[str], is_private_open: bool
) -> None:
    nodes = [observe_node(node_body(f"n{place}", pod_cidrs=cidrs)) for place, cidrs in enumerate(node_cidrs)]

    reserved = reserved_cidrs(nodes, pods=pods, others=[])

    assert [cidr for cidr in PRIVATE if not is_reserved(cidr, reserved)] == ([*PRIVATE] if is_private_open else [])
    assert is_reserved("10.244.0.7/32", reserved)
