"""DNS for Envoy, on the loopback only: asks the real resolvers, and hands on one public address or none.

One address, since Envoy's RBAC looks at the first of several only.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import structlog

from ringfence_gateway.addresses import public_of
from ringfence_gateway.port_set import Network
from ringfence_gateway.upstream import UnansweredError, Upstream

MOST_AT_ONCE = 256
MOST_WAITING = 2_048
LONGEST_CHAIN = 16
QUIET_SECONDS = 60.0
"""Between two log lines of one name."""
MOST_NAMES_SAID, MOST_ADDRESSES_SAID = 1_024, 4
LEAST_TTL, MOST_TTL = 1, 300
_TYPES = {dns.rdatatype.A, dns.rdatatype.AAAA}

Key = tuple[dns.name.Name, dns.rdatatype.RdataType]
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Found:
    """What a question came to: an address with its TTL, or why there is none."""

    rcode: dns.rcode.Rcode
    address: str | None = None
    ttl: int = 0


class Resolver:
    """Answers A and AAAA questions. `refused` is called for a name that has private addresses only.

    While `upstream` is None it is not known whom to ask, nor what is reserved: every name is SERVFAIL.
    """

    def __init__(
        self,
        upstream: Upstream | None = None,
        *,
        reserved: Sequence[Network] = (),
        is_filtering: bool = True,
        refused: Callable[[], None] = lambda: None,
    ) -> None:
        self.upstream = upstream
        self.reserved = tuple(reserved)
        self._is_filtering = is_filtering
        self._refused = refused
        self._in_flight: dict[Key, asyncio.Task[Found]] = {}
        self._slots = asyncio.Semaphore(MOST_AT_ONCE)
        self._random = random.SystemRandom()
        self._said: dict[str, float] = {}

    async def answer(self, data: bytes) -> bytes | None:
        """Return the answer to the query `data`; None if it is not one."""
        try:
            query = dns.message.from_wire(data)
        except (dns.exception.DNSException, ValueError):
            return None
        if query.flags & dns.flags.QR or len(query.question) != 1:
            return None
        question = query.question[0]
        if question.rdtype not in _TYPES or question.rdclass != dns.rdataclass.IN:
            return _response(query, Found(dns.rcode.NOERROR))
        return _response(query, await self._find((question.name.canonicalize(), question.rdtype)))

    async def _find(self, key: Key) -> Found:
        """Ask once for however many want to know."""
        task = self._in_flight.get(key)
        if task is None:
            if len(self._in_flight) >= MOST_WAITING:
                return Found(dns.rcode.SERVFAIL)
            task = self._in_flight[key] = asyncio.create_task(self._ask(*key))
            task.add_done_callback(lambda _: self._in_flight.pop(key, None))
        return await asyncio.shield(task)

    async def _ask(self, name: dns.name.Name, rtype: dns.rdatatype.RdataType) -> Found:
        upstream = self.upstream
        if upstream is None:
            self._say("name not resolved", name, reason="no settings yet")
            return Found(dns.rcode.SERVFAIL)
        async with self._slots:
            try:
                answer = await upstream.ask(name, rtype)
            except UnansweredError as error:
                self._say("name not resolved", name, reason=str(error))
                return Found(dns.rcode.SERVFAIL)
        rrset, ttl = _addresses(answer, name, rtype)
        if rrset is None:
            return Found(answer.rcode())
        addresses = [record.address for record in rrset]
        public = public_of(addresses, reserved=self.reserved) if self._is_filtering else addresses
        if not public:
            self._refused()
            self._say("name refused", name, reason=f"not public: {', '.join(addresses[:MOST_ADDRESSES_SAID])}")
            return Found(dns.rcode.NXDOMAIN)
        return Found(dns.rcode.NOERROR, self._random.choice(public), max(LEAST_TTL, min(ttl, MOST_TTL)))

    def _say(self, event: str, name: dns.name.Name, *, reason: str) -> None:
        """Log it, now and then only: agents decide how often a name is asked for."""
        text, now = name.to_text(True), asyncio.get_running_loop().time()
        if now - self._said.get(text, -QUIET_SECONDS) < QUIET_SECONDS:
            return
        if len(self._said) >= MOST_NAMES_SAID:
            del self._said[next(iter(self._said))]
        self._said[text] = now
        _log.warning(event, name=text, reason=reason)


def _addresses(
    answer: dns.message.Message, name: dns.name.Name, rtype: dns.rdatatype.RdataType
) -> tuple[dns.rrset.RRset | None, int]:
    """Return the addresses at the end of the answer's chain of aliases, and for how long the whole chain holds."""
    ttl = MOST_TTL
    for _ in range(LONGEST_CHAIN):
        found = answer.get_rrset(answer.answer, name, dns.rdataclass.IN, rtype)
        if found is not None:
            return found, min(ttl, found.ttl)
        alias = answer.get_rrset(answer.answer, name, dns.rdataclass.IN, dns.rdatatype.CNAME)
        if alias is None:
            break
        name, ttl = alias[0].target, min(ttl, alias.ttl)
    return None, 0


def _response(query: dns.message.Message, found: Found) -> bytes:
    response = dns.message.make_response(query, recursion_available=True)
    response.set_rcode(found.rcode)
    question = query.question[0]
    if found.address is not None:
        response.answer.append(
            dns.rrset.from_text(question.name, found.ttl, dns.rdataclass.IN, question.rdtype, found.address)
        )
    return response.to_wire()


class ResolverServer:
    """Serves a resolver on UDP and TCP."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._datagrams: asyncio.DatagramTransport | None = None
        self._streams: asyncio.Server | None = None

    async def start(self, *, host: str = "127.0.0.1", port: int = 5355) -> int:
        """Listen; return the port."""
        loop = asyncio.get_running_loop()
        self._streams = await asyncio.start_server(self._serve, host, port)
        port = int(self._streams.sockets[0].getsockname()[1])
        self._datagrams, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self._resolver), local_addr=(host, port)
        )
        return port

    async def stop(self) -> None:
        """Stop listening."""
        if self._datagrams is not None:
            self._datagrams.close()
        if self._streams is not None:
            self._streams.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the queries of one connection, one after the other."""
        try:
            while True:
                async with asyncio.timeout(30):
                    query = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                answer = await self._resolver.answer(query)
                if answer is None:
                    break
                writer.write(len(answer).to_bytes(2) + answer)
                await writer.drain()
        except (TimeoutError, OSError, EOFError):
            pass
        finally:
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._transport: asyncio.DatagramTransport | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        task = asyncio.create_task(self._answer(data, addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = await self._resolver.answer(data)
        if answer is not None and self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(answer, addr)
