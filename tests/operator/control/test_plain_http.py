"""What becomes of plain HTTP that is under way when a policy changes, in the real Envoy."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ringfence_operator.resources.port_set import HTTP
from tests.operator.control.operator_side import SECONDS
from tests.operator.control.world import NET, Stream, World, world
from tests.ports import free_block

SLOW = f"{NET}.5"
CHUNK = b"1\r\n.\r\n"


@dataclass(slots=True)
class Dripping:
    """A server whose answers have no end, and go on when the test says so. To `/end`, it answers until it closes."""

    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        self.connections += 1
        with suppress(asyncio.IncompleteReadError, OSError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.requests.append(head)
                if b" /end " in head:
                    writer.write(b"HTTP/1.0 200 OK\r\n\r\nall of it")
                    writer.close()
                elif b"websocket" in head:
                    writer.write(
                        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
                    )
                elif b" /short " in head:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                else:
                    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")

    def drip(self) -> None:
        """Send one more chunk on each connection that is open."""
        for writer in self.writers:
            writer.write(CHUNK)


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, names={"*": [SLOW]}, serve=False) as found:
        yield found


@asynccontextmanager
async def serving() -> AsyncIterator[Dripping]:
    found = Dripping()
    server = await asyncio.start_server(found.serve, SLOW, 80)
    yield found
    server.close()
    for writer in found.writers:
        writer.transport.abort()
    await asyncio.sleep(0)


@pytest.fixture
async def dripping(at: World) -> AsyncIterator[Dripping]:
    async with serving() as found:
        yield found


async def begin(
    at: World, name: str, *, target: str = "/", more: str = "", block: int | None = None, stream: Stream | None = None
) -> Stream:
    """Return a connection on which the answer to a request has begun."""
    stream = stream or await at.plain(HTTP, block)
    stream.writer.write(f"GET {target} HTTP/1.1\r\nHost: {name}\r\n{more}\r\n".encode())
    async with asyncio.timeout(SECONDS):
        head = await stream.reader.readuntil(b"\r\n\r\n")
    assert head.split()[1] in {b"200", b"101"}, head
    return stream


async def goes_on(stream: Stream) -> bool:
    """Return True if another chunk comes."""
    async with asyncio.timeout(SECONDS):
        try:
            return await stream.reader.readuntil(CHUNK) != b""
        except (asyncio.IncompleteReadError, OSError):
            return False


async def test_answers_under_way_from_a_name_that_goes_are_cut_and_no_others(at: World, dripping: Dripping) -> None:
    other = free_block()
    await at.apply("a.example", "b.example", "*.w.example")
    await at.apply("b.example", block=other)
    upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\n"
    cut = [
        await begin(at, "b.example"),
        await begin(at, "B.example", target="http://b.example:80/"),
        await begin(at, "b.example", more=upgrade),
    ]
    kept = [
        await begin(at, "a.example"),
        await begin(at, "a.example", target="http://a.example/"),
        await begin(at, "a.example", more=upgrade),
        await begin(at, "x.w.example"),
        await begin(at, "b.example", block=other),
    ]

    await at.apply("a.example", "c.example", "*.w.example")

    assert [await each.closed(5) for each in cut] == [True] * len(cut)
    dripping.drip()
    assert [await goes_on(each) for each in kept] == [True] * len(kept)


async def test_a_name_blocked_below_a_wildcard_cuts_the_wildcards_answers(at: World, dripping: Dripping) -> None:
    await at.apply("a.example", "*.w.example")
    kept, cut = await begin(at, "a.example"), await begin(at, "no.w.example")

    await at.apply("a.example", "*.w.example", blocked=("no.w.example",))

    assert await cut.closed(5)
    again = await begin(at, "x.w.example")
    dripping.drip()
    assert [await goes_on(each) for each in (kept, again)] == [True, True]


async def test_from_audit_to_enforce_only_answers_from_audited_names_are_cut(at: World, dripping: Dripping) -> None:
    await at.apply("a.example", blocked=("b.example",), is_audit=True)
    kept, cut = await begin(at, "a.example"), [await begin(at, "b.example"), await begin(at, "c.example")]

    await at.apply("a.example", blocked=("b.example",))

    assert [await each.closed(5) for each in cut] == [True, True]
    dripping.drip()
    assert await goes_on(kept)


async def test_a_policy_that_lets_no_plain_http_out_any_more_cuts_all_of_it(at: World, dripping: Dripping) -> None:
    await at.apply("a.example")
    cut = await begin(at, "a.example")

    await at.apply("a.example:443")

    assert await cut.closed(5)
    assert await at.get("a.example") == "403"
    await at.apply("a.example")
    dripping.drip()
    assert await begin(at, "a.example")


async def test_answers_that_come_through_an_upstream_proxy_are_cut_as_well(tmp_path: Path) -> None:
    async with world(tmp_path, serve=False, upstreamProxy=f"http://{SLOW}") as at, serving() as proxy:
        await at.apply("a.example", "b.example")
        kept, cut = await begin(at, "a.example"), await begin(at, "b.example")

        await at.apply("a.example")

        assert await cut.closed(5)
        proxy.drip()
        assert await goes_on(kept)
    assert [each.split()[1] for each in proxy.requests] == [b"http://a.example/", b"http://b.example/"]


async def test_a_connection_that_is_kept_serves_another_name_after_a_change(at: World, dripping: Dripping) -> None:
    await at.apply("a.example", "b.example")
    stream = await begin(at, "b.example", target="/short")

    await at.apply("a.example")

    await begin(at, "a.example", target="/short", stream=stream)
    await begin(at, "a.example", target="/short", stream=stream)
    assert [each.split()[4] for each in dripping.requests] == [b"b.example", b"a.example", b"a.example"]


async def test_connections_to_a_server_are_kept_and_never_used_for_another_name(at: World, dripping: Dripping) -> None:
    await at.apply("a.example", "*.w.example")
    stream = await at.plain(HTTP)

    for name in ("a.example", "x.w.example", "y.w.example", "a.example", "x.w.example", "y.w.example"):
        await begin(at, name, target="/short", stream=stream)

    assert dripping.connections == 3
    assert len(dripping.requests) == 6


async def test_an_answer_that_ends_with_its_connection_is_whole(at: World, dripping: Dripping) -> None:
    await at.apply("a.example")
    stream = await begin(at, "a.example", target="/end")

    async with asyncio.timeout(SECONDS):
        body = await stream.reader.readuntil(b"0\r\n\r\n")

    assert b"all of it" in body


async def test_what_is_not_answered_says_what_may_be_the_reason(at: World) -> None:
    at.internet.addresses["nowhere.example"] = []
    await at.apply("nowhere.example")

    answer = await at.http("GET / HTTP/1.1\nHost: nowhere.example\n\n")

    assert answer.split()[1] == "503"
    assert "no answer from nowhere.example" in answer
    assert "not public" in answer
