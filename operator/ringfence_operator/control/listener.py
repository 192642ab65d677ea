"""A TLS port that judges who connects by address alone, before a handshake is paid for."""

import asyncio
import os
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from ringfence_operator.control.allowance import MOST_OPEN, Allowance
from ringfence_operator.control.request import LONGEST_HEAD
from ringfence_operator.control.roster import plain_address
from ringfence_operator.control.server import Identity

HANDSHAKE_SECONDS = 5.0
_BACKLOG = 1_024
_AT_ONCE = 64
"""Connections that are taken before others get their turn."""
_RESET = struct.pack("ii", 1, 0)


@dataclass(slots=True, eq=False)
class Peer:
    """Who is at the other end of a connection."""

    address: str
    is_admitted: bool = False
    """True once it has shown a token that is good; until then, a newer connection may take its place."""


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Peer], Awaitable[None]]

log = structlog.get_logger(__name__)


class Listener:
    """Takes connections within `allowance` and hands them to `serve`.

    Of an address that has as many open as it may, the oldest one that has not been admitted goes: else, an agent could
    keep its sidecar away from news by holding connections, for they share an address.
    """

    def __init__(self, allowance: Allowance, serve: Serve, *, on_refused: Callable[[], None]) -> None:
        self._allowance: Final = allowance
        self._serve: Final = serve
        self._on_refused: Final = on_refused
        self._context: ssl.SSLContext | None = None
        self._socket: socket.socket | None = None
        self._open: dict[str, dict[asyncio.Task[None], Peer]] = {}

    def identify(self, identity: Identity) -> None:
        """Serve new connections with this identity. Connections that are there are kept."""
        self._context = _context(identity)

    async def start(self, port: int, *, host: str = "::") -> int:
        """Listen; return the port. Raises ValueError without an identity, OSError if the port is taken."""
        if self._context is None:
            raise ValueError("there is no identity to serve with")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        is_dual = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        self._socket = socket.create_server(
            (host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=is_dual, reuse_port=False
        )
        self._socket.setblocking(False)
        asyncio.get_running_loop().add_reader(self._socket, self._accept)
        return int(self._socket.getsockname()[1])

    async def stop(self) -> None:
        """Close the port and all connections."""
        listening, self._socket = self._socket, None
        if listening is not None:
            asyncio.get_running_loop().remove_reader(listening)
            listening.close()
        tasks = [task for peers in self._open.values() for task in peers]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            if self._socket is None:
                return
            try:
                connection, peer = self._socket.accept()
            except OSError:
                # Nobody is left, gone before its turn, or out of descriptors: the next event tells.
                return
            address = plain_address(peer[0].partition("%")[0])
            is_known = self._allowance.open(address) if self._has_room(address) else None
            if is_known is None:
                # Closed without a word, and without a state that the kernel keeps.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                connection.close()
                self._on_refused()
                continue
            found = Peer(address)
            task = asyncio.create_task(self._converse(connection, found))
            self._open.setdefault(address, {})[task] = found
            task.add_done_callback(partial(self._closed, address=address, is_known=is_known))

    def _has_room(self, address: str) -> bool:
        peers = self._open.get(address, {})
        if len(peers) < MOST_OPEN:
            return True
        oldest = next((task for task, peer in peers.items() if not peer.is_admitted), None)
        if oldest is None or not self._allowance.may_open(address):
            return False
        oldest.cancel()
        return True

    def _closed(self, task: asyncio.Task[None], *, address: str, is_known: bool) -> None:
        peers = self._open[address]
        del peers[task]
        if not peers:
            del self._open[address]
        self._allowance.close(address, is_known=is_known)
        if not task.cancelled() and task.exception() is not None:
            log.error("sidecars.connection_failed", exc_info=task.exception())

    async def _converse(self, connection: socket.socket, peer: Peer) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=LONGEST_HEAD)
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            transport, _ = await loop.connect_accepted_socket(
                partial(_itself, protocol),
                connection,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=1,
            )
        except (OSError, asyncio.CancelledError):
            connection.close()
            return
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._serve(reader, writer, peer)
        finally:
            writer.close()


def _itself(protocol: asyncio.StreamReaderProtocol) -> asyncio.StreamReaderProtocol:
    return protocol


def _context(identity: Identity) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    # OpenSSL's loader takes no text, and a key is not to touch a disk.
    handle = os.memfd_create("identity", os.MFD_CLOEXEC)
    try:
        os.write(handle, f"{identity.key}\n{identity.certificate}".encode())
        context.load_cert_chain(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)
    return context
