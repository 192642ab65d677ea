"""Names that are not allowed, in every spelling: refused in every way, before anybody is asked for them."""

import secrets
from typing import Any

import pytest

from tests.e2e.escape.seats import Outside, Seats, addresses_of, fetched, is_refused
from tests.e2e.escape.ways import Way, http, look_up, proxied, text, tls, tunnel
from tests.e2e.installation import GATEWAY, Installation

CLOSED = {
    "not on the list": "web.example",
    "upper case": "WEB.EXAMPLE",
    "trailing dot": "web.example.",
    "blocked under a wildcard": "secret.wild.test",
    "blocked, upper case": "SECRET.Wild.TEST",
    "blocked, trailing dot": "secret.wild.test.",
    "blocked, both": "Secret.wild.test.",
    "below a blocked wildcard": "b.A.closed.wild.test.",
    "punycode twin": "xn--pi-6kc.test",
    "DNS over HTTPS": "doh.test",
}
DISGUISES = {
    "port with zeros": "secret.wild.test:0080",
    "empty port": "secret.wild.test:",
    "two dots": "secret.wild.test..",
    "empty label": "secret..wild.test",
    "port inside": "web.example:80.wild.test",
    "address and port inside": "10.66.0.1:80.wild.test",
    "address in brackets inside": "[::1].wild.test",
    "fragment": "web.example#.wild.test",
    "path": "web.example/.wild.test",
    "user": "web.example:80@a.wild.test",
    "space": "web.example .wild.test",
    "two names": "web.example,a.wild.test",
}
"""Authorities that end like an allowed name, and might be read as another one further on."""
HELLOS = {
    "another name": {"name": "web.example"},
    "in several records": {"name": "web.example", "records": 5},
    "in many segments": {"name": "web.example", "pieces": 60},
    "blocked, trailing dot": {"name": "secret.wild.test."},
    "empty label": {"name": "secret..wild.test"},
    "NUL before an allowed name": {"name": "web.example\0.wild.test"},
    "NUL behind an allowed name": {"name": "api.test\0.web.example"},
    "line feed": {"name": "web.example\n.wild.test"},
    "space": {"name": "web.example .wild.test"},
    "no ASCII": {"name": "\xff\xfe.wild.test"},
    "an address": {"name": "198.51.100.12"},
}
REFUSED_OUTSIDE = {"secret.wild.test.", "\xff\xfe.wild.test"}
"""What the server outside does not take as a name either (RFC 6066): of these only the refusal is shown."""


def ways_to(name: str) -> list[Way]:
    """Return every way out, to the same name."""
    bare = name.rstrip(".")
    return [
        tls("api.test", sni=bare),
        http("api.test", name=name),
        proxied(f"http://{name}/", "api.test"),
        tunnel(f"{name}:443", sni=bare),
        tunnel("api.test:443", sni=bare),
        look_up(name),
    ]


@pytest.mark.parametrize("name", CLOSED.values(), ids=CLOSED)
def test_a_name_that_is_not_allowed_is_shut_in_every_spelling(seats: Seats, outside: Outside, name: str) -> None:
    refused = fetched(seats.narrow, *ways_to(name))
    visited = outside.visited(name.lower().rstrip("."), "198.51.100.12")
    shown = fetched(seats.wide, *ways_to(name))

    assert [each for each in shown if is_refused(each)] == []
    assert [each["refused"] for each in refused] == ["closed", 403, 403, 403, "closed", "gaierror"]
    assert visited == []


def test_an_allowed_name_is_open_in_every_spelling(seats: Seats) -> None:
    spelt = [way for name in ("API.test", "api.test.", "Api.Test.") for way in ways_to(name)]

    shown = fetched(seats.narrow, *spelt)

    assert [each for each in shown if is_refused(each)] == []


