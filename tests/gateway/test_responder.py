import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import Any

import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence_gateway.allowance import BURST, PER_SECOND
from ringfence_gateway.message import MOST_ADDED
from ringfence_gateway.names import Verdict
from ringfence_gateway.responder import Responder, Zone
from ringfence_gateway.stream import MOST_CONNECTIONS_OF_SOURCE
from tests.gateway.builders import ADDRESS, Noted, port_set
from tests.gateway.clients import SECONDS, addresses, ask, connected, read_message, send
from tests.ports import free_port

Open = Callable[..., tuple[int, Noted]]


@pytest.fixture
async def open_responder() -> AsyncIterator[Open]:
    opened: list[Responder] = []

    def open_one(block: int = 17, **changes: Any) -> tuple[int, Noted]:
        noted = Noted()
        responder = Responder(Zone(port_set(block, **changes), noted), block=block, observer=noted)
        port = free_port()
        responder.open(port)
        opened.append(responder)
        return port, noted

    yield open_one
    for responder in opened:
        responder.close()


def _answer(name: str, rtype: str = "A", **changes: Any) -> dns.message.Message:
    zone = Zone(port_set(**changes), Noted())
    answer = zone.answer(dns.message.make_query(name, rtype).to_wire())
    assert answer is not None
    return dns.message.from_wire(answer)


@pytest.mark.parametrize("name", ["api.example.com", "API.eXample.COM", "a.b.example.org"])
def test_an_allowed_name_leads_to_the_policys_address_in_any_case(name: str) -> None:
    answer = _answer(name)

    assert addresses(answer) == [ADDRESS]
    assert answer.answer[0].name.to_text(True) == name


@pytest.mark.parametrize("rtype", ["AAAA", "TXT", "NULL", "ANY", "HTTPS", "SRV", "MX", "NS", "SOA", "CNAME", "AXFR"])
def test_other_types_of_an_allowed_name_are_empty(rtype: str) -> None:
    answer = _answer("api.example.com", rtype)

    assert (answer.rcode(), answer.answer) == (dns.rcode.NOERROR, [])
    assert answer.authority[0].rdtype == dns.rdatatype.SOA


def test_a_service_with_an_ipv6_address_is_told_as_one() -> None:
    assert addresses(_answer("api.example.com", "AAAA", address="fd00::17")) == ["fd00::17"]
    assert addresses(_answer("api.example.com", "A", address="fd00::17")) == []


@pytest.mark.parametrize(
    "name",
    [
        "other.example.com",
        "example.org",
        "bad.example.org",
        "example.com",
        "com",
        ".",
        "kubernetes.default.svc.cluster.local",
        "db.team.svc.cluster.local.example",
        "x.db.team",
        "cache",
        "_dns.example.org",
    ],
)
@pytest.mark.parametrize("rtype", ["A", "AAAA", "TXT", "ANY"])
def test_every_other_name_does_not_exist(name: str, rtype: str) -> None:
    answer = _answer(name, rtype)

    assert (answer.rcode(), answer.answer) == (dns.rcode.NXDOMAIN, [])


@pytest.mark.parametrize("name", ["db", "db.team", "DB.Team.svc", "db.team.svc.cluster.local"])
def test_a_named_service_has_its_own_address(name: str) -> None:
    assert addresses(_answer(name)) == ["10.96.0.50"]
    assert _answer(name, "AAAA").rcode() == dns.rcode.NOERROR


def test_audit_answers_every_valid_name_and_notes_those_not_on_the_list() -> None:
    noted = Noted()
    zone = Zone(port_set(audit=True), noted)

    answers = [
        zone.answer(dns.message.make_query(name, "A").to_wire())
        for name in ("api.example.com", "Other.example.com", "bad.example.org", "a_b.example")
    ]

    assert [addresses(dns.message.from_wire(answer or b"")) for answer in answers] == [[ADDRESS]] * 3 + [[]]
    assert noted.names == [
        (17, "other.example.com", Verdict.AUDITED),
        (17, "bad.example.org", Verdict.AUDITED),
        (17, None, Verdict.DENIED),
    ]


def test_another_class_is_refused() -> None:
    answer = Zone(port_set(), Noted()).answer(dns.message.make_query("api.example.com", "A", "CH").to_wire())

    assert dns.message.from_wire(answer or b"").rcode() == dns.rcode.REFUSED


@given(st.binary(max_size=600))
def test_nothing_makes_a_zone_crash_or_answer_at_length(data: bytes) -> None:
    answer = Zone(port_set(audit=True), Noted()).answer(data)

    assert answer is None or len(answer) <= len(data) + MOST_ADDED


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("over_tcp", [False, True])
async def test_it_serves_both_protocols_and_both_families(open_responder: Open, host: str, over_tcp: bool) -> None:
    port, _ = open_responder()

    allowed = await ask("API.example.com", port, host=host, over_tcp=over_tcp)
    denied = await ask("other.example.com", port, host=host, over_tcp=over_tcp)

    assert addresses(allowed) == [ADDRESS]
    assert denied.rcode() == dns.rcode.NXDOMAIN


