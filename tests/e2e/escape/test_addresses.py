"""Addresses instead of names: nothing answers but the policy's own port set."""

import pytest

from tests.e2e.doors import doors_of, knocks, listening_agent, opened
from tests.e2e.escape.seats import Outside, Seats, fetched, is_refused
from tests.e2e.escape.ways import Way, http, proxied, tls, tunnel
from tests.e2e.world import World

ADDRESSES = ("203.0.113.11", "198.51.100.12", "2001:db8::12")
TARGET = "203.0.113.12"
LITERALS = {
    "dotted": TARGET,
    "decimal": "3405803788",
    "hexadecimal": "0xcb00710c",
    "octal": "0313.0.0161.014",
    "two parts": "203.28940",
    "IPv6": "[2001:db8::12]",
    "IPv4-mapped": f"[::ffff:{TARGET}]",
    "IPv4-mapped, in hexadecimal": "[::ffff:cb00:710c]",
}
"""Ways to write an address that programs take for one."""
PRIVATE_LITERALS = (
    *("10.66.0.1", "172097537", "0x0a420001", "012.0102.0.1", "10.4325377", "10.66.1", "0xa.66.0.01"),
    *("[::ffff:10.66.0.1]", "[::ffff:a42:1]", "[fd66::1]", "[64:ff9b::a42:1]"),
)
"""The same, for addresses inside at which something answers."""
NEIGHBOURS = {
    "TLS by SNI": tls("shop.cdn.test", sni="neighbour.cdn.test"),
    "TLS at the address itself": tls("203.0.113.20", sni="neighbour.cdn.test"),
    "HTTP by Host": http("shop.cdn.test", name="neighbour.cdn.test"),
    "HTTP through the proxy": proxied("http://neighbour.cdn.test/", "shop.cdn.test"),
    "CONNECT": tunnel("neighbour.cdn.test:443"),
    "another SNI inside CONNECT": tunnel("shop.cdn.test:443", sni="neighbour.cdn.test"),
}


@pytest.mark.parametrize("port", [80, 443, 853, 8080, 8443])
@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_is_shut_on_every_port(seats: Seats, outside: Outside, address: str, port: int) -> None:
    way = http(address, port=port) if port in {80, 8080} else tls(address, port=port, sni="api.test")

    (refused,) = fetched(seats.narrow, way)
    visited = outside.visited(*seats.narrow.ips())
    (shown,) = fetched(seats.wide, way)

    assert shown["server"] == address
    assert is_refused(refused), refused
    assert visited == []


def test_an_allowed_names_address_is_shut_for_its_own_name_and_for_others(seats: Seats, outside: Outside) -> None:
    ways = [tls("203.0.113.11", sni=name) for name in ("api.test", "web.example")]

    refused = fetched(seats.narrow, *ways)
    visited = outside.visited(*seats.narrow.ips())
    shown = fetched(seats.wide, *ways)

    assert [each["server"] for each in shown] == ["203.0.113.11"] * 2
    assert all(map(is_refused, refused)), refused
    assert visited == []


@pytest.mark.parametrize("way", NEIGHBOURS.values(), ids=NEIGHBOURS)
def test_a_neighbour_on_the_address_of_an_allowed_name_is_shut(seats: Seats, outside: Outside, way: Way) -> None:
    (refused,) = fetched(seats.narrow, way)
    visited = outside.visited("203.0.113.20", "neighbour.cdn.test")
    (shown,) = fetched(seats.wide, way)

    assert shown["server"] == "203.0.113.20"
    assert is_refused(refused), refused
    assert visited == []


@pytest.mark.parametrize("literal", LITERALS.values(), ids=LITERALS)
def test_an_address_is_no_name_however_it_is_written(seats: Seats, outside: Outside, literal: str) -> None:
    ways = [
        tunnel(f"{literal}:443", sni="files.test"),
        tunnel(f"{literal}:443", sni=None),
        proxied(f"http://{literal}/", literal),
        proxied(f"http://{literal}/", "api.test"),
        http("api.test", name=literal),
    ]

    by_name = [tunnel("api.test:443"), proxied("http://api.test/", "api.test"), http("api.test")]

    found = [fetched(seat, *by_name, *ways) for seat in (seats.narrow, seats.wide)]
    shown, refused = ([each for seat in found for each in seat[part]] for part in (slice(3), slice(3, None)))
    visited = outside.visited(TARGET, "2001:db8::12")
    (direct,) = fetched(seats.free, tls(literal.strip("[]"), sni="files.test"))

    assert [each["server"] for each in shown] == ["203.0.113.11"] * 6
    assert direct["server"] in {TARGET, "2001:db8::12"}
    assert [each["refused"] for each in refused] == [403] * len(refused)
    assert visited == []


def test_an_address_is_no_name_where_every_name_is_let_through_either(world: World) -> None:
    policy = world.policy("audit", network={"mode": "Audit"})
    agent = world.agent(securityPolicyRef={"name": policy})
    agent.until_ready()
    literals = (*LITERALS.values(), *PRIVATE_LITERALS)
    ways = [way for each in literals for way in (tunnel(f"{each}:443", sni=None), proxied(f"http://{each}/", each))]

    refused = fetched(agent.pod, *ways)
    shown = fetched(agent.pod, tunnel("web.example:443"), proxied("http://web.example/", "web.example"))

    assert [each["server"] for each in shown] == ["198.51.100.12"] * 2
    assert [each["refused"] for each in refused] == [403] * len(ways)


def test_another_agents_pod_is_shut(world: World) -> None:
    admitting = world.policy("admitting", network={"ingress": [{"from": [{"podSelector": {}}]}]})
    listener = listening_agent(world, securityPolicyRef={"name": admitting})
    opening = world.policy("opening", network={"destinations": [{"podSelector": {}}]})
    names = world.policy("names", network={"allowedDomains": [{"name": "api.test"}]})
    friend, attacker = (
        world.agent(name, securityPolicyRef={"name": name_of})
        for name, name_of in (("friend", opening), ("attacker", names))
    )
    for agent in (friend, attacker):
        agent.until_ready()
    doors = doors_of("listener", listener.pod, 8080, 9090)

    reached = opened(attacker.pod, doors)
    reached_by_friend = opened(friend.pod, doors)

    assert reached_by_friend == set(doors)
    assert reached == set(), knocks(attacker.pod, doors)
