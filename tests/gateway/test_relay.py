import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ringfence_gateway.meter.book import Book
from ringfence_gateway.meter.end import MOST_BYTES
from ringfence_gateway.meter.relay import HTTP, Relay
from tests.gateway.test_meter_book import orders
from tests.gateway.test_meter_header import header
from tests.ports import free_block

SECONDS = 20.0
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Relayed:
    """A relay, and a server at the port that it leads to."""

    def __init__(self, folder: Path, serve: Serve, *, offset: int = 2) -> None:
        self.path = str(folder / "meter.sock")
        self.port = 10_000 + 16 * free_block() + offset
        self.book = Book("gateway-0/a")
        self.relay = Relay(self.book)
        self._serve = serve

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Relayed"]:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await self._serve(reader, writer)
            except OSError:
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", self.port)
        await self.relay.listen(self.path)
        try:
            async with asyncio.timeout(SECONDS):
                yield self
        finally:
            await self.relay.stop()
            server.close()

    async def connect(self, *, port: int = 0, source: str = "10.0.0.1") -> Ends:
        """Connect as Envoy does, for a pod."""
        reader, writer = await asyncio.open_unix_connection(self.path)
        writer.write(header(source, port or self.port))
        return reader, writer


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


async def answer_at_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    said = await reader.read()
    writer.write(b"heard " + said)
    await writer.drain()


async def test_what_is_said_arrives_whole_however_much_it_is(tmp_path: Path) -> None:
    said = bytes(range(256)) * 80_000
    async with Relayed(tmp_path, echo).running() as made:
        made.relay.put(orders())
        reader, writer = await made.connect()

        async def say() -> None:
            writer.write(said)
            await writer.drain()
            writer.write_eof()

        saying = asyncio.create_task(say())
        heard = await reader.read()
        await saying
        writer.close()

    assert hashlib.sha256(heard).digest() == hashlib.sha256(said).digest()
    assert made.book.accounts["one"].total == 2 * len(said)


async def test_who_has_said_all_still_gets_its_answer(tmp_path: Path) -> None:
    async with Relayed(tmp_path, answer_at_the_end).running() as made:
        made.relay.put(orders())
        reader, writer = await made.connect()
        writer.write(b"hello")
        writer.write_eof()
        heard = await reader.read()
        writer.close()

    assert heard == b"heard hello"


async def test_who_does_not_read_is_not_read_for(tmp_path: Path) -> None:
    sent = 0

    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while sent < 100 * MOST_BYTES:
            writer.write(bytes(MOST_BYTES))
            await writer.drain()
            sent += MOST_BYTES

    async with Relayed(tmp_path, pour).running() as made:
        made.relay.put(orders())
        reader, writer = await made.connect()
        before = -1
        while made.book.accounts["one"].total != before or before == 0:
            before = made.book.accounts["one"].total
            await asyncio.sleep(0.3)
        passed = made.book.accounts["one"].total
        heard = await reader.readexactly(100 * MOST_BYTES)
        writer.close()

    # What the kernel's own buffers hold has passed; it is far from all.
    assert passed < 50 * MOST_BYTES
    assert len(heard) == 100 * MOST_BYTES


async def test_an_end_ends_the_other_side_and_is_counted(tmp_path: Path) -> None:
    async with Relayed(tmp_path, echo).running() as made:
        made.relay.put(orders(connections=1))
        reader, writer = await made.connect()
        writer.write(b"hello")
        await reader.readexactly(5)
        writer.transport.abort()
        heard = b""
        while not heard:
            again, other = await made.connect()
            other.write(b"hello")
            heard = await again.read(5)
            other.close()

    assert heard == b"hello"


@pytest.mark.parametrize("port", [22, 10_000 + 16 * 1_875])
async def test_it_leads_to_port_sets_and_nowhere_else(tmp_path: Path, port: int) -> None:
    async with Relayed(tmp_path, echo).running() as made:
        made.relay.put(orders())
        reader, writer = await made.connect(port=port)
        heard = await reader.read()
        writer.close()

    assert heard == b""
    assert made.book.accounts["one"].open == 0


async def test_over_http_a_refusal_has_words(tmp_path: Path) -> None:
    async with Relayed(tmp_path, echo, offset=HTTP).running() as made:
        made.relay.put(orders(left=0, words="used up", retryAfter=9))
        reader, writer = await made.connect()
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        heard = await reader.read()
        writer.close()

    assert heard.startswith(b"HTTP/1.1 429 ")
    assert b"Retry-After: 9\r\n" in heard
    assert heard.endswith(b"Ringfence: used up\n")
