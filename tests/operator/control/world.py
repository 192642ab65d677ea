"""Everything around the control process: an operator, a gateway pod of the real Envoy, and an Internet."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ringfence_operator.control.gateway import Wiring
from ringfence_operator.control.process import ControlProcess, Place
from ringfence_operator.resources.port_set import HTTP, TLS, PortSet, first_port
from tests.operator.control.authority import Authority
from tests.operator.control.envoy_process import Envoy, envoy
from tests.operator.control.internet import Internet, internet
from tests.operator.control.operator_side import SECONDS, OperatorSide, operator_side
from tests.operator.control.port_sets import port_set
from tests.operator.control.responder import AccessLog, Responder, access_log, responder
from tests.ports import free_block, free_port

NET = f"127.{1 + os.getpid() // 250 % 250}.{os.getpid() % 250}"
"""Loopback addresses that other runs of the tests beside this one do not use."""
A, B, OTHER = f"{NET}.1", f"{NET}.2", f"{NET}.3"
NAMES = {"a.example": [A], "b.example": [B], "*": [OTHER]}
REPLICA = "gateway-0"


@dataclass(slots=True)
class World:
    folder: Path
    place: Place
    authority: Authority
    control: ControlProcess
    operator: OperatorSide
    internet: Internet
    block: int
    envoy: Envoy
    responder: Responder
    log: AccessLog
    versions: int = field(default=0)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    """Lengths of the messages that went to nodes."""

    async def apply(self, *allowed: str, block: int | None = None, **more: Any) -> PortSet:
        """Say a port set and wait until it is in force."""
        self.versions += 1
        block = self.block if block is None else block
        found = port_set(block, *allowed, version=f"v{self.versions}", **more)
        self.operator.put(found)
        answer = await self.operator.hear("inForce", "refused", block=found.block, version=found.version)
        assert answer["kind"] == "inForce", answer["message"]
        return found

    def port(self, offset: int, block: int | None = None) -> int:
        return first_port(self.block if block is None else block) + offset

    async def tls(self, name: str | None, *, offset: int = TLS, block: int | None = None) -> "Stream":
        """Return a TLS connection with this SNI. Raises OSError if it is closed."""
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", self.port(offset, block), ssl=self.internet.client(), server_hostname=name or ""
            )
        self.writers.append(writer)
        return Stream(reader, writer)

    async def plain(self, offset: int, block: int | None = None) -> "Stream":
        """Return a connection without TLS."""
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port(offset, block))
        self.writers.append(writer)
        return Stream(reader, writer)

    async def tls_answer(self, name: str | None, *, offset: int = TLS, block: int | None = None) -> str:
        """Return what the server that this SNI leads to says it is, or `closed`."""
        try:
            stream = await self.tls(name, offset=offset, block=block)
        except OSError:
            return "closed"
        return await stream.ask()

    async def http(self, text: str) -> str:
        """Return the answer to a raw request to the HTTP listener."""
        stream = await self.plain(HTTP)
        stream.writer.write(text.replace("\n", "\r\n").encode())
        async with asyncio.timeout(SECONDS):
            head = (await stream.reader.readuntil(b"\r\n\r\n")).decode()
            lengths = [int(line.split(":")[1]) for line in head.lower().split("\r\n") if "content-length" in line]
            return head + (await stream.reader.readexactly(sum(lengths))).decode()

    async def get(self, host: str, *, target: str = "/") -> str:
        """Return who answers a plain request for `host`, or the status if it is not 200."""
        answer = await self.http(f"GET {target} HTTP/1.1\nHost: {host}\n\n")
        status, body = answer.split()[1], answer.partition("\r\n\r\n")[2]
        return body.strip() if status == "200" else status

    async def tunnel(self, authority: str) -> "Stream | str":
        """CONNECT to `authority`; return the tunnel, or the status if it is not 200."""
        stream = await self.plain(HTTP)
        stream.writer.write(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
        async with asyncio.timeout(SECONDS):
            status = (await stream.reader.readuntil(b"\r\n\r\n")).decode().split()[1]
        return stream if status == "200" else status

    async def connect(self, authority: str, inner: str | None) -> str:
        """CONNECT to `authority`, then TLS inside with SNI `inner`; return who answers, `closed`, or the status."""
        stream = await self.tunnel(authority)
        if isinstance(stream, str):
            return stream
        try:
            async with asyncio.timeout(SECONDS):
                await stream.writer.start_tls(self.internet.client(), server_hostname=inner or "")
        except OSError:
            return "closed"
        return await stream.ask()


@dataclass(frozen=True, slots=True)
class Stream:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self) -> str:
        """Return the address and port of the server at the other end, or `closed`."""
        async with asyncio.timeout(SECONDS):
            try:
                self.writer.write(b"hello\n")
                await self.writer.drain()
                line = await self.reader.readline()
            except (OSError, ssl.SSLError):
                return "closed"
        return line.decode().removesuffix(" hello\n") if line else "closed"

    async def closed(self, seconds: float) -> bool:
        """Return True if the other end closes within that time."""
        try:
            async with asyncio.timeout(seconds):
                return await self.reader.read(1) == b""
        except OSError as error:
            return not isinstance(error, TimeoutError)


@asynccontextmanager
async def world(
    folder: Path,
    *,
    names: dict[str, list[str]] | None = None,
    closed: tuple[str, ...] = (),
    serve: bool = True,
    **settings: Any,
) -> AsyncIterator[World]:
    """Start it all; `closed` are the CIDRs that Envoy refuses, by default none, since the servers are on loopback."""
    authority = Authority()
    authority.write(folder / "tls", REPLICA)
    place = Place(socket=folder / "control.sock", port=free_port(), host="127.0.0.1")
    async with AsyncExitStack() as stack:
        net = await stack.enter_async_context(internet(folder, names or NAMES, serve=serve))
        sent: list[int] = []
        wiring = Wiring(resolver=net.resolver, closed=closed)
        control = ControlProcess(place, wiring=wiring, on_sent=sent.append)
        await control.start()
        stack.push_async_callback(control.stop)
        operator = await stack.enter_async_context(operator_side(place.socket))
        operator.identify(authority)
        operator.configure(**settings)
        operator.say("synced")
        log = await stack.enter_async_context(access_log(folder / "als.sock"))
        found = await stack.enter_async_context(envoy(folder, control=place.port, als=folder / "als.sock"))
        dns = await stack.enter_async_context(responder(place.port, folder / "tls", f"{REPLICA}/dns"))
        await operator.hear("joined", replica=REPLICA)
        at = World(folder, place, authority, control, operator, net, free_block(), found, dns, log, sent=sent)
        try:
            yield at
        finally:
            for writer in at.writers:
                writer.transport.abort()
            await asyncio.sleep(0)
