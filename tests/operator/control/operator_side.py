"""The operator's end of the socket, as a test speaks it."""

import asyncio
from collections.abc import AsyncIterator, Callable
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
        self._reader = reader
        self._writer = writer
        self.heard: list[Message] = []

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

    async def hear(self, kind: str, **fields: Any) -> Message:
        """Wait for the next message of this kind with these fields."""
        async with asyncio.timeout(SECONDS):
            while True:
                message = orjson.loads(await self._reader.readline())
                self.heard.append(message)
                if message["kind"] == kind and all(message[name] == value for name, value in fields.items()):
                    return dict(message)

    async def hear_all(self, kind: str, is_enough: Callable[[list[Message]], bool]) -> list[Message]:
        """Wait for messages of this kind until they are enough."""
        found: list[Message] = []
        while not is_enough(found):
            found.append(await self.hear(kind))
        return found

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
