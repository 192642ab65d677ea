"""Resources: texts that a client may read by URI, and the list of them."""

import base64
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ringfence_sidecar.mcp.protocol import INVALID_PARAMS, RESOURCE_NOT_FOUND, ProtocolError
from ringfence_sidecar.mcp.server import Asked, Era, Method, Server
from ringfence_sidecar.mcp.tools import one_page


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource: its definition, as the list shows it (`uri`, `name`, `mimeType` …), and what reads it."""

    definition: Mapping[str, Any]
    read: Callable[[Asked], Awaitable[str | bytes]]


class Resources:
    """The resources of a server. There are no templates, and a client that asks for them is told so."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._resources: dict[str, Resource] = {}
        server.offer("resources", listChanged=True)
        server.methods["resources/list"] = Method(self._list, is_cacheable=True)
        server.methods["resources/templates/list"] = Method(self._list_templates, is_cacheable=True)
        server.methods["resources/read"] = Method(self._read, is_cacheable=True)

    def replace(self, resources: Iterable[Resource]) -> None:
        """Offer these resources and no others."""
        before = [each.definition for each in self._resources.values()]
        self._resources = {str(each.definition["uri"]): each for each in resources}
        if before != [each.definition for each in self._resources.values()]:
            self._server.changed("resources")

    async def _list(self, asked: Asked) -> dict[str, Any]:
        one_page(asked)
        return {"resources": [each.definition for each in self._resources.values()]}

    async def _list_templates(self, asked: Asked) -> dict[str, Any]:
        one_page(asked)
        return {"resourceTemplates": []}

    async def _read(self, asked: Asked) -> dict[str, Any]:
        uri = asked.text("uri")
        if found := self._resources.get(uri):
            return {"contents": [_contents(uri, str(found.definition.get("mimeType", "")), await found.read(asked))]}
        code = RESOURCE_NOT_FOUND if asked.era is Era.HANDSHAKE else INVALID_PARAMS
        raise ProtocolError(code, "there is no such resource: resources/list names those that there are", {"uri": uri})


def _contents(uri: str, kind: str, content: str | bytes) -> dict[str, Any]:
    head = {"uri": uri} | ({"mimeType": kind} if kind else {})
    if isinstance(content, str):
        return {**head, "text": content}
    return {**head, "blob": base64.b64encode(content).decode()}
