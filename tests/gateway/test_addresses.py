from ipaddress import ip_address, ip_network

import pytest

from ringfence_gateway.addresses import is_public, public_of


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
