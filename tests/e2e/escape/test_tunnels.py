"""What comes inside CONNECT is judged as what comes by itself."""

import pytest

from tests.e2e.escape.seats import Outside, Seats, fetched, is_refused
from tests.e2e.escape.ways import Way, http, text, through, tunnel

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
TARGETS = ("127.0.0.1:10000", "localhost:443", "localhost:80", "127.1:5355", "[::1]:8082", "api.test", "api.test:0443")


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
    (refused,) = fetched(seats.narrow, way)
    visited = outside.visited("203.0.113.11")
    (shown,) = fetched(seats.narrow, tunnel("api.test:443"))

    assert shown["server"] == "203.0.113.11"
    assert refused == {"refused": "closed"}
    assert visited == []


def test_a_header_does_not_lead_a_tunnel_elsewhere(seats: Seats, outside: Outside) -> None:
    (found,) = fetched(seats.narrow, tunnel("api.test:443", **FORGED))

    assert found["server"] == "203.0.113.11"
    assert outside.visited("198.51.100.12") == []


@pytest.mark.parametrize("target", TARGETS)
def test_no_tunnel_leads_into_the_gateway(seats: Seats, target: str) -> None:
    (refused,) = fetched(seats.wide, through(target, text("GET / HTTP/1.1\r\n\r\n")))

    assert refused["refused"] in {400, 403}
    assert not is_refused(fetched(seats.wide, tunnel("api.test:443"))[0])
