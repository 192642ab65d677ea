"""Tools: what a client may call, and the list of them."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from ringfence_sidecar.mcp.protocol import INVALID_PARAMS, ProtocolError
from ringfence_sidecar.mcp.server import Asked, Method, Server

Run = Callable[[Asked, Mapping[str, Any]], Awaitable[dict[str, Any]]]
Unknown = Callable[[Asked, str, Mapping[str, Any]], Awaitable[dict[str, Any]]]
"""Told of a name that is no tool: returns a result, or raises ProtocolError."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool: its definition, as the list shows it, and what runs it."""

    definition: Mapping[str, Any]
    run: Run

    @property
    def name(self) -> str:
        """What it is called by."""
        return str(self.definition["name"])


class Tools:
    """The tools of a server, all replaced at once; clients are told when the list has changed."""

    def __init__(self, server: Server, *, unknown: Unknown | None = None) -> None:
        self._server = server
        self._unknown = unknown
        self._tools: dict[str, Tool] = {}
        self._listed = msgspec.Raw(b"[]")
        server.offer("tools", listChanged=True)
        server.methods["tools/list"] = Method(self._list, is_cacheable=True)
        server.methods["tools/call"] = Method(self._call)

    def replace(self, tools: Iterable[Tool]) -> None:
        """Offer these tools and no others. The list is encoded here, once."""
        self._tools = {tool.name: tool for tool in tools}
        listed = msgspec.json.encode([tool.definition for tool in self._tools.values()])
        if listed != self._listed:
            self._listed = msgspec.Raw(listed)
            self._server.changed("tools")

    async def _list(self, asked: Asked) -> dict[str, Any]:
        one_page(asked)
        return {"tools": self._listed}

    async def _call(self, asked: Asked) -> dict[str, Any]:
        name = asked.text("name")
        arguments = asked.params.get("arguments")
        if arguments is not None and not isinstance(arguments, Mapping):
            raise ProtocolError(INVALID_PARAMS, "params.arguments must be an object")
        tool = self._tools.get(name)
        if tool is not None:
            return await tool.run(asked, arguments or {})
        if self._unknown is not None:
            return await self._unknown(asked, name, arguments or {})
        raise ProtocolError(INVALID_PARAMS, no_tool(name))


def no_tool(name: str) -> str:
    """Return what is said of a name that is no tool."""
    return f"there is no tool {name!r}: tools/list names those that there are"


def one_page(asked: Asked) -> None:
    """Raise ProtocolError for a cursor: lists are whole, so none was ever given out."""
    if asked.params.get("cursor") is not None:
        raise ProtocolError(INVALID_PARAMS, "params.cursor is not one that this server gave out")
