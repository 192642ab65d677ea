"""What the real Envoy does with what the control process builds and serves."""

import asyncio
import contextlib
import itertools
import socket
import ssl
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from ringfence_operator.resources.port_set import TLS
from ringfence_operator.resources.public import NOT_PUBLIC
from tests.operator.control.port_sets import port_set
from tests.operator.control.world import OTHER, REPLICA, A, B, Stream, World, world

NUMBER = int(ip_address(A))
NUMERIC = (A, f"[::ffff:{A}]", str(NUMBER), hex(NUMBER), f"0{NUMBER:o}")
"""Ways to write an address that resolvers understand."""


def hello(name: str) -> bytes:
    """Return what a client of TLS says first."""
    said = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), said, server_hostname=name).do_handshake()
    return said.read()


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as found:
        yield found


async def test_an_allowed_sni_reaches_its_server_and_every_other_is_closed(at: World) -> None:
    await at.apply("a.example")

    answers = {name: await at.tls_answer(name) for name in ("a.example", "A.Example", "b.example", "x.a.example", None)}

    assert answers == {
        "a.example": f"{A}:443",
        "A.Example": f"{A}:443",
        "b.example": "closed",
        "x.a.example": "closed",
        None: "closed",
    }
    assert set(at.internet.asked) == {"a.example"}


async def test_what_is_refused_is_closed_and_not_reset_so_that_no_router_on_the_way_keeps_its_place(at: World) -> None:
    await at.apply("a.example")

    stream = await at.plain(TLS)
    stream.writer.write(hello("b.example"))

    assert await asyncio.wait_for(stream.reader.read(), 5) == b""


async def test_a_wildcard_covers_every_depth_below_it_but_not_itself_and_a_block_wins(at: World) -> None:
    await at.apply(
        "*.w.example", "in.bad.w.example", "a.example", blocked=("no.w.example", "*.bad.w.example", "a.example")
    )

    names = ("w.example", "x.w.example", "x.y.w.example", "no.w.example", "x.no.w.example", "bad.w.example")
    others = ("x.bad.w.example", "in.bad.w.example", "a.example", "xw.example")
    answers = {name: await at.tls_answer(name) for name in (*names, *others)}
    plain = {name: await at.get(name) for name in (*names, *others)}

    reached = {"x.w.example", "x.y.w.example", "x.no.w.example", "bad.w.example"}
    assert answers == {name: f"{OTHER}:443" if name in reached else "closed" for name in (*names, *others)}
    assert plain == {name: f"{OTHER}:80" if name in reached else "403" for name in (*names, *others)}


async def test_a_further_port_has_a_list_of_its_own(at: World) -> None:
    await at.apply("a.example:8443", "b.example", further={8443: 3})

    answers = [await at.tls_answer(name, offset=offset) for offset in (2, 3) for name in ("a.example", "b.example")]
    inside = [await at.connect("a.example:8443", "a.example"), await at.connect("b.example:8443", "b.example")]

    assert answers == ["closed", f"{B}:443", f"{A}:8443", "closed"]
    assert inside == [f"{A}:8443", "403"]


@pytest.mark.parametrize(
    ("authority", "inner", "answer"),
    [
        ("a.example:443", "a.example", f"{A}:443"),
        ("A.EXAMPLE:443", "a.example", f"{A}:443"),
        ("a.example.:443", "a.example", f"{A}:443"),
        ("a.example:443", "b.example", f"{B}:443"),
        ("a.example:443", "c.example", "closed"),
        ("a.example:443", None, "closed"),
        ("c.example:443", "a.example", "403"),
        ("a.example:22", "a.example", "403"),
        *[(f"{address}:443", "a.example", "403") for address in NUMERIC],
    ],
    ids=itertools.count(),  # what is drawn anew in each process is no name
)
async def test_connect_is_judged_by_its_target_and_by_the_name_inside(
    at: World, authority: str, inner: str | None, answer: str
) -> None:
    await at.apply("a.example", "b.example")

    assert await at.connect(authority, inner) == answer


