"""A control process that serves sidecars, an operator that answers for tokens, and clients that say anything."""

import asyncio
import ssl
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from ringfence_operator.control.process import ControlProcess, Place
from tests.operator.control.authority import Authority
from tests.operator.control.operator_side import SECONDS, OperatorSide, operator_side
from tests.ports import free_port

NAMES = ("ringfence-control.ringfence-system.svc", "ringfence-control")
ISSUER = "https://kubernetes.default.svc"
POD = "11111111-1111-1111-1111-111111111111"
HERE = "127.0.0.1"


def token(pod: str = POD, **claims: Any) -> str:
    """Return what looks like a projected token; nobody here checks its signature but the operator of the test."""
    usual: dict[str, Any] = {
        "iss": ISSUER,
        "aud": ["ringfence-control"],
        "nbf": int(time.time()) - 1,
        "exp": int(time.time()) + 3600,
        "sub": "system:serviceaccount:team:default",
        "kubernetes.io": {"namespace": "team", "pod": {"name": "a", "uid": pod}},
    }
    usual |= claims
    parts = ({"alg": "RS256", "kid": "1"}, {name: value for name, value in usual.items() if value is not None})
    return ".".join([*(_part(each) for each in parts), "signature"])


def _part(value: Any) -> str:
    return urlsafe_b64encode(orjson.dumps(value)).rstrip(b"=").decode()


def configuration(
    version: str = "v1", *, connectors: dict[str, int] | None = None, agent: int = 1, **more: Any
) -> dict[str, Any]:
    """Return a configuration; `connectors` are UIDs and generations, `agent` is the agent's generation."""
    bound = [
        {
            "name": uid,
            "uid": uid,
            "generation": generation,
            "kind": "rabbitmq",
            "endpoints": [],
            "auth": {"method": "none"},
        }
        for uid, generation in (connectors or {}).items()
    ]
    whose = {"namespace": "team", "name": "a", "uid": "agent", "generation": agent}
    return {"version": version, "agent": whose, "connectors": bound, **more}


@dataclass(slots=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Line:
    """One connection of a client."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, text: str, body: bytes = b"") -> Reply:
        """Send a request's head and body as they are; return the answer."""
        self.writer.write(text.replace("\n", "\r\n").encode() + body)
        return await self.hear()

    async def hear(self) -> Reply:
        async with asyncio.timeout(SECONDS):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return Reply(int(first.split()[1]), headers, body)

    async def poll(self, bearer: str, **body: Any) -> Reply:
        """Poll; the answer is whatever comes."""
        self.begin(bearer, **body)
        return await self.hear()

    async def standing(self, bearer: str) -> Reply:
        """Ask what is used of the limits that the sidecar does not keep."""
        self.begin(bearer, path="/v1/sidecar/standing")
        return await self.hear()

    def begin(self, bearer: str, *, path: str = "/v1/sidecar/poll", **body: Any) -> None:
        content = orjson.dumps(body)
        head = f"POST {path} HTTP/1.1\r\nAuthorization: Bearer {bearer}\r\nContent-Length: {len(content)}"
        self.writer.write(head.encode() + b"\r\n\r\n" + content)

    async def is_closed(self) -> bool:
        """Return True once the other end has closed."""
        async with asyncio.timeout(SECONDS):
            try:
                return await self.reader.read() == b""
            except OSError:
                return True


@dataclass(slots=True)
class Door:
    """The control process's door for sidecars. `vouch` answers for tokens: the pod's UID, nothing, or None."""

    folder: Path
    port: int
    authority: Authority
    control: ControlProcess
    operator: OperatorSide
    vouch: Callable[[str], str | None] = lambda _: POD
    reviews: list[str] = field(default_factory=list)
    """Tokens that the operator was asked about."""
    standings: dict[str, Any] = field(default_factory=dict)
    """By the pod's UID, what the operator says is used of limits that no sidecar keeps."""
    reports: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    lines: list[Line] = field(default_factory=list)

    def publish(self, pod: str = POD, address: str = HERE, **more: Any) -> None:
        self.operator.say("sidecar", uid=pod, address=address, configuration=configuration(**more))

    def order(self, order: dict[str, Any] | None, pod: str = POD, address: str = HERE) -> None:
        """Say what the pod's starter is to be told; None lets it ask only."""
        self.operator.say("starter", uid=pod, address=address, order=order)

    async def line(self, address: str = HERE) -> Line:
        """Connect from this address. Raises OSError if that is refused."""
        context = ssl.create_default_context(cadata=self.authority.pem)
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection(
                HERE, self.port, ssl=context, server_hostname="ringfence-control", local_addr=(address, 0)
            )
        found = Line(reader, writer)
        self.lines.append(found)
        return found

    async def poll(self, bearer: str, *, address: str = HERE, **body: Any) -> Reply:
        """Poll on a connection of its own."""
        return await (await self.line(address)).poll(bearer, **body)

    async def seen(self, **fields: Any) -> dict[str, Any]:
        """Return the next report of a sidecar with these fields."""
        async with asyncio.timeout(SECONDS):
            while True:
                report = await self.reports.get()
                if all(report[name] == value for name, value in fields.items()):
                    return report

    async def until_unknown(self) -> None:
        """Return once the certificate that new connections are served with is not one to trust."""
        for _ in range(10):
            try:
                await self.line("127.0.0.88")
            except ssl.SSLError:
                return
        raise AssertionError("the certificate is as good as before")

    async def listen(self) -> None:
        """Answer for tokens, and keep reports."""
        while line := await self.operator.reader.readline():
            message = orjson.loads(line)
            if message["kind"] == "review":
                self.reviews.append(message["token"])
                self.operator.say("reviewed", id=message["id"], podUid=self.vouch(message["token"]))
            elif message["kind"] == "standingAsked":
                self.operator.say("standing", id=message["id"], standing=self.standings.get(message["uid"]))
            elif message["kind"] in ("sidecarSeen", "starterSeen"):
                self.reports.put_nowait(message)


@asynccontextmanager
async def door(
    folder: Path, *, is_synced: bool = True, port: int = 0, authority: Authority | None = None
) -> AsyncIterator[Door]:
    """Start it; the operator has said who it is, and answers for tokens."""
    folder.mkdir(exist_ok=True)  # noqa: ASYNC240 - before anything runs
    authority, port = authority or Authority(), port or free_port()
    place = Place(socket=folder / "control.sock", port=free_port(), host=HERE, sidecar_port=port)
    control = ControlProcess(place)
    await control.start()
    try:
        async with operator_side(place.socket) as operator:
            found = Door(folder, port, authority, control, operator)
            operator.identify(authority, *NAMES)
            operator.configure()
            operator.say("issuer", issuer=ISSUER)
            if is_synced:
                operator.say("synced")
                await _listening(port)
            answering = asyncio.create_task(found.listen())
            try:
                yield found
            finally:
                answering.cancel()
                await asyncio.wait([answering])
                for line in found.lines:
                    line.writer.transport.abort()
                await asyncio.sleep(0)
    finally:
        await control.stop()


async def _listening(port: int) -> None:
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                _, writer = await asyncio.open_connection(HERE, port, local_addr=("127.9.9.9", 0))
            except OSError:
                await asyncio.sleep(0.01)
                continue
            writer.transport.abort()
            return
