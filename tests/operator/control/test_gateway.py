"""What the real Envoy does with what the control process builds and serves."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.operator.control.world import Stream, World, world

A, B, OTHER = "127.0.9.1", "127.0.9.2", "127.0.9.3"


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
        ("127.0.9.1:443", "a.example", "403"),
        ("[::ffff:127.0.9.1]:443", "a.example", "403"),
        ("2130708737:443", "a.example", "403"),
        ("0x7f000901:443", "a.example", "403"),
    ],
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
        ("127.0.9.1", "/", "403"),
        ("[::1]", "/", "403"),
    ],
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


async def test_servers_and_clients_see_nothing_of_the_gateway(at: World) -> None:
    await at.apply("a.example")

    answer = await at.http("GET / HTTP/1.1\nHost: a.example\nUser-Agent: me\n\n")

    assert at.internet.requests == ["GET / HTTP/1.1\r\nhost: a.example\r\nuser-agent: me\r\n\r\n"]
    assert "server: theirs" in answer
    assert "x-envoy" not in answer