async def test_bytes_that_are_not_tls_get_nowhere_by_connect(at: World) -> None:
    await at.apply("a.example")
    stream = await at.tunnel("a.example:443")
    assert isinstance(stream, Stream)

    stream.writer.write(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")

    assert await stream.closed(10)
    assert at.internet.connections == []


@pytest.mark.parametrize(
    ("host", "target", "answer"),
    [
        ("a.example", "/", f"{A}:80"),
        ("A.Example:80", "/", f"{A}:80"),
        ("a.example.", "/", f"{A}:80"),
        ("a.example", "http://a.example/", f"{A}:80"),
        ("a.example", "http://c.example/", "403"),
        ("c.example", "http://a.example/", f"{A}:80"),
        ("a.example", "http://a.example:8080/", "403"),
        ("a.example:443", "/", "403"),
        ("c.example", "/", "403"),
        (A, "/", "403"),
        ("[::1]", "/", "403"),
    ],
    ids=itertools.count(),  # what is drawn anew in each process is no name
)
async def test_plain_http_is_judged_by_the_authority_that_is_sent_on(
    at: World, host: str, target: str, answer: str
) -> None:
    await at.apply("a.example")

    assert await at.get(host, target=target) == answer


async def test_connect_to_port_80_is_judged_by_what_is_asked_inside(at: World) -> None:
    await at.apply("a.example")
    answers = []
    for host in ("a.example", "c.example"):
        stream = await at.tunnel("a.example:80")
        assert isinstance(stream, Stream)
        stream.writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        answers.append((await stream.reader.readline()).split()[1])

    assert answers == [b"200", b"403"]


async def test_a_refusal_says_which_policy_refuses_what_and_what_to_add(at: World) -> None:
    await at.apply("a.example", policy="team/web")

    answer = await at.http("GET /path HTTP/1.1\nHost: c.example\n\n")

    head, _, body = answer.partition("\r\n\r\n")
    assert "content-type: text/plain" in head
    assert "team/web" in body
    assert "c.example" in body
    assert "`spec.network.allowedDomains` of SecurityPolicy team/web" in body


@pytest.mark.parametrize("asked", ["no.w.example", "192.0.2.7", "w.w.example:8443"])
async def test_a_refusal_says_what_to_write_where_a_name_added_would_not_help(at: World, asked: str) -> None:
    await at.apply("*.w.example", blocked=("no.w.example",))

    answer = await at.http(f"GET /path HTTP/1.1\nHost: {asked}\n\n")

    assert answer.split()[1] == "403"
    for said in ("`blockedDomains`", "`ports`", "`spec.network.cidrs`"):
        assert said in answer


async def test_servers_and_clients_see_nothing_of_the_gateway(at: World) -> None:
    await at.apply("a.example")

    answer = await at.http("GET / HTTP/1.1\nHost: a.example\nUser-Agent: me\n\n")

    assert at.internet.requests == ["GET / HTTP/1.1\r\nhost: a.example\r\nuser-agent: me\r\n\r\n"]
    assert "server: theirs" in answer
    assert "x-envoy" not in answer


async def test_audit_lets_every_name_through_and_says_which_were_not_on_the_list(at: World) -> None:
    await at.apply("a.example", "*.w.example", blocked=("b.example", "no.w.example"), is_audit=True)

    names = ("a.example", "x.w.example", "no.w.example", "b.example", "c.example")
    by_tls = {name: await at.tls_answer(name) for name in names}
    by_http = {name: await at.get(name) for name in names}
    by_connect = {name: await at.connect(f"{name}:443", name) for name in names}

    servers = {"a.example": A, "b.example": B}
    assert by_tls == by_connect == {name: f"{servers.get(name, OTHER)}:443" for name in names}
    assert by_http == {name: f"{servers.get(name, OTHER)}:80" for name in names}
    verdicts = {name: "allowed" if name in {"a.example", "x.w.example"} else "audited" for name in names}
    await at.log.wait_for(*[(verdicts[name], at.block, 2, name, "") for name in names])
    await at.log.wait_for(*[("http", at.block, 1, name, verdicts[name]) for name in names])


async def test_audit_lets_nothing_through_that_has_no_name(at: World) -> None:
    await at.apply("a.example", is_audit=True)

    by_tls = [await at.tls_answer(name) for name in (None, A, "localhost")]
    by_connect = [await at.connect(f"{address}:443", "a.example") for address in (*NUMERIC, "localhost", "[::1]")]
    by_http = [await at.get(host) for host in (*NUMERIC, f"{A}:80", "localhost", "[::1]")]
    other_port = await at.connect("a.example:22", "a.example")

    assert by_tls == ["closed"] * len(by_tls)
    assert by_connect == ["403"] * len(by_connect)
    assert by_http == ["403"] * len(by_http)
    assert other_port == "403"
    assert at.internet.connections == []


async def test_the_access_log_tells_verdict_policy_and_name_once_each(at: World) -> None:
    await at.apply("a.example")
    await at.tls_answer("a.example")
    await at.tls_answer("c.example")
    await at.connect("a.example:443", "c.example")
    await at.get("a.example")
    await at.get("c.example")

    block = at.block
    await at.log.wait_for(
        ("allowed", block, 2, "a.example", ""),
        ("denied", block, 2, "c.example", ""),
        ("http", block, 1, "a.example:443", "loop"),
        ("http", block, 1, "a.example", "allowed"),
        ("http", block, 1, "c.example", "denied"),
    )
    counted = [entry for entry in at.log.entries if entry[4] != "loop"]
    assert len(counted) == 5


async def test_the_way_out_is_closed_to_private_addresses_before_a_connection_is_tried(tmp_path: Path) -> None:
    async with world(tmp_path, closed=(f"{A}/32",), reserved=[f"{B}/32"]) as at:
        await at.apply("a.example", "b.example", "c.example")

        by_tls = [await at.tls_answer(name) for name in ("a.example", "b.example", "c.example")]
        by_connect = [await at.connect(f"{name}:443", name) for name in ("a.example", "b.example", "c.example")]
        by_http = [await at.get(name) for name in ("a.example", "b.example", "c.example")]

    assert by_tls == by_connect == ["closed", "closed", f"{OTHER}:443"]
    assert by_http == ["503", "503", f"{OTHER}:80"]
    assert {address for address, _ in at.internet.connections} == {OTHER}


@pytest.mark.parametrize("is_audit", [False, True])
async def test_no_name_leads_to_an_address_that_is_not_public(tmp_path: Path, is_audit: bool) -> None:
    addresses = ("127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.0.1", "192.168.0.1", "172.31.0.1", "0.0.0.0")
    six = ("::1", "::ffff:10.0.0.1", "fd00::1", "fe80::1", "64:ff9b::a00:1", "ff02::1", "2002:a00:1::1")
    names = {f"n{number}.example": [address] for number, address in enumerate(addresses + six)}
    async with world(tmp_path, names=names, closed=NOT_PUBLIC, serve=False) as at:
        await at.apply(*names, is_audit=is_audit)

        by_tls = {name: await at.tls_answer(name) for name in names}
        by_http = {name: await at.get(name) for name in names}

    assert by_tls == dict.fromkeys(names, "closed")
    assert by_http == dict.fromkeys(names, "503")


async def test_a_change_cuts_the_connections_of_a_removed_name_and_no_others(at: World) -> None:
    await at.apply("a.example", "b.example", "*.w.example")
    kept, cut, below = [await at.tls(name) for name in ("a.example", "b.example", "x.w.example")]
    tunnel = await at.tunnel("b.example:443")
    assert isinstance(tunnel, Stream)
    await tunnel.writer.start_tls(at.internet.client(), server_hostname="b.example")
    request = await at.plain(1)
    assert [await each.ask() for each in (kept, cut, below, tunnel)] == [
        f"{A}:443",
        f"{B}:443",
        f"{OTHER}:443",
        f"{B}:443",
    ]

    await at.apply("a.example", "c.example", "*.w.example")
    refused_now = await at.tls_answer("b.example")

    assert refused_now == "closed"
    assert [await each.closed(5) for each in (cut, tunnel)] == [True, True]
    assert [await each.ask() for each in (kept, below)] == [f"{A}:443", f"{OTHER}:443"]
    request.writer.write(b"GET / HTTP/1.1\r\nHost: b.example\r\n\r\n")
    assert (await request.reader.readline()).split()[1] == b"403"


async def test_a_name_blocked_below_a_wildcard_cuts_the_wildcards_connections(at: World) -> None:
    await at.apply("a.example", "*.w.example")
    kept, cut = await at.tls("a.example"), await at.tls("no.w.example")

    await at.apply("a.example", "*.w.example", blocked=("no.w.example",))

    assert await cut.closed(5)
    assert await kept.ask() == f"{A}:443"


async def test_from_audit_to_enforce_only_what_was_audited_is_cut(at: World) -> None:
    await at.apply("a.example", is_audit=True)
    kept, cut = await at.tls("a.example"), await at.tls("c.example")

    await at.apply("a.example")

    assert await cut.closed(5)
    assert await kept.ask() == f"{A}:443"


async def test_a_listener_that_envoy_refuses_touches_its_own_policy_only(at: World) -> None:
    other = at.block + 1 if at.block % 2 == 0 else at.block - 1
    port = at.port(2, other)
    with socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True):
        at.operator.put(port_set(other, "b.example", version="taken"))
        await at.apply("a.example")
        refused = await at.operator.hear("refused", block=other)

    assert refused["version"] == "taken"
    assert f"p-{other:05}-tls-443" in refused["message"]
    assert await at.tls_answer("a.example") == f"{A}:443"

    at.operator.put(port_set(other, "b.example", "c.example", version="again"))
    await at.operator.hear("inForce", block=other, version="again")