def test_an_allowed_name_is_shut_on_ports_that_are_not_its_own(seats: Seats, outside: Outside) -> None:
    ways = [tunnel("api.test:8443"), tunnel("api.test:853"), tls("files.test", port=8443, sni="api.test")]

    refused = fetched(seats.narrow, *ways)
    visited = outside.visited("203.0.113.11", "api.test")
    shown = fetched(seats.wide, *ways)

    assert [each["server"] for each in shown] == ["203.0.113.11"] * 3
    assert [each["refused"] for each in refused] == [403, 403, "closed"]
    assert visited == []


@pytest.mark.parametrize("authority", DISGUISES.values(), ids=DISGUISES)
def test_a_name_in_disguise_is_shut(seats: Seats, outside: Outside, authority: str) -> None:
    way = http("api.test", name=authority)

    (refused,) = fetched(seats.narrow, way)
    (shown,) = fetched(seats.narrow, http("api.test", name="a.wild.test:80"))

    assert shown["server"] == "203.0.113.13"
    assert refused["refused"] in {400, 403, 503}, refused
    assert outside.visited("198.51.100.12", "10.66.0.1") == []


@pytest.mark.parametrize("hello", HELLOS.values(), ids=HELLOS)
def test_a_hello_is_judged_by_what_it_says_however_it_is_written(
    seats: Seats, outside: Outside, hello: dict[str, object]
) -> None:
    (server,) = fetched(seats.narrow, look_up("api.test"))
    plain = {**hello, "name": "api.test"}

    shown, refused = seats.narrow.script("hello", server["address"], 443, [plain, hello], seconds=60)
    visited = outside.visited("198.51.100.12", "203.0.113.13")
    (direct,) = seats.free.script("hello", "198.51.100.12", 443, [hello], seconds=60)

    assert shown == "answered"
    assert direct == ("closed" if hello["name"] in REFUSED_OUTSIDE else "answered")
    assert refused in {"closed", "ConnectionResetError"}
    assert visited == []


def test_without_a_name_nothing_passes(seats: Seats, outside: Outside) -> None:
    request = "GET / HTTP/1.1\r\nHost: api.test\r\n\r\n"
    ways = [tls("api.test", sni=None), text(request, "api.test"), text("SSH-2.0-client\r\n", "api.test")]
    direct = [{**way, "host": "203.0.113.11"} for way in ways]

    refused = fetched(seats.narrow, *ways)
    visited = outside.visited("203.0.113.11")
    shown = fetched(seats.free, *direct)

    assert [each for each in shown if is_refused(each)] == []
    assert [each["refused"] for each in refused] == ["closed"] * 3
    assert visited == []


def test_an_allowed_authority_replaces_another_host(seats: Seats, outside: Outside) -> None:
    forged: dict[str, Any] = {"X-Forwarded-Host": "web.example", "X-Envoy-Original-Dst-Host": "198.51.100.12:80"}
    ways = [proxied("http://api.test/", "web.example"), http("api.test", **forged)]

    found = fetched(seats.narrow, *ways)
    (shown,) = fetched(seats.free, http("203.0.113.11", name="web.example"))

    assert shown["host"] == "web.example"
    assert [(each["server"], each["host"]) for each in found] == [("203.0.113.11", "api.test")] * 2
    assert outside.visited("198.51.100.12") == []


def test_a_refused_name_causes_no_query_and_no_connection(
    seats: Seats, outside: Outside, installed: Installation
) -> None:
    tag = secrets.token_hex(4)
    gateways = addresses_of(installed.kube, installed.pods(GATEWAY))

    refused = fetched(seats.narrow, *ways_to(f"{tag}.tunnel.test"), *ways_to(f"{tag}.closed.wild.test"))
    asked, visited = outside.asked(tag), outside.visited(*gateways)
    shown = fetched(seats.wide, *ways_to(f"{tag}.tunnel.test"), *ways_to(f"{tag}.closed.wild.test"))

    assert [each for each in shown if is_refused(each)] == []
    assert outside.asked(tag) == [f"{tag}.closed.wild.test", f"{tag}.tunnel.test"]
    assert outside.visited(f"{tag}.tunnel.test") != []
    assert outside.visited(f"{tag}.closed.wild.test") != []
    assert [each for each in refused if not is_refused(each)] == []
    assert (asked, visited) == ([], [])
