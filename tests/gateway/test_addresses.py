from collections.abc import Iterable
from ipaddress import ip_address, ip_network

import pytest

from ringfence_gateway.addresses import CLOSED, is_public, public_of
from ringfence_operator.resources.gateway import build_gateway_egress
from ringfence_operator.resources.public import NOT_PUBLIC, PUBLIC


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:8.8.8.8",
        "::ffff:10.0.0.1",
        "::8.8.8.8",
        "64:ff9b::8.8.8.8",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:0:a00:1::",
        "2001:10::1",
        "2002:a00:1::1",
        "2002:808:808::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "5f00::1",
    ],
)
def test_no_name_leads_to_an_address_that_is_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize(
    "text", ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "223.255.255.255", "2606:4700::1111", "2a00:1450::1"]
)
def test_public_addresses_are_left(text: str) -> None:
    assert is_public(ip_address(text))


def test_reserved_networks_are_closed_too_each_to_its_own_family() -> None:
    reserved = [ip_network("8.8.0.0/16"), ip_network("2a00::/16")]

    left = public_of(["8.8.8.8", "1.1.1.1", "2a00::1", "2606:4700::1", "10.0.0.1"], reserved=reserved)

    assert left == ["1.1.1.1", "2606:4700::1"]


def edges(cidr: str) -> set[str]:
    """Return the first and last address of a network, and the ones beside it."""
    network = ip_network(cidr)
    first, last = int(network.network_address), int(network.broadcast_address)
    most = 2**network.max_prefixlen - 1
    kind = type(network.network_address)
    return {str(kind(each)) for each in (first - 1, first, last, last + 1) if 0 <= each <= most}


@pytest.mark.parametrize("text", sorted(set().union(*map(edges, (*map(str, CLOSED), *PUBLIC, *NOT_PUBLIC)))))
def test_resolver_envoy_and_network_policy_close_the_same(text: str) -> None:
    address = ip_address(text)
    egress = build_gateway_egress("ringfence-system", [], [])["spec"]["egress"][0]["to"]
    blocks = [each["ipBlock"] for each in egress]

    def lies_in(cidrs: Iterable[str]) -> bool:
        return any(address in ip_network(each) for each in cidrs)

    of_envoy = lies_in(PUBLIC) and not lies_in(NOT_PUBLIC)
    of_policy = any(lies_in([each["cidr"]]) and not lies_in(each["except"]) for each in blocks)
    assert is_public(address) == of_envoy == of_policy
