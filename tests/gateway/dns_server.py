"""A small real DNS server on the loopback, that answers what a test says."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

Zone = dict[tuple[str, str], list[str]]
"""Name and type → records as text, each with a TTL, such as `60 IN A 192.0.2.1`; the owner may be written before."""


class DnsServer:
    """Answers from `zone`; what is asked is kept in `asked`, as it came."""

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        self.asked: list[str] = []
        self.sources: list[int] = []
        self.is_truncating = False
        self.mangle: Callable[[dns.message.Message, int], list[bytes]] | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    def answer(self, data: bytes, *, over_udp: bool) -> list[bytes]:
        query = dns.message.from_wire(data)
        question = query.question[0]
        self.asked.append(question.name.to_text(True))
        response = dns.message.make_response(query)
        if over_udp and self.is_truncating:
            response.flags |= dns.flags.TC
            return [response.to_wire()]
        records = self.zone.get((question.name.to_text(True).lower(), dns.rdatatype.to_text(question.rdtype)))
        if records is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
        for record in records or ():
            owner, ttl, _, rtype, value = (record if record.count(" ") == 4 else f"{question.name} {record}").split()
            response.answer.append(dns.rrset.from_text(owner, int(ttl), "IN", rtype, value))
        if self.mangle is not None:
            return self.mangle(response, len(self.asked))
        return [response.to_wire()]


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        task = asyncio.create_task(self._answer(data, addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, data: bytes, addr: Any) -> None:
        self._server.sources.append(addr[1])
        answers = self._server.answer(data, over_udp=True)
        await self._server.gate.wait()
        for answer in answers:
            self._transport.sendto(answer, addr)


@contextlib.asynccontextmanager
async def served(server: DnsServer) -> AsyncIterator[str]:
    """Serve it; gives its address as `Resolvers` takes it."""

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(EOFError):
            while True:
                query = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                for answer in server.answer(query, over_udp=False):
                    writer.write(len(answer).to_bytes(2) + answer)
        writer.close()

    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    tcp = await asyncio.start_server(stream, sock=listener)
    udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(server), local_addr=("127.0.0.1", port))
    try:
        yield f"127.0.0.1#{port}"
    finally:
        udp.close()
        tcp.close()
        await tcp.wait_closed()
