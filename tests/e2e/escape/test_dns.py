"""DNS as a way out: nobody outside hears a question, and no other name server answers."""

import secrets
from typing import Any

import pytest

from devcluster.outside import RESOLVERS
from tests.e2e.doors import cluster_doors
from tests.e2e.escape.seats import Outside, Seats, fetched, is_refused
from tests.e2e.escape.ways import text, tls, tunnel

NXDOMAIN, FORMERR, NOERROR = 3, 1, 0
TYPES = {"TXT": 16, "NULL": 10, "ANY": 255, "MX": 15, "SRV": 33, "AXFR": 252, "HTTPS": 65, "unknown": 4_242}
API = {"name": ["api", "test"]}
QUESTION = "\0\x1a\x12\x34\1\0\0\1\0\0\0\0\0\0\3api\4test\0\0\1\0\1"
"""The same as TCP carries it: a length, the head, the name, its type and class."""


def asked(seats: Seats, server: str, *questions: dict[str, Any], seat: str = "narrow") -> list[dict[str, Any]]:
    return list(getattr(seats, seat).script("ask", server, questions, seconds=60))


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("server", RESOLVERS)
def test_no_name_server_outside_answers(seats: Seats, outside: Outside, server: str, transport: str) -> None:
    question = {**API, "transport": transport}

    (refused,) = asked(seats, server, question)
    heard = [each for each in outside.queries.entries() if each["source"] in seats.narrow.ips()]
    (shown,) = asked(seats, server, question, seat="free")

    assert (shown["code"], shown["records"]) == (NOERROR, 1)
    assert is_refused(refused), refused
    assert heard == []


def test_the_clusters_name_server_does_not_answer(seats: Seats) -> None:
    _, server, _ = cluster_doors(seats.narrow.kube)["DNS over UDP"]
    questions = [{**API, "transport": transport} for transport in ("udp", "tcp")]

    refused = asked(seats, server, *questions)
    shown = asked(seats, server, *questions, seat="free")

    assert [each["code"] for each in shown] == [NOERROR] * 2
    assert all(map(is_refused, refused)), refused


@pytest.mark.parametrize("server", ["203.0.113.53", "2001:db8::53"])
def test_dns_over_tls_is_shut(seats: Seats, outside: Outside, server: str) -> None:
    ways = [tls(server, port=853, sni="dns.test"), tunnel("dns.test:853")]

    refused = fetched(seats.narrow, *ways)
    visited = outside.visited("203.0.113.53", "2001:db8::53", "dns.test")
    shown = fetched(seats.wide, *ways)

    assert [each for each in shown if is_refused(each)] == []
    assert all(map(is_refused, refused)), refused
    assert visited == []


def test_dns_over_https_at_a_name_that_is_not_allowed_is_shut(seats: Seats, outside: Outside) -> None:
    ways = [tls("api.test", sni="doh.test"), tunnel("doh.test:443"), tls("198.51.100.19", sni="doh.test")]

    refused = fetched(seats.narrow, *ways)
    visited = outside.visited("198.51.100.19", "doh.test")
    shown = fetched(seats.wide, *ways)

    assert [each["server"] for each in shown] == ["198.51.100.19"] * 3
    assert all(map(is_refused, refused)), refused
    assert visited == []


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("rtype", TYPES.values(), ids=TYPES)
def test_no_type_of_question_carries_anything_out_or_in(
    seats: Seats, outside: Outside, rtype: int, transport: str
) -> None:
    tag = secrets.token_hex(4)
    of_either = [
        {"name": [tag, zone, "test"], "type": kind, "transport": transport}
        for zone in ("tunnel", "wild")
        for kind in (rtype, 1)
    ]

    closed, _, below_a_wildcard, its_address = asked(seats, "", *of_either)
    heard = outside.asked(tag)
    asked(seats, RESOLVERS[0], *of_either, seat="free")

    assert outside.asked(tag) == [f"{tag}.tunnel.test", f"{tag}.wild.test"]
    assert (closed["code"], closed["records"]) == (NXDOMAIN, 0)
    assert (below_a_wildcard["code"], below_a_wildcard["records"]) == (NOERROR, 0)
    assert (its_address["code"], its_address["records"]) == (NOERROR, 1)
    assert heard == []


def test_long_labels_and_many_questions_carry_nothing_out(seats: Seats, outside: Outside) -> None:
    tag = secrets.token_hex(4)
    long = [tag + "a" * 55, "b" * 63, "c" * 63]
    questions: list[dict[str, Any]] = [
        {"name": [*long, "tunnel", "test"]},
        {"name": [*long, "wild", "test"]},
        {"name": [tag, "wild", "test"], "copies": 8},
        {"name": [tag, "tunnel", "test"], "more": "carried out"},
        {"name": [tag + "\0\xff.", "wild", "test"]},
    ]

    answers = asked(seats, "", *questions)
    heard = outside.asked(tag)
    asked(seats, RESOLVERS[0], *questions, seat="free")

    assert len(outside.asked(tag)) >= 4
    assert [each["code"] for each in answers] == [NXDOMAIN, NOERROR, FORMERR, FORMERR, NXDOMAIN]
    assert heard == []


def test_what_is_no_dns_gets_nothing_at_the_name_servers_port(seats: Seats) -> None:
    (server,) = fetched(seats.narrow, {"via": "dns", "name": "api.test"})

    said = ("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n", QUESTION)
    refused, shown = fetched(seats.narrow, *(text(each, server["address"], port=53) for each in said))

    assert ord(shown["echoed"][5]) & 15 == NOERROR, shown
    assert is_refused(refused), refused
