"""The operator's end of the socket, as a test speaks it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from ringfence_operator.resources.port_set import PortSet
from tests.operator.control.authority import Authority

CONTROL_NAME = "ringfence-control.ringfence-system.svc"
SECONDS = 20.0
"""Longest wait for anything."""

Message = dict[str, Any]


class OperatorSide:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer
        self.heard: list[Message] = []
        """What came in and nobody has asked for."""

    def say(self, kind: str, **more: Any) -> None:
        self._writer.write(orjson.dumps({"kind": kind, **more}, option=orjson.OPT_APPEND_NEWLINE))

    def identify(self, authority: Authority, *names: str) -> None:
        pair = authority.issue(*(names or (CONTROL_NAME, "127.0.0.1")))
        self.say("identity", authority=authority.pem, certificate=pair.certificate, key=pair.key)

    def configure(self, **more: Any) -> None:
        usual = {"reserved": [], "resolvers": ["127.0.0.1"], "upstreamProxy": None, "upstreamProxyAuthority": None}
        self.say("settings", **{**usual, "clusterDomain": "cluster.local", **more})

    def put(self, port_set: PortSet) -> None:
        self.say("portSet", **port_set.to_wire())

    async def hear(self, *kinds: str, **fields: Any) -> Message:
        """Return the first message of one of these kinds with these fields that has not been returned yet."""
        async with asyncio.timeout(SECONDS):
            while True:
                for message in self.heard:
                    if message["kind"] in kinds and all(message[name] == value for name, value in fields.items()):
                        self.heard.remove(message)
                        return message
                self.heard.append(orjson.loads(await self.reader.readline()))

    async def is_closed(self) -> bool:
        """Return True once the other end has closed."""
        async with asyncio.timeout(SECONDS):
            while line := await self.reader.readline():
                self.heard.append(orjson.loads(line))
        return True

    def close(self) -> None:
        self._writer.close()


@asynccontextmanager
async def operator_side(socket: Path) -> AsyncIterator[OperatorSide]:
    reader, writer = await asyncio.open_unix_connection(socket)
    found = OperatorSide(reader, writer)
    try:
        yield found
    finally:
        found.close()
