"""A small Internet on loopback addresses: names, servers that say who they are, and who was asked for what."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset

from tests.operator.control.authority import Authority

HTTP_PORT, TLS_PORT, OTHER_PORT = 80, 443, 8443


@dataclass(slots=True)
class Internet:
    resolver: tuple[str, int]
    authority: Authority
    addresses: dict[str, list[str]]
    """Name → addresses; `*` stands for all others."""
    asked: list[str] = field(default_factory=list)
    connections: list[tuple[str, int]] = field(default_factory=list)
    """Address and port of every connection that a server has seen."""
    requests: list[str] = field(default_factory=list)
    """Heads of HTTP requests."""

    def client(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.authority.pem)
        context.check_hostname = False
        return context


class _Names(asyncio.DatagramProtocol):
    def __init__(self, internet: Internet) -> None:
        self._internet = internet
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        self._internet.asked.append(name)
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        found = self._internet.addresses.get(name, self._internet.addresses.get("*", []))
        version = {dns.rdatatype.A: ".", dns.rdatatype.AAAA: ":"}.get(question.rdtype)
        of_kind = [each for each in found if version and version in each]
        if of_kind:
            reply.answer.append(dns.rrset.from_text(question.name, 1, "IN", question.rdtype, *of_kind))
        self._transport.sendto(reply.to_wire(), address)


@asynccontextmanager
async def internet(folder: Path, addresses: dict[str, list[str]], *, serve: bool = True) -> AsyncIterator[Internet]:
    """Answer for the names and, unless told otherwise, serve TLS on 443 and 8443 and HTTP on 80 of every address."""
    loop = asyncio.get_running_loop()
    authority = Authority()
    found = Internet(("127.0.0.1", 0), authority, addresses)
    transport, _ = await loop.create_datagram_endpoint(lambda: _Names(found), local_addr=("127.0.0.1", 0))
    found.resolver = transport.get_extra_info("sockname")[:2]
    authority.write(folder / "internet", "internet.example")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "internet/tls.crt", folder / "internet/tls.key")
    servers: list[asyncio.Server] = []
    for address in sorted({each for several in addresses.values() for each in several}) if serve else ():
        servers.append(await _serve(found, address, HTTP_PORT, None))
        servers.extend([await _serve(found, address, port, context) for port in (TLS_PORT, OTHER_PORT)])
    try:
        yield found
    finally:
        transport.close()
        for server in servers:
            server.close()


async def _serve(found: Internet, address: str, port: int, context: ssl.SSLContext | None) -> asyncio.Server:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.connections.append((address, port))
        try:
            await (_echo if context else _answer)(found, reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(found: Internet, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            found.requests.append(head.decode())
            body = f"{address}:{port}\n".encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nServer: theirs\r\n\r\n%b" % (len(body), body))
            await writer.drain()

    async def _echo(_: Internet, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(f"{address}:{port} ".encode() + line)
            await writer.drain()

    return await asyncio.start_server(connected, address, port, ssl=context)
