"""Ways to ask a responder, with a bound on every wait."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import dns.asyncquery
import dns.message

SECONDS = 5.0


async def ask(
    name: str, port: int, *, rtype: str = "A", host: str = "127.0.0.1", over_tcp: bool = False
) -> dns.message.Message:
    query = dns.message.make_query(name, rtype)
    ask = dns.asyncquery.tcp if over_tcp else dns.asyncquery.udp
    return await ask(query, host, SECONDS, port)


def addresses(message: dns.message.Message) -> list[str]:
    return [record.to_text() for rrset in message.answer for record in rrset]


@contextlib.asynccontextmanager
async def connected(
    port: int, *, host: str = "127.0.0.1"
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        async with asyncio.timeout(SECONDS):
            yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def read_message(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(2)))


async def send(port: int, data: bytes, *, host: str = "127.0.0.1") -> bytes:
    """Send a datagram; return what comes back."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.setblocking(False)
        udp.connect((host, port))
        await loop.sock_sendall(udp, data)
        async with asyncio.timeout(SECONDS):
            return await loop.sock_recv(udp, 65_535)