async def test_two_questions_in_one_packet_are_refused(open_responder: Open) -> None:
    port, _ = open_responder()
    query = dns.message.make_query("api.example.com", "A")
    query.find_rrset(
        query.question,
        dns.name.from_text("x.example.com"),
        dns.rdataclass.IN,
        dns.rdatatype.A,
        create=True,
        force_unique=True,
    )

    answer = await send(port, query.to_wire())

    assert (len(answer), answer[3] & 0xF) == (12, dns.rcode.FORMERR)


async def test_several_queries_on_one_connection_are_answered_in_order(open_responder: Open) -> None:
    port, _ = open_responder()
    queries = [dns.message.make_query(f"n{number}.example.org", "A", id=number) for number in range(100)]

    async with connected(port) as (reader, writer):
        writer.write(b"".join(query.to_wire(prepend_length=True) for query in queries))
        answers = [await read_message(reader) for _ in queries]

    assert all(query.is_response(dns.message.from_wire(each)) for query, each in zip(queries, answers, strict=True))


async def test_a_query_in_pieces_is_answered(open_responder: Open) -> None:
    port, _ = open_responder()

    async with connected(port) as (reader, writer):
        for octet in dns.message.make_query("api.example.com", "A").to_wire(prepend_length=True):
            writer.write(bytes([octet]))
            await writer.drain()
        answer = await read_message(reader)

    assert addresses(dns.message.from_wire(answer)) == [ADDRESS]


async def test_a_connection_that_says_nothing_is_cut(open_responder: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence_gateway.stream.IDLE_SECONDS", 0.05)
    port, _ = open_responder()

    async with connected(port) as (reader, writer):
        writer.write(b"\x00")
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""


async def test_a_reader_that_does_not_read_is_cut(open_responder: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence_gateway.stream.IDLE_SECONDS", 0.3)
    port, noted = open_responder()
    query = dns.message.make_query("api.example.com", "A").to_wire(prepend_length=True)

    def pour() -> int:
        """Send until the other side cuts the connection, and never read."""
        with socket.create_connection(("127.0.0.1", port), SECONDS) as poured:
            poured.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            for sent in count():
                try:
                    poured.sendall(query)
                except OSError:
                    return sent
        raise AssertionError

    async with asyncio.timeout(SECONDS * 2):
        sent = await asyncio.to_thread(pour)

    assert sum(noted.answers.values()) <= sent
    assert addresses(await ask("api.example.com", port)) == [ADDRESS]


async def test_one_source_has_a_few_connections_only(open_responder: Open) -> None:
    port, _ = open_responder()

    async with contextlib.AsyncExitStack() as stack:
        for _ in range(MOST_CONNECTIONS_OF_SOURCE):
            await stack.enter_async_context(connected(port))
        reader, _ = await stack.enter_async_context(connected(port))
        beyond = await reader.read()
        other = await ask("api.example.com", port, host="::1", over_tcp=True)

    assert beyond == b""
    assert addresses(other) == [ADDRESS]


async def test_an_address_in_use_is_told_and_nothing_is_held(open_responder: Open) -> None:
    port, noted = open_responder()
    second = Responder(Zone(port_set(18), noted), block=18, observer=noted)

    with pytest.raises(OSError, match="in use"):
        second.open(port)

    second.close()
    assert addresses(await ask("api.example.com", port)) == [ADDRESS]


async def test_a_closed_responder_lets_go_of_its_port() -> None:
    port, noted = free_port(), Noted()
    for _ in range(2):
        responder = Responder(Zone(port_set(), noted), block=17, observer=noted)
        responder.open(port)
        assert addresses(await ask("api.example.com", port, over_tcp=True)) == [ADDRESS]
        responder.close()

    with pytest.raises(ConnectionRefusedError):
        await ask("api.example.com", port, over_tcp=True)


async def test_a_flood_at_one_port_set_leaves_the_others_answered(open_responder: Open) -> None:
    flooded, noted_flood = open_responder(17)
    port, _ = open_responder(18)
    query = dns.message.make_query("other.example.com", "A").to_wire()
    is_over = asyncio.Event()

    def flood() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            while not is_over.is_set():
                udp.sendto(query, ("127.0.0.1", flooded))

    began = time.monotonic()
    task = asyncio.create_task(asyncio.to_thread(flood))
    try:
        async with asyncio.timeout(SECONDS * 6):
            while not noted_flood.drops[17]:
                await ask("api.example.com", port)
            answers = [await ask("api.example.com", port) for _ in range(200)]
    finally:
        is_over.set()
        await task

    assert all(addresses(answer) == [ADDRESS] for answer in answers)
    assert sum(noted_flood.answers.values()) <= BURST + PER_SECOND * (time.monotonic() - began)


async def test_a_flood_of_connections_at_one_port_set_leaves_the_others_answered(
    open_responder: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringfence_gateway.allowance.BURST_OF_SOURCE", 50.0)
    monkeypatch.setattr("ringfence_gateway.allowance.PER_SECOND_AND_SOURCE", 10.0)
    flooded, noted_flood = open_responder(17)
    port, _ = open_responder(18)

    def flood() -> None:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", flooded), SECONDS):
                pass

    task = asyncio.create_task(asyncio.to_thread(flood))
    answers = [await ask("api.example.com", port, over_tcp=True) for _ in range(20)]
    await task

    assert all(addresses(answer) == [ADDRESS] for answer in answers)
    assert noted_flood.drops[17]