async def test_what_is_withdrawn_is_released_by_both_and_gone(at: World) -> None:
    await at.apply("a.example")
    stream = await at.tls("a.example")

    at.operator.say("withdraw", block=at.block)
    await at.operator.hear("released", replica=REPLICA, block=at.block)

    assert await stream.closed(5)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", at.port(2))
    at.operator.say("withdraw", block=at.block + 1)
    await at.operator.hear("released", replica=REPLICA, block=at.block + 1)


async def test_a_block_may_be_used_again_once_it_is_released(at: World) -> None:
    await at.apply("a.example", policy="team/one")
    at.operator.say("withdraw", block=at.block)
    await at.operator.hear("released", block=at.block)

    await at.apply("b.example", policy="team/two")

    assert [await at.tls_answer(name) for name in ("a.example", "b.example")] == ["closed", f"{B}:443"]


async def test_a_port_that_changes_its_place_is_in_force(at: World) -> None:
    await at.apply("a.example:8443", further={8443: 3})

    await at.apply("a.example:8443", further={9443: 3, 8443: 4})

    assert await at.tls_answer("a.example", offset=4) == f"{A}:8443"


@pytest.mark.parametrize(
    "request_text",
    [
        "POST / HTTP/1.1\nHost: a.example\nContent-Length: 4\nTransfer-Encoding: chunked\n\n0\n\n",
        "POST / HTTP/1.1\nHost: a.example\nContent-Length: 4\nContent-Length: 5\n\nabcd",
        "POST / HTTP/1.1\nHost: a.example\nTransfer-Encoding: chunked, identity\n\n0\n\n",
        "POST / HTTP/1.1\nHost: a.example\nTransfer-Encoding : chunked\n\n0\n\n",
        "GET / HTTP/1.1\nHost: a.example\nHost: c.example\n\n",
        "GET / HTTP/1.1\nHost: a.example\nContent_Length: 4\n\n",
        "GET / HTTP/1.1\n\n",
        "GET / HTTP/1.0\n\n",
    ],
)
async def test_a_request_that_can_be_read_in_two_ways_is_refused(at: World, request_text: str) -> None:
    await at.apply("a.example")

    answer = await at.http(request_text)

    assert answer.split()[1] in {"400", "403", "404", "426", "501"}
    assert at.internet.requests == []


async def test_a_hello_that_does_not_end_is_cut(at: World) -> None:
    await at.apply("a.example")
    stream = await at.plain(TLS)
    stream.writer.write(bytes.fromhex("1603010200010001fc"))

    assert await stream.closed(8)
