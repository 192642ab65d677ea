"""DNS for agents: one responder for each port set, which answers from the policy's list and asks nobody.

Over UDP a turn of the event loop reads a few datagrams of a socket, and a port set that is beyond its allowance is not
read for a moment, so that the kernel drops its flood before it costs anything.
"""

import asyncio
import contextlib
import errno
import socket
from typing import Protocol

from ringfence_gateway.allowance import Allowance
from ringfence_gateway.message import AAAA, IN, A, Malformed, Query, Rcode, build_answer, parse_query
from ringfence_gateway.names import DEFAULT_CLUSTER_DOMAIN, Verdict, normalize
from ringfence_gateway.port_set import Address, PortSet
from ringfence_gateway.stream import Streams

DATAGRAMS_PER_TURN = 32
PAUSE_SECONDS = 0.002
LONGEST_QUERY = 1_232


class Observer(Protocol):
    """Who is told what was asked."""

    def asked(self, block: int, name: str | None, verdict: Verdict) -> None:
        """Note a name that was asked for, None if it is not a valid one; service names are not told."""

    def answered(self, block: int, rcode: str) -> None:
        """Note an answer."""

    def dropped(self, block: int) -> None:
        """Note a query that was left unanswered, being beyond the allowance."""


class Zone:
    """What one port set answers. No I/O."""

    def __init__(self, port_set: PortSet, observer: Observer, *, cluster_domain: str = DEFAULT_CLUSTER_DOMAIN) -> None:
        self._block = port_set.block
        self._address = port_set.address
        self._judge = port_set.judge
        self._services = port_set.service_addresses(cluster_domain)
        self._observer = observer

    def answer(self, data: bytes) -> bytes | None:
        """Return the answer to `data`, None if it deserves none. Never raises."""
        query = parse_query(data)
        if isinstance(query, Malformed):
            self._observer.answered(self._block, "malformed")
            return query.reply
        rcode, address = self._decide(query)
        self._observer.answered(self._block, rcode.name)
        return build_answer(query, address=address, rcode=rcode)

    def _decide(self, query: Query) -> tuple[Rcode, bytes | None]:
        if query.rclass != IN:
            return Rcode.REFUSED, None
        if query.name is not None and (service := self._services.get(query.name)):
            return Rcode.NOERROR, _record(service, query.rtype)
        name = None if query.name is None else normalize(query.name)
        verdict = Verdict.DENIED if name is None else self._judge(name)
        if verdict is not Verdict.ALLOWED:
            self._observer.asked(self._block, name, verdict)
        if verdict is Verdict.DENIED:
            return Rcode.NXDOMAIN, None
        return Rcode.NOERROR, _record(self._address, query.rtype)


class Responder:
    """Serves one port set on UDP and TCP, by IPv6 and IPv4."""

    def __init__(self, zone: Zone, *, block: int, observer: Observer) -> None:
        self.zone = zone
        self._block = block
        self._observer = observer
        self._allowance = Allowance()
        self._udp: socket.socket | None = None
        self._streams = Streams(self._take_and_answer, admits=self._take)
        self._loop = asyncio.get_running_loop()
        self._resume: asyncio.TimerHandle | None = None

    def open(self, port: int) -> None:
        """Listen on `port` of all addresses. Raises OSError, and holds nothing, if that cannot be."""
        udp = bound_socket(socket.SOCK_DGRAM, port)
        try:
            self._streams.open(bound_socket(socket.SOCK_STREAM, port))
        except OSError:
            udp.close()
            raise
        self._udp = udp
        self._loop.add_reader(udp, self._readable)

    def close(self) -> None:
        """Stop listening, and cut connections."""
        self._streams.close()
        if self._resume is not None:
            self._resume.cancel()
        if self._udp is not None:
            self._loop.remove_reader(self._udp)
            self._udp.close()
            self._udp = None

    def _readable(self) -> None:
        udp = self._udp
        if udp is None:
            return
        now = self._loop.time()
        dropped = 0
        for _ in range(DATAGRAMS_PER_TURN):
            try:
                data, source = udp.recvfrom(LONGEST_QUERY)
            except OSError:  # nothing more, or the ICMP error of an earlier answer
                return
            if not self._allowance.take(source[0], now):
                dropped += 1
                self._observer.dropped(self._block)
                continue
            answer = self.zone.answer(data)
            if answer is not None:
                with contextlib.suppress(OSError):  # the asker is gone, or does not read: it asks again
                    udp.sendto(answer, source)
        if dropped == DATAGRAMS_PER_TURN:
            self._loop.remove_reader(udp)
            self._resume = self._loop.call_later(PAUSE_SECONDS, self._read_again)

    def _read_again(self) -> None:
        self._resume = None
        if self._udp is not None:
            self._loop.add_reader(self._udp, self._readable)

    def _take_and_answer(self, data: bytes, source: str) -> bytes | None:
        return self.zone.answer(data) if self._take(source) else None

    def _take(self, source: str) -> bool:
        is_within = self._allowance.take(source, self._loop.time())
        if not is_within:
            self._observer.dropped(self._block)
        return is_within


def bound_socket(kind: socket.SocketKind, port: int) -> socket.socket:
    """Return a socket bound to `port` of every address, IPv4's too; of IPv4's only where there is no IPv6."""
    try:
        return _bound(socket.AF_INET6, kind, "::", port)
    except OSError as error:
        if error.errno not in {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}:
            raise
        return _bound(socket.AF_INET, kind, "0.0.0.0", port)  # noqa: S104 - as the other


def _bound(family: socket.AddressFamily, kind: socket.SocketKind, host: str, port: int) -> socket.socket:
    bound = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    try:
        if family is socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if kind is socket.SOCK_STREAM:  # for UDP it would share the port with whoever has it
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound


def _record(address: Address, rtype: int) -> bytes | None:
    return address.packed if rtype == (A if address.version == 4 else AAAA) else None  # noqa: PLR2004
