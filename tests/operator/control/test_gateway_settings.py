from ipaddress import ip_address, ip_network

import pytest

from ringfence_operator.control.gateway import GatewaySettings, Proxy, collapsed, proxy_of
from ringfence_operator.resources.public import NOT_PUBLIC, PUBLIC

CLOSED = """
10.0.0.1 100.64.0.1 127.0.0.1 169.254.169.254 172.16.0.1 192.168.1.1 0.0.0.0 224.0.0.1 255.255.255.255
:: ::1 ::ffff:8.8.8.8 64:ff9b::808:808 fc00::1 fd00:ec2::254 fe80::1 ff02::1 2002:a00:1::1 2001::1 fec0::1
"""


def is_open(address: str) -> bool:
    found = ip_address(address)

    def lies_in(cidrs: tuple[str, ...]) -> bool:
        return any(found in ip_network(each) for each in cidrs)

    return lies_in(PUBLIC) and not lies_in(NOT_PUBLIC)


@pytest.mark.parametrize("address", ["8.8.8.8", "203.0.113.10", "198.51.100.10", "2001:db8::10", "2606:4700::1111"])
def test_public_addresses_are_open(address: str) -> None:
    assert is_open(address)


@pytest.mark.parametrize("address", CLOSED.split())
def test_addresses_that_could_lead_inside_are_closed(address: str) -> None:
    assert not is_open(address)


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://p.example:3128", Proxy(host="p.example", port=3128, is_tls=False, credentials=None)),
        ("https://p.example", Proxy(host="p.example", port=443, is_tls=True, credentials=None)),
        ("http://u:p%40ss@10.0.0.1", Proxy(host="10.0.0.1", port=80, is_tls=False, credentials="u:p@ss")),
    ],
)
def test_a_proxy_is_read_from_its_url(url: str, proxy: Proxy) -> None:
    assert proxy_of(url) == proxy


@pytest.mark.parametrize("url", ["socks5://p.example", "p.example:3128", "http://"])
def test_what_is_no_proxy_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="is no http:// or https:// address"):
        proxy_of(url)


def test_settings_keep_what_the_responder_is_to_have() -> None:
    wire = {"kind": "settings", "reserved": ["10.0.0.0/8"], "resolvers": ["192.0.2.1"], "upstreamProxy": None}

    settings = GatewaySettings.from_wire({**wire, "upstreamProxyAuthority": None, "clusterDomain": "c.local"})

    assert (settings.reserved, settings.resolvers, settings.cluster_domain) == (
        ("10.0.0.0/8",),
        ("192.0.2.1",),
        "c.local",
    )
    assert settings.wire["resolvers"] == ["192.0.2.1"]


def test_reserved_ranges_are_as_few_as_can_be() -> None:
    found = collapsed(["10.0.0.0/8", "10.1.0.0/16", "2001:db8::/33", "2001:db8:8000::/33"])

    assert [str(each) for each in found] == ["10.0.0.0/8", "2001:db8::/32"]
