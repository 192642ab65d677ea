"""What comes inside CONNECT is judged as what comes by itself."""

import pytest

from tests.e2e.doors import Doors
from tests.e2e.escape.gateway import OFFSETS, Place, opened_from_ours
from tests.e2e.escape.seats import Outside, Seats, fetched, is_refused
from tests.e2e.escape.ways import Way, http, text, through, tls, tunnel
from tests.e2e.installation import GATEWAY, Installation

FORGED = {"X-Envoy-Original-Dst-Host": "198.51.100.12:443"}
INSIDE = {
    "another SNI": tunnel("api.test:443", sni="web.example"),
    "another SNI, and the address in a header": tunnel("api.test:443", sni="web.example", **FORGED),
    "another Host": through("api.test:80", http("", name="web.example")),
    "another CONNECT": through("api.test:80", tunnel("web.example:443")),
    "another CONNECT in a second one": through("api.test:80", through("api.test:80", tunnel("web.example:443"))),
    "an allowed CONNECT with another SNI": through("api.test:80", tunnel("api.test:443", sni="web.example")),
    "another name": tunnel("web.example:443"),
}
NAMELESS = {
    "no SNI": tunnel("api.test:443", sni=None),
    "plain HTTP": through("api.test:443", http("", name="api.test")),
    "bytes": through("api.test:443", text("SSH-2.0-client\r\n")),
}
TARGETS = ("localhost:443", "localhost:80", "api.test", "api.test:0443")
REQUEST = "GET / HTTP/1.1\r\nHost: api.test\r\n\r\n"


@pytest.mark.parametrize("way", INSIDE.values(), ids=INSIDE)
def test_no_other_name_passes_inside_connect(seats: Seats, outside: Outside, way: Way) -> None:
    (refused,) = fetched(seats.narrow, way)
    visited = outside.visited("198.51.100.12", "web.example")
    (shown,) = fetched(seats.wide, way)

    assert shown["server"] == "198.51.100.12"
    assert refused["refused"] in {"closed", 403}
    assert visited == []


@pytest.mark.parametrize("way", NAMELESS.values(), ids=NAMELESS)
def test_nothing_without_a_name_passes_inside_connect(seats: Seats, outside: Outside, way: Way) -> None:
    by_address = {**way["inside"], "host": "203.0.113.11", "port": 443}

    (refused,) = fetched(seats.narrow, way)
    visited = outside.visited("203.0.113.11")
    also_refused, tunnelled, shown = fetched(seats.wide, way, tunnel("api.test:443"), by_address)

    assert tunnelled["server"] == "203.0.113.11"
    assert not is_refused(shown), shown
    assert [refused, also_refused] == [{"refused": "closed"}] * 2
    assert visited == []


def test_a_header_does_not_lead_a_tunnel_elsewhere(seats: Seats, outside: Outside) -> None:
    elsewhere = [tunnel("web.example:443", **FORGED), tls("198.51.100.12", sni="api.test")]

    (found,) = fetched(seats.narrow, tunnel("api.test:443", **FORGED))
    visited = outside.visited("198.51.100.12")
    shown = fetched(seats.wide, *elsewhere)

    assert [each["server"] for each in shown] == ["198.51.100.12"] * 2
    assert found["server"] == "203.0.113.11"
    assert visited == []


@pytest.mark.parametrize("target", TARGETS)
def test_no_tunnel_leads_to_what_is_no_allowed_name_and_port(seats: Seats, target: str) -> None:
    refused, shown = fetched(seats.wide, through(target, text(REQUEST)), through("api.test:80", text(REQUEST)))

    assert shown["echoed"].startswith("HTTP/1.1 200")
    assert refused["refused"] in {400, 403}


def test_no_tunnel_leads_into_the_gateway(seats: Seats, installed: Installation) -> None:
    (gateway, *_) = installed.pods(GATEWAY)
    own = Place.of(seats.wide.kube, seats.wide.namespace, seats.wide.name).first_port + OFFSETS[80]
    doors: Doors = {
        "127.0.0.1": ("tcp", "127.0.0.1", own),
        "127.1": ("tcp", "127.1", 5355),
        "[::1]": ("tcp", "::1", 8082),
    }
    targets = [f"{host}:{port}" for host, (_, _, port) in doors.items()]

    *refused, shown = fetched(seats.wide, *(through(each, text(REQUEST)) for each in [*targets, "api.test:80"]))
    listening = opened_from_ours(gateway, doors, container="names")

    assert shown["echoed"].startswith("HTTP/1.1 200")
    assert listening == set(doors)
    assert {each["refused"] for each in refused} <= {400, 403}
