"""What an agent that floods meets, and what another's connections see of it."""

import asyncio
import select
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from ringfence_operator.control.envoy_listener import NEW_AT_ONCE
from ringfence_operator.resources.port_set import HTTP, TLS
from tests.operator.control.operator_side import SECONDS
from tests.operator.control.world import NAMES, NET, A, B, Stream, World, world
from tests.ports import free_block

SLOW = f"{NET}.4"
BATCH = 100


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, names=dict(NAMES)) as found:
        yield found


def limited(at: World) -> dict[str, int]:
    """Return how many connections Envoy has closed, by the counter of each limit that was met."""
    kinds = (".rate_limited", ".limited_connections")
    return {name: count for name, count in at.envoy.updates().items() if name.endswith(kinds) and count}


def open_until(is_enough: Callable[[int, int], bool], port: int) -> None:
    """Open connections that say nothing until it is enough, by how many there are and how many of them are closed."""
    deadline = time.monotonic() + SECONDS
    with ExitStack() as stack:
        streams: list[socket.socket] = []
        closed = 0
        while not is_enough(len(streams), closed):
            assert time.monotonic() < deadline, f"{len(streams)} connections, {closed} of them closed"
            more = (socket.create_connection(("127.0.0.1", port), SECONDS) for _ in range(BATCH))
            streams += map(stack.enter_context, more)
            poll = select.poll()
            for stream in streams:
                poll.register(stream, select.POLLIN)
            closed = len(poll.poll(0))


@pytest.mark.parametrize("offset", [HTTP, TLS])
async def test_connections_beyond_the_allowance_are_closed_and_another_policy_is_served(at: World, offset: int) -> None:
    other = free_block()
    await at.apply("a.example")
    await at.apply("b.example", block=other)

    flood = asyncio.to_thread(open_until, lambda _, closed: closed >= BATCH, at.port(offset))
    _, answer = await asyncio.gather(flood, at.tls_answer("b.example", block=other))
    after = await at.tls_answer("b.example", block=other)

    assert (answer, after) == (f"{B}:443", f"{B}:443")
    assert limited(at)[f"listener_local_ratelimit.p-{at.block:05}.rate_limited"] >= BATCH
    assert [name for name in limited(at) if f"p-{other:05}" in name] == []


async def test_what_an_honest_agent_opens_at_once_is_served(at: World) -> None:
    await at.apply("a.example")

    await asyncio.to_thread(open_until, lambda count, _: count >= NEW_AT_ONCE, at.port(HTTP))

    assert limited(at) == {}


async def test_connections_that_stay_open_at_the_http_port_are_bounded_however_slowly_they_come(at: World) -> None:
    await at.apply("a.example")
    limit = f"connection_limit.p-{at.block:05}.limited_connections"

    await asyncio.to_thread(open_until, lambda *_: limit in limited(at), at.port(HTTP))

    assert limited(at)[limit] > 0


async def test_headers_without_end_are_cut_and_idle_tunnels_and_long_streams_are_not(at: World) -> None:
    go_on = asyncio.Event()

    async def answer_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
        await go_on.wait()
        writer.write(b"b")
        writer.close()

    at.internet.addresses["slow.example"] = [SLOW]
    server = await asyncio.start_server(answer_slowly, SLOW, 80)
    await at.apply("a.example", "slow.example")
    idle, tunnel, long = await at.tls("a.example"), await at.tunnel("a.example:443"), await at.plain(HTTP)
    assert isinstance(tunnel, Stream)
    await tunnel.writer.start_tls(at.internet.client(), server_hostname="a.example")
    long.writer.write(b"GET / HTTP/1.1\r\nHost: slow.example\r\n\r\n")
    await long.reader.readuntil(b"\r\n\r\n")

    answers = await asyncio.gather(
        *(drip(at, f"{start} HTTP/1.1\r\nHost: a.example\r\n") for start in ("GET /", "CONNECT a.example:443"))
    )

    go_on.set()
    assert [answer.split()[1] for answer in answers] == [b"408", b"408"]
    assert [await each.ask() for each in (idle, tunnel)] == [f"{A}:443", f"{A}:443"]
    assert await long.reader.readexactly(2) == b"ab"
    server.close()


async def drip(at: World, head: str) -> bytes:
    """Say one more header twice a second until the connection is cut; return the answer."""
    stream = await at.plain(HTTP)
    stream.writer.write(head.encode())
    answer = asyncio.create_task(stream.reader.readline())
    async with asyncio.timeout(2 * SECONDS):
        while not answer.done():
            stream.writer.write(b"X-More: 1\r\n")
            await asyncio.wait({answer}, timeout=0.5)
    return await answer
